"""Runs the commands of the documentation as they are written (`make docs-check`).

The bash blocks of a page run in order, each in its own shell, and the notebooks from their first cell, in a scratch
copy of the project. Generated recordings lie there under the names that the pages use (DATA, TEST, …). Long commands
are shortened (SHORTER). Blocks of code with the name of a file, and diffs, change the copy. A block after
<!-- docs-check: skip, REASON --> is listed, not run. All flags are compared with --help.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import itertools
import json
import os
import pathlib
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator

import soundfile

from bird_tf import command_line, config
from bird_tf.audio import noises
from bird_tf.labels.formats import birdclef

ROOT = pathlib.Path(__file__).resolve().parent.parent


def _pages() -> tuple[str, ...]:
    """README.md, the pages of the site in their order, the guides beside the code, then the notebooks (each alone)."""
    listed = re.findall(r"(\S+\.(?:md|ipynb))$", (ROOT / "mkdocs.yml").read_text(), re.MULTILINE)
    guides = ("configs/README.md", "tfrecords/README.md", "docker/README.md", "CONTRIBUTING.md")
    site = [f"docs/{page}" for page in listed if (ROOT / "docs" / page).exists()]
    return tuple(sorted(("README.md", *site, *guides), key=lambda page: page.endswith(".ipynb")))


PAGES = _pages()
# The first that a command contains. To train twice (--refit) and to synthesise noise take longer than all else.
SHORTER = {
    "bird_tf.train --flagfile=configs/head.flags": "--epochs=1",
    "bird_tf.train": "--epochs=1 --filters=4,8,8,8 --norefit --synthetic_noise=20",
    "tools/cross_validate.py": "--epochs=1 --filters=4,8,8,8 --synthetic_noise=20 --only_folds=0,1",
    "tools/mix_soundscapes.py": "--num_mixtures=2 --seconds=10 --calls=2",
}
FOLDERS = ("bird_tf", "configs", "constraints", "docker", "docs", "tests", "tfrecords", "tools")

_SKIP = re.compile(r"<!-- docs-check: skip, ([^>]+?) -->")
_PATH = re.compile(rf"(?<![\w./-])(?:{'|'.join(FOLDERS)})/[\w./-]*\w")
_LINK = re.compile(r"\]\(([^)\s#]+)")
_ADDED_FLAG = re.compile(r"^\+ +(\w+): .* = config\.option\(", re.MULTILINE)
# what starts each of the installed commands
_COMMANDS = {
    "bird-tf-convert": "tools/make_tfrecords.py",
    "bird-tf-inspect": "tools/inspect_tfrecords.py",
    "bird-tf-cross-validate": "tools/cross_validate.py",
    "bird-tf-mix": "tools/mix_soundscapes.py",
    "bird-tf-demo": "tools/demo.py",
    **{
        f"bird-tf-{name}": f"bird_tf.{name}"
        for name in ("train", "selftrain", "export", "evaluate", "predict", "submission", "review", "search")
    },
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class CheckConfig:
    """Flags of the check."""

    pages: tuple[str, ...] = config.option(PAGES, "page to check; may be repeated")
    folder: str = config.option(
        "", "scratch folder to keep, where pages find what those of an earlier check made; empty: a temporary one"
    )
    max_minutes: float = config.option(30.0, "a block that takes longer has failed")
    renew: bool = config.option(False, "write what the cells of the notebooks show into the notebooks")


@dataclasses.dataclass(frozen=True)
class Block:
    """A fenced block: its page, first line, text, the reason why it is not run (empty: it is run), and what it is.

    Commands are bash, a change of the project is a diff, and a new file is any language with its path as the title.
    """

    page: str
    line: int
    text: str
    reason: str
    language: str = "bash"
    path: str = ""


def read(page: str, source: str) -> tuple[list[Block], str]:
    """Splits a page into the blocks that can be run, in order, and the text outside of all fenced blocks."""
    blocks, prose, inside, reason = [], [], None, ""
    for number, line in enumerate(source.splitlines(), start=1):
        if line.startswith("```"):
            if inside is None:
                language, _, title = line[3:].partition(' title="')
                inside, path, text = number + 1, title.rstrip('"'), ""
            else:
                if language in ("bash", "diff") or path:
                    blocks.append(Block(page, inside, text, reason, language, path))
                inside, reason = None, ""
        elif inside is not None:
            text += line + "\n"
        else:
            found = _SKIP.search(line)
            reason = found[1] if found else reason
            prose.append(line)
    return blocks, "\n".join(prose)


def commands(shell: str) -> Iterator[list[str]]:
    """Yields the words of each command in shell lines, without comments and without assignments before it."""
    for line in shell.replace("\\\n", " ").splitlines():
        lexer = shlex.shlex(line, posix=True, punctuation_chars=";&|")
        lexer.whitespace_split = True
        for separator, words in itertools.groupby(lexer, key=lambda word: set(word) <= set(";&|")):
            command = list(itertools.dropwhile(re.compile(r"[A-Z_]+=").match, words))
            if command and not separator:
                yield command


def program(words: list[str]) -> str:
    """Which program of the project a command starts: "bird_tf.MODULE" or "tools/FILE.py"; empty: none."""
    if words[0] != "python" or len(words) < 2:
        return _COMMANDS.get(words[0], "")
    if words[1] == "tools/benchmark.py":
        return " ".join(words[1:3])
    return words[1] if words[1].startswith("tools/") else words[2] if words[1] == "-m" and len(words) > 2 else ""


@functools.cache
def flags(name: str) -> frozenset[str]:
    """The flags that a program's --help lists, also as `noflag`. A program without --help has none."""
    start = ["-m", name] if name.startswith("bird_tf.") else name.split()
    page = subprocess.run(
        [sys.executable, *start, "--help"], cwd=ROOT, capture_output=True, text=True, check=False,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    ).stdout  # fmt: skip
    found = re.findall(r"^  --(\w+)$", page, re.MULTILINE)
    return frozenset([*found, *(f"no{flag}" for flag in found)])


