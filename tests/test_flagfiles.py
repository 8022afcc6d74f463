import pytest

from bird_tf import flagfiles
from tests import damage

GOOD = "# a comment\n\n--epochs=3\n// another\n  --name=a b  \n--noverbose\n"


def _write(path, content):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return str(path)


def test_a_flagfile_has_one_flag_a_line(tmp_path):
    inner = _write(tmp_path / "inner.flags", GOOD)
    outer = _write(tmp_path / "outer.flags", f"\ufeff--first=1\r\n--flagfile={inner}\r\n--last=2")
    flags = ["--epochs=3", "--name=a b", "--noverbose"]
    assert flagfiles.read(inner) == flags
    assert flagfiles.read(outer) == ["--first=1", *flags, "--last=2"]


@pytest.mark.parametrize("argument", ["--x=1", "-x", "--x"])
def test_the_name_of_a_flag(argument):
    assert flagfiles.name_of(argument) == "x"
    assert flagfiles.name_of("x=1") == ""


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (GOOD.encode("utf-16"), "no UTF-8 text"),
        (GOOD.encode("utf-16-le"), "no text of flags"),
        ("--name=ä\n".encode("latin-1"), "no UTF-8 text.*save it as UTF-8"),
        (GOOD + "epochs=3\n", "line 7: 'epochs=3' is not a flag"),
        ("--=1\n", "line 1: '--=1' is not a flag"),
        ("--flagfile={path}\n", "names itself"),
        ("--flagfile=nowhere.flags\n", "nowhere.flags: no such file"),
        ("--flagfile\n", "no such file"),
        ("#" * (2 << 20), "no text of flags"),
    ],
)
def test_what_is_no_flagfile_is_refused(tmp_path, content, message):
    path = tmp_path / "x.flags"
    content = content.replace("{path}", str(path)) if isinstance(content, str) else content
    with pytest.raises(flagfiles.FlagfileError, match=message):
        flagfiles.read(_write(path, content))


def test_flagfiles_that_name_one_another_without_end_are_refused(tmp_path):
    for i in range(2000):
        _write(tmp_path / f"{i}.flags", f"--flagfile={tmp_path / f'{i + 1}.flags'}\n")
    with pytest.raises(flagfiles.FlagfileError, match="10 flagfiles name one another"):
        flagfiles.read(str(tmp_path / "0.flags"))
    with pytest.raises(flagfiles.FlagfileError, match="no UTF-8 text"):
        flagfiles.read(str(tmp_path))


@damage.counts
def test_no_damage_ends_in_anything_but_a_refusal(tmp_path, count):
    path = tmp_path / "x.flags"
    _write(path, GOOD)
    damage.check_reader(path, lambda: flagfiles.read(str(path)), count, "--flagfile", (flagfiles.FlagfileError,))
