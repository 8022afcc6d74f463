import dataclasses

import pytest

import bird_tf
from bird_tf import config


@dataclasses.dataclass(frozen=True, kw_only=True)
class Inner:
    sizes: tuple[int, ...] = config.option((3, 5), "sizes")
    kind: str = config.option("a", "kind", choices=("a", "b"))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Outer:
    inner: Inner
    name: str = config.option("", "a name", required=True)
    model: tuple[str, ...] = config.option((), "models")
    rate: float = config.option(0.1, "rate")
    limit: int | None = config.option(None, "limit")
    fast: bool = config.option(False, "fast")


def test_flags_become_a_nested_configuration():
    parsed = config.parse(Outer, ["--name=x", "--sizes=7,9", "--model=m1", "--model=m2", "--fast", "--limit=4"])
    assert parsed == Outer(
        inner=Inner(sizes=(7, 9), kind="a"), name="x", model=("m1", "m2"), rate=0.1, limit=4, fast=True
    )


def test_flagfile_round_trip(tmp_path):
    given = config.parse(Outer, ["--name=with blank", "--kind=b", "--model=a", "--model=b", "--nofast", "--rate=1e-3"])
    file = tmp_path / "run.flags"
    file.write_text(config.to_flagfile(given))
    assert config.parse(Outer, [f"--flagfile={file}"]) == given


def test_json_round_trip():
    given = config.parse(Outer, ["--name=x", "--sizes=1"])
    assert config.from_mapping(Outer, config.to_mapping(given)) == given


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"rate": "1"}, "run.json: --rate must be a number, not '1'"),
        ({"sizes": [1, 2.5]}, r"run.json: --sizes\[1\] must be a whole number, not 2.5"),
        ({"kind": "c"}, "run.json: --kind='c': must be one of a, b"),
        ({"speed": 1}, "run.json: Outer has no field speed"),
    ],
)
def test_values_of_a_file_that_a_flag_cannot_have_are_named(values, message):
    with pytest.raises(config.InputError, match=message):
        config.from_mapping(Outer, values, "run.json")


def test_flags_on_the_command_line_override_the_flagfile_before_and_after_it(tmp_path):
    file = tmp_path / "some.flags"
    file.write_text("# a comment\n--name=first\n--rate=5\n--limit=1\n")
    for flags in (["--name=second"], ["--name", "second"]):
        for arguments in ([f"--flagfile={file}", *flags], [*flags, f"--flagfile={file}"]):
            parsed = config.parse(Outer, arguments)
            assert (parsed.name, parsed.rate, parsed.limit) == ("second", 5.0, 1)
    (tmp_path / "other.flags").write_text("--rate=6\n")
    files = [f"--flagfile={file}", f"--flagfile={tmp_path / 'other.flags'}"]
    assert config.parse(Outer, files).rate == 6.0 and config.parse(Outer, files[::-1]).rate == 5.0


