import dataclasses
import logging
import subprocess
import sys

import pytest

from bird_tf import command_line, config


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    name: str = config.option("", "a name", required=True)
    sizes: tuple[int, ...] = config.option((3, 5), "sizes")
    kind: str = config.option("a", "a kind", choices=("a", "b"))


def test_help_names_every_flag_with_default_and_choices():
    page = command_line.help_page(Settings, "What it does.")
    for words in ("--sizes", "default 3,5", "one of a, b", "required", "--flagfile"):
        assert words in page


@pytest.mark.parametrize(
    ("program", "typed"),
    [
        ("/x/bird_tf/train.py", "python -m bird_tf.train"),
        ("tools/demo.py", "python tools/demo.py"),
        ("/x/.venv/bin/bird-tf-train", "bird-tf-train"),
    ],
)
def test_the_usage_is_what_a_user_types(program, typed):
    assert command_line.usage(Settings, program) == f"usage: {typed} --name=… [--FLAG=VALUE …]"


def test_names_from_outside_do_nothing_to_the_lines_of_a_log():
    told = logging.LogRecord(
        "", logging.INFO, "", 0, "two\nlines: %s, %d, %s", ("a\n\x1b[31m", 3, OSError("x\ny")), None
    )
    assert command_line._Formatter("%(message)s").format(told) == "two\nlines: a\\n\\x1b[31m, 3, x\\ny"


_PROGRAM = """
import dataclasses
from bird_tf import command_line, config

@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    audio: str = config.option("", "a folder", required=True)
    model: tuple[str, ...] = config.option((), "models")

command_line.run(lambda settings: print(settings.audio), Settings)
"""


def test_a_flag_of_one_value_that_is_given_twice_is_told_with_both_values():
    def told(*arguments):
        command = [sys.executable, "-c", _PROGRAM, *arguments]
        ended = subprocess.run(command, capture_output=True, text=True, check=True)
        return ended.stdout, ended.stderr

    output, line = told("--audio=a", "--model=x", "--audio", "b", "--model=y")
    assert output == "b\n" and line.count("\n") == 1
    assert line.endswith("--audio is given more than once; only the last counts: b, not a\n")
    assert told("--audio=a", "--model=x", "--model=y", "--audio=a") == ("a\n", "")