def faults(page: str, source: str) -> list[str]:
    """What a page names that does not exist (flags, files, links, make targets), and commands that are not fenced."""
    blocks, prose = read(page, source)
    spans = [span.replace("…", " ") for span in re.findall(r"`([^`\n]+)`", prose)]
    added = {name for block in blocks for name in _ADDED_FLAG.findall(block.text) if block.language == "diff"}
    anyones = frozenset(added).union(*map(flags, [*_COMMANDS.values(), "tools/data_service.py"]))
    known = {path.name for path in (ROOT / "configs").glob("*.flags")} | {"run.flags"}
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    indented = re.findall(r"^ {4}((?:python|make|bird-tf-[\w-]+) .*)", prose, re.MULTILINE)
    found = [f"{line!r} is indented: fence it as bash, so that it is run" for line in indented]
    for shell in [
        *(block.text for block in blocks if block.language == "bash"),
        *(span for span in spans if "--" in span or "make " in span),
    ]:
        for words in commands(shell):
            if words[0] == "make":
                found += [f"make {word}" for word in words[1:] if "=" not in word and word not in targets]
            name = program(words)
            ours = flags(name) | added if name else anyones if words[0].startswith("--") else None
            named = [word[2:].partition("=")[0] for word in words if word.startswith("--")]
            found += [f"{name or 'commands'} --{flag}" for flag in named if ours is not None and flag not in ours]
    made = {block.path for block in blocks}
    found += [path for path in sorted(set(_PATH.findall(source)) - made) if not _exists(path)]
    found += [name for name in sorted(set(re.findall(r"[\w-]+\.flags", source)) - known)]
    links = {link for link in _LINK.findall(prose) if not re.match(r"\w+:", link)}
    found += [f"link {link}" for link in sorted(links) if not (ROOT / page).parent.joinpath(link).exists()]
    return found


def _exists(path: str) -> bool:
    """Whether a path of the project exists. Names in capitals and converted data belong to the reader and pass."""
    parts = pathlib.PurePosixPath(path).parts
    return any(part.isupper() for part in parts) or parts[:1] == ("tfrecords",) or (ROOT / path).exists()


