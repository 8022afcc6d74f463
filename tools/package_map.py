"""Draws the packages of bird_tf: what each is for, and what it imports: `python tools/package_map.py`.

Sentences come from the packages' docstrings, arrows from their imports. A package stands above all that it imports; an
arrow that a path over other packages implies is left out.
"""

from __future__ import annotations

import ast
import dataclasses
import functools
import itertools
import pathlib
import textwrap

from bird_tf import command_line, config, files

_ROOT = pathlib.Path(__file__).resolve().parent.parent / "bird_tf"
# commands and modules that stand outside of the packages
_COMMANDS, _GROUND = "commands", "ground"
_COLOURS = {_COMMANDS: "#d9e8dc", _GROUND: "#e8e6e0"}
_TRAINING = ("conversion", "input", "models", "training", "selftraining")


@dataclasses.dataclass(frozen=True, kw_only=True)
class MapConfig:
    """Flags of the map."""

    output: str = config.option("docs/pictures/packages.png", "picture to write")


def _owner(name: str, commands: set[str]) -> str:
    """The box of a module's dotted name below bird_tf."""
    first = name.split(".")[0]
    if (_ROOT / first).is_dir():
        return first
    return _COMMANDS if first in commands else _GROUND


def imports() -> dict[str, set[str]]:
    """{package: packages that it imports}; the commands are one box, and so are the modules that all others use."""
    paths = [path for path in _ROOT.rglob("*.py") if path.stem != "__init__"]
    commands = {path.stem for path in _ROOT.glob("*.py") if "def run() -> None:" in path.read_text()}
    found: dict[str, set[str]] = {}
    for path in paths:
        own = _owner(path.relative_to(_ROOT).with_suffix("").as_posix().replace("/", "."), commands)
        used = found.setdefault(own, set())
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.ImportFrom) or (node.module or "").split(".")[0] != "bird_tf":
                continue
            full = [f"{node.module}.{alias.name}".removeprefix("bird_tf.") for alias in node.names]
            names = [name for name in full if name not in ("keras", "tf", "__version__")]
            used |= {_owner(name, commands) for name in names} - {own}
    return found


def rows(arrows: dict[str, set[str]]) -> list[list[str]]:
    """The packages row by row from the top: each right below the lowest one that imports it, sorted by name."""

    @functools.cache
    def depth(package: str) -> int:
        return 1 + max((depth(user) for user, used in arrows.items() if package in used), default=-1)

    ordered = sorted(arrows, key=lambda package: (depth(package), package))
    return [list(row) for _, row in itertools.groupby(ordered, key=depth)]


def direct(arrows: dict[str, set[str]]) -> dict[str, set[str]]:
    """The arrows without those that a path over other packages implies."""

    @functools.cache
    def reached(package: str) -> frozenset[str]:
        return frozenset(arrows[package]).union(*(reached(used) for used in arrows[package]))

    return {
        package: {other for other in used if not any(other in reached(between) for between in used)}
        for package, used in arrows.items()
    }


def sentence(package: str) -> str:
    """What a package is for."""
    if package == _COMMANDS:
        return "convert, train, export, evaluate, predict, submission: what users start; none imports another."
    if package == _GROUND:
        return "config, files, executor, resume, python_calls: flags, files, where work runs, how it goes on."
    return (ast.get_docstring(ast.parse((_ROOT / package / "__init__.py").read_text())) or "").split("\n\n")[0]


def main(settings: MapConfig) -> None:
    """Draws the picture."""
    from matplotlib.backends import backend_agg
    from matplotlib.figure import Figure

    arrows = imports()
    width, height, gap = 3.0, 0.85, 0.5
    lines = rows(arrows)
    widest = max(map(len, lines))
    places = {
        package: (((widest - len(row)) / 2 + i) * (width + 0.5), number * (height + gap))
        for number, row in enumerate(reversed(lines))
        for i, package in enumerate(row)
    }
    size = widest * (width + 0.5), len(lines) * (height + gap)
    figure = Figure(figsize=(size[0] * 1.05, size[1] * 1.05))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(-0.3, size[0]), ylim=(-0.2, size[1] - gap + 0.2))
    axes.set_axis_off()
    for package, used in direct(arrows).items():
        for other in used:
            start, end = places[package], places[other]
            axes.annotate(
                "", (end[0] + width / 2, end[1] + height), (start[0] + width / 2, start[1]), zorder=1,
                arrowprops={"arrowstyle": "-|>", "color": "#7d8b80", "alpha": 0.55, "linewidth": 0.9},
            )  # fmt: skip
    for package, (x, y) in places.items():
        colour = _COLOURS.get(package, "#fff0d4" if package in _TRAINING else "#dbe7f3")
        box = {"boxstyle": "round,pad=0.02", "facecolor": colour, "edgecolor": "#5a6b5f"}
        axes.add_patch(_box(x, y, width, height, box))
        axes.text(x + 0.1, y + height - 0.1, package, weight="bold", fontsize=12, va="top", zorder=3)
        text = "\n".join(textwrap.wrap(sentence(package), 40))
        axes.text(x + 0.1, y + height - 0.36, text, fontsize=9, va="top", zorder=3)
    canvas = backend_agg.FigureCanvasAgg(figure)
    with files.replacing(settings.output) as temporary, open(temporary, "wb") as file:
        canvas.print_png(file)
    print(f"{settings.output}: {len(arrows)} boxes, {sum(map(len, arrows.values()))} arrows")


def _box(x: float, y: float, width: float, height: float, style: dict[str, str]) -> object:
    from matplotlib.patches import FancyBboxPatch

    return FancyBboxPatch((x, y), width, height, zorder=2, **style)


if __name__ == "__main__":
    command_line.run(main, MapConfig)
