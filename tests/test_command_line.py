import dataclasses
import logging

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