def scratch(folder: pathlib.Path) -> None:
    """Copies the project, gives it a `.venv` whose python shortens trainings, and makes the recordings.

    In the folder of an earlier check it copies the project again, and leaves all else as it is.
    """
    for entry in ROOT.iterdir():
        if entry.name in FOLDERS:
            ignore = shutil.ignore_patterns("__pycache__") if entry.name != "tfrecords" else _all_but_tracked
            shutil.copytree(entry, folder / entry.name, ignore=ignore, dirs_exist_ok=True)
        elif entry.is_file() and entry.name != ".git":
            shutil.copy2(entry, folder)
    programs = folder / ".venv" / "bin"
    if programs.exists():
        return
    programs.mkdir(parents=True)
    for entry in pathlib.Path(sys.executable).parent.iterdir():
        if not entry.name.startswith(("python", "activate", "bird-tf-")):
            (programs / entry.name).symlink_to(entry)
    cases = "".join(f'*" {name} "*) set -- "$@" {added};;\n' for name, added in SHORTER.items())
    _script(programs / "python", f'case " $* " in\n{cases}esac\nexec {sys.executable} "$@"\n')
    for name, started in _COMMANDS.items():
        _script(programs / name, f'exec python {"" if "/" in started else "-m "}{started} "$@"\n')
    (programs / "activate").write_text(f"PATH={shlex.quote(str(programs))}:$PATH\n")
    (programs.parent / "installed").touch()  # so that make leaves it alone
    lay_out(folder)


def _all_but_tracked(folder: str, names: list[str]) -> set[str]:
    return set(names) - {"README.md", "sample"} if folder.endswith("tfrecords") else set()


def _script(path: pathlib.Path, text: str) -> None:
    path.write_text(f"#!/bin/sh\n{text}")
    path.chmod(0o755)


def lay_out(folder: pathlib.Path) -> None:
    """Makes recordings in every layout that the pages describe, in folders with names in capitals."""
    made = folder / "synthesised"
    program = [sys.executable, "tools/synthesise.py", f"--output={made}", "--per_species=6", "--seconds=6"]
    subprocess.run(program, cwd=folder, env=os.environ | {"PYTHONPATH": str(folder)}, check=True)
    for part, name in (("train", "DATA"), ("test", "TEST"), ("soundscape", "SOUNDSCAPES")):
        (made / part).rename(folder / name)
        (folder / name / "wav").rename(folder / name / "audio")
    shutil.copytree(folder / "TEST" / "audio", folder / "NEW_RECORDINGS")
    min((folder / "NEW_RECORDINGS").iterdir()).rename(folder / "NEW_RECORDINGS" / "dawn.wav")
    samples, _ = soundfile.read(folder / "NEW_RECORDINGS" / "dawn.wav")
    soundfile.write(folder / "NEW_RECORDINGS" / "dawn_32khz.wav", samples, 32000)
    shutil.copytree(folder / "NEW_RECORDINGS", folder / "UNLABELLED")
    (folder / "NO_BIRDS").mkdir()
    soundfile.write(folder / "NO_BIRDS" / "rain.wav", noises.synthesise(1, 32000, 320000, seed=1)[0], 32000)
    kaggle = ["primary_label,secondary_labels,filename,author"]
    described = birdclef.describe(str(folder / "DATA" / "xml"))
    for path in sorted((folder / "DATA" / "xml").glob("*.xml")):
        about = described[path.stem]
        sound = (folder / "DATA" / "audio" / path.name).with_suffix(".wav")
        for target in (folder / "SPECIES_FOLDERS" / about.name, folder / "KAGGLE" / "train_audio" / about.label):
            target.mkdir(parents=True, exist_ok=True)
            shutil.copy(sound, target)
        kaggle.append(f"{about.label},[],{about.label}/{sound.name},{about.author}")
        (folder / "RAVEN").mkdir(exist_ok=True)
        shutil.copy(sound, folder / "RAVEN")
        selection = f"Begin Time (s)\tEnd Time (s)\tSpecies\n0.5\t3.0\t{about.name}\n"
        (folder / "RAVEN" / f"{sound.stem}.Table.1.selections.txt").write_text(selection)
    (folder / "KAGGLE" / "train_metadata.csv").write_text("\n".join(kaggle) + "\n")


def prose_of(page: str, source: str) -> str:
    """The Markdown of a page: of a notebook, that of its cells of text."""
    if not page.endswith(".ipynb"):
        return source
    cells = json.loads(source)["cells"]
    return "\n\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")


