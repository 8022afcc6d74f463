"""What all commands do around their work: help, the log, signals, and how they end.

Entry points call `command_line.run(main, SomeConfig)`. Nothing else in the package reads the command line.
"""

from __future__ import annotations

import logging as python_logging
import os
import sys
from collections.abc import Callable, Sequence
from typing import TypeVar

from absl import app, flags, logging

import bird_tf
from bird_tf import config, endings, free_text, progress_bars, stderr_filter

Config = TypeVar("Config")

_BUILT_IN_HELP = (
    ("help", "print this page"),
    ("version", "print the version of bird_tf"),
    (
        "flagfile",
        "read flags from this file, or from the package's own file of that name; may be repeated; flags on the command "
        "line replace those of the file, repeated ones too",
    ),
)


def run(main: Callable[[Config], None], config_class: type[Config]) -> None:
    """Parses the command line, calls `main(config)`, and ends the process.

    Exit codes: 0 on success, 1 on an error, `endings.IN_USE` if another command is at work in the output, and 128 plus
    the number of a signal that ended it. An InputError and an error of a file end in one line on standard error; a
    closed pipe ends in none. Any other exception is a defect of ours and shows its traceback.
    """
    try:
        with endings.stopping_on_signals():
            _run(main, config_class)
    except config.Error as error:
        endings.leave(error.exit_code, str(error))
    except KeyboardInterrupt:
        endings.leave(endings.INTERRUPTED, at_once=True)
    except endings.Stopped as stopped:
        endings.leave(int(str(stopped.code)), stopped.line, at_once=True)
    except SystemExit as end:
        if end.code is None or isinstance(end.code, int):
            endings.leave(end.code or 0)
        endings.leave(endings.ERROR, str(end.code).removeprefix("error: "))
    except Exception as error:
        if endings.is_closed_pipe(error):
            endings.leave_quietly()
        if line := endings.line_of(error):
            endings.leave(endings.ERROR, line)
        raise
    endings.leave(0)


class _Formatter(python_logging.Formatter):
    """Lines of a log in which names from outside, as those of files, do nothing to the terminal."""

    def format(self, record: python_logging.LogRecord) -> str:
        """The line of a record. Line ends stay in our own words, and are escaped in what is told of others."""
        told = record.args if isinstance(record.args, tuple) else ()
        record.args = tuple(
            free_text.printable(str(value)) if isinstance(value, str | BaseException) else value for value in told
        )
        return free_text.printable(super().format(record), kept="\n\t")


def _run(main: Callable[[Config], None], config_class: type[Config]) -> None:
    arguments = sys.argv[1:]
    if {"--help", "-help", "-h", "--helpshort"} & set(arguments):
        page = help_page(config_class, sys.modules[main.__module__].__doc__ or "")
        print(f"{usage(config_class, sys.argv[0])}\n\n{page}")  # noqa: T201
        return
    if "--version" in arguments:
        print(f"bird_tf {bird_tf.__version__}")  # noqa: T201
        return
    flags.FLAGS([sys.argv[0]])
    logging.set_verbosity(logging.INFO)
    handler = logging.get_absl_handler().python_handler
    handler.setFormatter(_Formatter("%(asctime)s %(message)s", "%H:%M:%S"))

    def called(_: Sequence[str]) -> None:
        settings = config.parse(config_class, arguments)
        for name, (*lost, last) in config.given_twice(config_class, arguments).items():
            logging.warning(
                "--%s is given more than once; only the last counts: %s, not %s", name, last, ", ".join(lost)
            )
        with stderr_filter.filtered():
            kept = handler.setStream(sys.stderr)  # until now it wrote to the stream that is filtered
            try:
                main(settings)
            finally:
                progress_bars.close_all()
                handler.setStream(kept)

    app.run(called, argv=sys.argv[:1])


def usage(config_class: type, program: str) -> str:
    """How a command is typed: its program, and the flags that it requires.

    Args:
        config_class: its flags.
        program: what was started, as `sys.argv[0]`.
    """
    folder, name = os.path.split(os.path.abspath(program))
    module, package = name.removesuffix(".py"), os.path.basename(folder)
    typed = name
    if name.endswith(".py"):
        typed = f"python -m bird_tf.{module}" if package == "bird_tf" else f"python {package}/{name}"
    required = [f"--{field.name}=…" for field, _ in config.leaves(config_class) if field.metadata["required"]]
    return " ".join(["usage:", typed, *required, "[--FLAG=VALUE …]"])


def help_page(config_class: type, purpose: str) -> str:
    """The text of `--help`: the purpose, then every flag with its meaning and default."""
    lines, values = [purpose.strip(), "", "Flags:"], config.defaults(config_class)
    for field, _ in config.leaves(config_class):
        default = values[field.name]
        shown = ",".join(map(str, default)) if isinstance(default, list) else default
        notes = [f"one of {', '.join(field.metadata['choices'])}"] if field.metadata["choices"] else []
        if field.metadata["required"]:
            notes.append("required")
        elif shown not in (None, ""):
            notes.append(f"default {shown}")
        note = f" ({'; '.join(notes)})" if notes else ""
        lines.append(f"  --{field.name}\n        {field.metadata['help']}{note}")
    lines += [f"  --{name}\n        {help}" for name, help in _BUILT_IN_HELP]
    if flagfile := config.default_flagfile(config_class, []):
        lines.append(f"        Without one, {flagfile} counts: the defaults above are its own.")
    return "\n".join(lines)
