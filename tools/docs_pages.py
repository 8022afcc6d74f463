"""Hooks of MkDocs (mkdocs.yml): pages that are made from the code, and pages that lie elsewhere in the project.

The reference of the commands comes from their dataclasses of flags. Guides such as configs/README.md stay where a
reader of the folder finds them, and are pages of the site too. Pages link to the files, which work in both.
"""

from __future__ import annotations

import configparser
import dataclasses
import functools
import importlib
import inspect
import pathlib
import posixpath
import re
import types
import typing
from typing import Any

from bird_tf import config

if typing.TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

ROOT = pathlib.Path(__file__).resolve().parent.parent
# {page of the site: the file of the project that it shows}
GUIDES = {
    "reference/configurations.md": "configs/README.md",
    "reference/records.md": "tfrecords/README.md",
    "reference/changelog.md": "CHANGELOG.md",
    "how-to/docker.md": "docker/README.md",
    "contributing/index.md": "CONTRIBUTING.md",
}
_LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)\s#]*)(#[^)\s]*)?\)")


@dataclasses.dataclass(frozen=True)
class Command:
    """A program with flags: its name, its module, and how it is started in a checkout."""

    name: str
    module: str

    @property
    def started(self) -> str:
        """What a user of a checkout types."""
        if self.module == "bird_tf.convert":
            return "python tools/make_tfrecords.py"
        if self.module.startswith("tools."):
            return f"python {self.module.replace('.', '/')}.py"
        return f"python -m {self.module}"


@functools.cache
def commands() -> list[Command]:
    """The installed commands in the order of setup.cfg, then the tools that have flags but are not installed."""
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    scripts = re.findall(r"(\S+) = (\S+):run", setup["options.entry_points"]["console_scripts"])
    installed = [Command(name, module.replace("bird_tf.tools.", "tools.")) for name, module in scripts]
    known = {command.module for command in installed}
    others = [Command(path.stem, f"tools.{path.stem}") for path in sorted((ROOT / "tools").glob("*.py"))]
    return [*installed, *(command for command in others if command.module not in known and flags_of(command))]


def flags_of(command: Command) -> Any:
    """The dataclass of a program's flags; None if it has none."""
    main = getattr(importlib.import_module(command.module), "main", None)
    kinds = [*typing.get_type_hints(main).values()] if isinstance(main, types.FunctionType) else []
    return next((kind for kind in kinds if dataclasses.is_dataclass(kind)), None)


def page_of(command: Command) -> str:
    """The page of a command, Markdown: what it is for, and each flag with its default and meaning, in groups."""
    flags = flags_of(command)
    purpose = inspect.getdoc(importlib.import_module(command.module)) or ""
    also = f", or `{command.name}`" if command.name.startswith("bird-tf-") else ""
    own, groups, defaults = [], [], config.defaults(flags)
    types_of = typing.get_type_hints(flags)
    for field in dataclasses.fields(flags):
        kind = types_of[field.name]
        if dataclasses.is_dataclass(kind):
            groups += [f"## {field.name.replace('_', ' ').capitalize()}", _text(_first_line(kind))]
            groups += [_entry(leaf, defaults[leaf.name]) for leaf, _ in config.leaves(typing.cast(type, kind))]
        else:
            own.append(_entry(field, defaults[field.name]))
    head = [f"# {title(command)}", f"`{command.started}`{also}", _text(purpose)]
    if flagfile := getattr(flags, "DEFAULT_FLAGFILE", ""):
        head.append(f"Without a flagfile, `{flagfile}` counts: the defaults below are its own.")
    return "\n\n".join([*head, "## Flags", *own, *groups]) + "\n"


def title(command: Command) -> str:
    """The name of a command's page."""
    return command.name.removeprefix("bird-tf-")


def _first_line(documented: object) -> str:
    return (inspect.getdoc(documented) or "").partition("\n")[0]


def _entry(field: dataclasses.Field[Any], default: Any) -> str:
    """One flag as an entry of a definition list."""
    shown = ",".join(map(str, default)) if isinstance(default, list) else default
    notes = []
    if field.metadata["required"]:
        notes.append("**required**")
    elif shown not in (None, ""):
        notes.append(f"default `{shown}`")
    if field.metadata["choices"]:
        notes.append("one of " + ", ".join(f"`{choice}`" for choice in field.metadata["choices"]))
    entry = f"`--{field.name}`{{ #{field.name} }}\n:   {_text(field.metadata['help'])}"
    return f"{entry}\n\n    {'; '.join(notes)}" if notes else entry