def execute(page: str, folder: pathlib.Path, max_minutes: float, *, renew: bool) -> str:
    """Runs the cells of a notebook from a clean state. Returns what went wrong, else ""."""
    import nbclient  # of the extra `docs`
    import nbformat

    notebook = nbformat.read(folder / page, as_version=4)
    client = nbclient.NotebookClient(
        notebook, timeout=60 * max_minutes, resources={"metadata": {"path": str((folder / page).parent)}}
    )
    try:
        client.execute(env={**os.environ, "PYTHONPATH": str(folder)})
    except (nbclient.exceptions.CellExecutionError, nbclient.exceptions.CellTimeoutError) as error:
        return str(error)
    if renew:
        for cell in notebook.cells:
            cell.metadata = {}
            if cell.cell_type == "code":  # progress and warnings differ from run to run
                cell.outputs = [shown for shown in cell.outputs if shown.get("name") != "stderr"]
        nbformat.write(notebook, ROOT / page)
    return ""


def patch(block: Block, folder: pathlib.Path, *flags: str) -> str:
    """Applies a change to a copy of the project. Returns what does not fit, else ""."""
    program = ["patch", "--strip=1", "--fuzz=0", "--forward", "--batch", *flags]
    done = subprocess.run(program, cwd=folder, input=block.text, capture_output=True, text=True, check=False)
    return f"{done.stdout}{done.stderr}" if done.returncode else ""


def run(block: Block, folder: pathlib.Path, max_minutes: float) -> str:
    """Runs a block and ends its background processes. Returns its output if it failed, else ""."""
    if block.path:
        (folder / block.path).write_text(block.text)
        return ""
    if block.language == "diff":
        return patch(block, folder)
    programs = folder / ".venv" / "bin"
    environment = os.environ | {"PATH": f"{programs}:{os.environ['PATH']}", "PYTHONPATH": str(folder)}
    with tempfile.TemporaryFile("w+") as output:
        shell = subprocess.Popen(
            ["bash", "-euo", "pipefail", "-c", block.text],
            cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True,
        )  # fmt: skip
        try:
            failed = f"exit status {shell.returncode}" if shell.wait(60 * max_minutes) else ""
        except subprocess.TimeoutExpired:
            failed = f"still running after {max_minutes:g} minutes"
        finally:  # also when a person stops the check
            with contextlib.suppress(ProcessLookupError):
                os.killpg(shell.pid, signal.SIGKILL)
        output.seek(0)
        return f"{output.read()}\n{failed}" if failed else ""


def main(settings: CheckConfig) -> None:
    """Checks the names first, then runs the blocks. It goes on after a block that fails.

    Raises:
        InputError: something named does not exist, or a block failed.
    """
    pages = {page: prose_of(page, (ROOT / page).read_text()) for page in settings.pages}
    found = [f"{page}: {fault}" for page, source in pages.items() for fault in faults(page, source)]
    if found:
        raise config.InputError(f"the pages name what does not exist: {'; '.join(found)}")
    started, ran, failed, skipped = time.monotonic(), 0, 0, []
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(settings.folder or temporary).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        scratch(folder)
        for page, source in pages.items():
            for block in read(page, source)[0]:
                if block.reason:
                    skipped.append(block)
                    continue
                ran += 1
                failed += _told(f"{page}:{block.line}", functools.partial(run, block, folder, settings.max_minutes))
            if page.endswith(".ipynb"):
                ran += 1
                failed += _told(
                    page, functools.partial(execute, page, folder, settings.max_minutes, renew=settings.renew)
                )
    for block in skipped:
        print(f"{block.page}:{block.line}: not run: {block.reason}")
    print(f"{ran} blocks and notebooks ran in {(time.monotonic() - started) / 60:.0f} minutes, {failed} failed")
    if failed:
        raise config.InputError(f"{failed} blocks of the documentation fail (see above)")


def _told(name: str, check: Callable[[], str]) -> bool:
    """Runs one block or notebook, and prints how it ended. Returns whether it failed."""
    started = time.monotonic()
    output = check()
    outcome = f"{'FAILED' if output else 'ok'} in {time.monotonic() - started:.0f} s"
    print("\n".join([f"{name}: {outcome}", *output.splitlines()[-40:]]), flush=True)
    return bool(output)


if __name__ == "__main__":
    command_line.run(main, CheckConfig)
