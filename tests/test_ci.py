"""What CI runs, with a `make` that only says what it is asked for."""

import os
import pathlib
import shutil
import subprocess

import pytest

ROOT = pathlib.Path(__file__).parent.parent
NOTE = "constraints/newest-passed.txt"
ALWAYS = ["setup", "lint", "type", "test"]


@pytest.fixture
def ci(tmp_path):
    """A checkout with the files that CI looks at, and a function that runs it: (exit code, targets of make)."""
    for name in (".ci/run", "setup.cfg", "pyproject.toml", "constraints/newest.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    fake = tmp_path / "bin" / "make"
    fake.parent.mkdir()
    fake.write_text('#!/bin/sh\necho "$@" >>"$TARGETS"\ntest "$@" != "$FAILS"\n')
    fake.chmod(0o755)
    _note(tmp_path)

    def run(fails=""):
        targets = tmp_path / "targets"
        targets.unlink(missing_ok=True)
        environment = {**os.environ, "PATH": f"{fake.parent}:{os.environ['PATH']}", "TARGETS": targets, "FAILS": fails}
        code = subprocess.run(["bash", tmp_path / ".ci" / "run"], env=environment, cwd="/", check=False).returncode
        return code, targets.read_text().split()

    return run


def _note(folder):
    """What `make test-newest` does when the tests have passed."""
    [command] = [line[2:] for line in (ROOT / "Makefile").read_text().splitlines() if line.endswith(f">{NOTE}")]
    subprocess.run(["sh", "-c", command], cwd=folder, check=True)


def test_dependencies_that_have_passed_are_not_tried_again(ci, tmp_path):
    assert ci() == (0, ALWAYS)
    setup = (tmp_path / "setup.cfg").read_text()
    (tmp_path / "setup.cfg").write_text(setup.replace("packages =\n", "packages =\n    bird_tf.new\n"))
    assert ci() == (0, ALWAYS)


@pytest.mark.parametrize("name", ["setup.cfg", "pyproject.toml", "constraints/newest.txt", NOTE])
def test_others_are_tried_on_the_newest_tensorflow_until_they_have_passed(ci, tmp_path, name):
    with open(tmp_path / name, "a") as file:
        file.write("\n")
    assert ci() == (0, [*ALWAYS, "test-newest"])
    assert ci(fails="test-newest") == (1, [*ALWAYS, "test-newest"])
    _note(tmp_path)
    assert ci() == (0, ALWAYS)
    (tmp_path / NOTE).unlink()
    assert ci() == (0, [*ALWAYS, "test-newest"])


@pytest.mark.parametrize("target", ALWAYS)
def test_a_failure_ends_it(ci, target):
    assert ci(fails=target) == (1, ALWAYS[: ALWAYS.index(target) + 1])


def test_the_set_up_empties_no_folder_behind_a_link(tmp_path):
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared" / "kept").touch()
    (tmp_path / ".venv").symlink_to("shared")
    for name in ("Makefile", "setup.cfg", "pyproject.toml", "constraints"):
        (tmp_path / name).symlink_to(ROOT / name)
    done = subprocess.run(["make", "setup"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode and ".venv is a link" in done.stderr
    assert [path.name for path in (tmp_path / "shared").iterdir()] == ["kept"]