def _text(plain: str) -> str:
    """Plain text as Markdown: flags and code stand out, all else is as written."""
    quoted = re.split(r"(`[^`]+`|--\w+(?:=[\w./{}|-]*\w)?)", plain)
    return "".join(
        (part if part.startswith("`") else f"`{part}`") if place % 2 else re.sub(r"([\\*_\[\]<>|])", r"\\\1", part)
        for place, part in enumerate(quoted)
    )


def rewrite(markdown: str, page: str, source: str) -> str:
    """Points the links of a file of the project at pages of the site; a link to a file that is no page is only text.

    The page of a command stands for its module.

    Args:
        markdown: the text.
        page: the page's path on the site, as "how-to/docker.md".
        source: the file that it comes from, below the project's root.
    """
    pages = {origin: target for target, origin in GUIDES.items()} | {"README.md": "index.md"}
    pages |= {f"{own.module.replace('.', '/')}.py": f"reference/commands/{title(own)}.md" for own in commands()}

    def link(found: re.Match[str]) -> str:
        image, text, path, anchor = found[1], found[2], found[3], found[4] or ""
        if not path or ":" in path:
            return found[0]
        target = posixpath.normpath(posixpath.join(posixpath.dirname(source), path))
        target = posixpath.join(target, "README.md") if (ROOT / target).is_dir() else target
        target = pages.get(target, target.removeprefix("docs/") if target.startswith("docs/") else "")
        if not target:
            return text
        return f"{image}[{text}]({posixpath.relpath(target, posixpath.dirname(page) or '.')}{anchor})"

    return _LINK.sub(link, markdown)


def fold(markdown: str, width: int = 84) -> str:
    """Breaks the long commands of bash blocks before a flag, so that a page shows them whole; comments come first."""

    def block(found: re.Match[str]) -> str:
        lines = re.sub(r" *\\\n *", " ", found[2]).split("\n")
        return found[1] + "\n".join(_folded(line, width) for line in lines) + found[3]

    return re.sub(r"(```bash\n)(.*?)(\n```)", block, markdown, flags=re.DOTALL)


def _folded(line: str, width: int) -> str:
    command, _, comment = (part.strip() for part in line.partition("  #"))
    if len(line) <= width or not command:
        return line
    lines = [""]
    for part in re.split(r" (?=--)", command):
        if lines[-1] and len(lines[-1]) + len(part) > width - 3:
            lines.append("   ")
        lines[-1] = f"{lines[-1]} {part}" if lines[-1] else part
    return "\n".join([*([f"# {comment}"] if comment else []), " \\\n".join(lines)])


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Adds the commands to the navigation, below the reference."""
    reference = next(entry["Reference"] for entry in config.nav or [] if "Reference" in entry)
    entries = [{title(command): f"reference/commands/{title(command)}.md"} for command in commands()]
    reference.insert(1, {"Commands": entries})
    return config


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Adds the pages of the commands and the guides."""
    from mkdocs.structure.files import File

    made = {f"reference/commands/{title(command)}.md": page_of(command) for command in commands()}
    made |= {page: (ROOT / source).read_text() for page, source in GUIDES.items()}
    for path, content in made.items():
        files.append(File.generated(config, path, content=content))
    return files


def on_page_markdown(markdown: str, *, page: Page, **_: Any) -> str:
    """Rewrites the links of a page, and folds its commands."""
    path = page.file.src_uri
    return fold(rewrite(markdown, path, GUIDES.get(path, f"docs/{path}")))


def on_page_content(html: str, **_: Any) -> str:
    """Marks flags, which the style keeps on one line: browsers break them after their hyphens."""
    return re.sub(r"<code>(--[^<]{1,30})</code>", r'<code class="flag">\1</code>', html)


def on_post_page(output: str, *, page: Page, **_: Any) -> str:
    """Takes the stand-in for a worker from the site, where the theme names one on the net."""
    here = posixpath.relpath("search_worker.js", posixpath.dirname(page.url) or ".")
    return output.replace("https://unpkg.com/iframe-worker/shim", here)


def on_post_template(output: str, *, template_name: str, **_: Any) -> str:
    """The same for the page that says that there is no such page."""
    return output.replace("https://unpkg.com/iframe-worker/shim", "/search_worker.js")