def test_flags_of_one_value_that_are_given_different_ones_are_known(tmp_path):
    file = tmp_path / "some.flags"
    file.write_text("--name=first\n--name=second\n")
    assert config.given_twice(Outer, ["--name=a", "--rate=1", "--name", "b", "--sizes=1", "--sizes=1,2"]) == {
        "name": ["a", "b"], "sizes": ["1", "1,2"],
    }  # fmt: skip
    for flags in (["--name=a", "--name=a"], ["--model=a", "--model=b"], ["--fast", "--nofast", "--fast=false"],
                  [f"--flagfile={file}", "--name=a"], ["--name", "--rate=1", "--rate=2"], ["--name"], []):  # fmt: skip
        assert config.given_twice(Outer, flags) == {}, flags


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--name=x", "--nmae=y"], "nmae"),
        (["--name=x", "--model"], "Missing value for flag --model"),
        (["--rate=1"], "--name is missing"),
        (["--name=x", "--rate=fast"], "--rate=fast: need a number$"),
        (["--name=x", "--kind=c"], r"--kind=c: value should be one of <.*> \(.+\)$"),
        (["--name=x", "--sizes=1,b"], "--sizes=1,b: need a whole number, as 10$"),
        (["--name=x", "stray"], "stray"),
        (["--name=x", "--flagfile=/nowhere.flags"], "nowhere.flags"),
        (["--name=x", "--" + 5000 * "x" + "=1"], r"unknown command line flag 'x{40} …'"),
        (["--name=x", "--rate=nan"], "--rate=nan: must be a number"),
        (["--name=x", "--limit=" + 30 * "9"], "--limit must be a whole number"),
        (["--name=x\ny"], r"'--name=x\\ny' holds a line break"),
    ],
)
def test_bad_flags_are_named(arguments, words):
    with pytest.raises(config.InputError, match=words):
        config.parse(Outer, arguments)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--flagfile={one}"], ("a", "b")),
        (["--flagfile={one}", "--words=c"], ("c",)),
        (["--words=c", "--flagfile={one}", "--words=d"], ("c", "d")),
        (["--flagfile={one}", "--words", "c"], ("c",)),
        (["--flagfile={one}", "--flagfile={two}"], ("e",)),
        (["--words=c", "--flagfile={two}"], ("c",)),
        (["--flagfile={two}", "--flagfile={one}"], ("a", "b")),
        (["--flagfile={one}", "--flagfile={empty}"], ("a", "b")),
    ],
)
def test_of_a_flag_that_may_be_repeated_the_last_place_counts(tmp_path, arguments, words):
    texts = {"one": "--words=a\n--words=b\n--size=1\n", "two": "--words=e\n", "empty": "# nothing\n"}
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    places = {name: tmp_path / name for name in texts}
    assert config.parse(Repeated, [argument.format(**places) for argument in arguments]).words == words


def test_flags_that_are_given_are_those_of_other_values_than_their_defaults():
    def given(*flags):
        return config.given(config.parse(Outer, flags))

    assert given("--name=x", "--sizes=3,5", "--rate=0.1", "--nofast") == ["name"]
    assert given("--name=x", "--sizes=3", "--model=a", "--limit=0") == ["sizes", "name", "model", "limit"]


def test_unknown_stored_field_is_refused():
    with pytest.raises(config.InputError, match="colour"):
        config.from_mapping(Outer, {"name": "x", "colour": 1})


def test_a_flagfile_that_the_package_brings_is_found_by_its_name(tmp_path, monkeypatch):
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "shipped.flags").write_text("--name=from the package\n")
    monkeypatch.setattr(bird_tf, "__file__", str(tmp_path / "__init__.py"))
    monkeypatch.chdir(tmp_path / "configs")
    assert config.parse(Outer, ["--flagfile=elsewhere/shipped.flags"]).name == "from the package"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Repeated:
    words: tuple[str, ...] = config.option((), "words")
    size: int = config.option(0, "size")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Renamed:
    backbone_labels: str = config.option("", "labels", was=("teacher_labels",))
    backbone: str = config.option("", "model", was=("teacher_model",))


def test_a_renamed_flag_is_refused_with_its_new_name_and_read_from_old_files(tmp_path):
    flagfile = tmp_path / "old.flags"
    flagfile.write_text("--teacher_labels=x\n")
    for argument in ("--teacher_labels=x", f"--flagfile={flagfile}"):
        with pytest.raises(config.InputError, match="--teacher_labels is now called --backbone_labels"):
            config.parse(Renamed, [argument])
    flagfile.write_text("--teacher_labels=x\n--teacher_model=y\n")
    told = "--teacher_labels is now called --backbone_labels, --teacher_model is now called --backbone: see CHANGELOG"
    with pytest.raises(config.InputError, match=told):
        config.parse(Renamed, [f"--flagfile={flagfile}", "--backbone=b"])
    assert config.from_mapping(Renamed, {"teacher_labels": "x"}) == Renamed(backbone_labels="x")


@pytest.mark.parametrize("seed", [-1, 2**31])
def test_a_seed_that_numpy_and_tensorflow_cannot_take_is_refused(seed):
    config.check_seed("seed", 2**31 - 1)
    with pytest.raises(config.InputError, match=f"--split_seed={seed}: must be from 0 to 2147483647"):
        config.check_seed("split_seed", seed)
