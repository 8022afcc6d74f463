"""The wheel by itself: installed outside of the checkout, it brings every command and flagfile."""

import configparser
import importlib.metadata
import os
import pathlib
import subprocess
import sys

import pytest
from packaging import specifiers

from tools import synthesise

ROOT = pathlib.Path(__file__).parent.parent


def _pins():
    """(name, version) of what the certified set pins and this environment has."""
    for line in (ROOT / "constraints" / "certified.txt").read_text().splitlines():
        name, _, version = line.partition("==")
        try:
            if version and importlib.metadata.version(name) == version:
                yield name, version
        except importlib.metadata.PackageNotFoundError:
            continue


def test_the_pins_fit_every_python_that_we_support():
    settings = configparser.ConfigParser()
    settings.read(ROOT / "setup.cfg")
    supported = specifiers.SpecifierSet(settings["options"]["python_requires"])
    versions = [python for minor in range(30) if (python := f"3.{minor}.9") in supported]
    assert len(versions) > 1
    pins = list(_pins())
    assert len(pins) > 20
    needed = {name: importlib.metadata.metadata(name).get("Requires-Python", "") for name, _ in pins}
    refused = {
        f"{name}=={pin} on {python}"
        for name, pin in pins
        for python in versions
        if python not in specifiers.SpecifierSet(needed[name])
    }
    assert not refused


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A folder with nothing but the installed wheel; its dependencies are those of this environment."""
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    build = [*pip, "wheel", "--no-deps", "--no-build-isolation", f"--wheel-dir={folder}", str(ROOT)]
    subprocess.run(build, check=True, cwd=folder)
    [wheel] = folder.glob("bird_tf-*.whl")
    target = folder / "site"
    subprocess.run([*pip, "install", "--no-deps", f"--target={target}", str(wheel)], check=True, cwd=folder)
    return target


@pytest.mark.slow
def test_every_command_works_without_a_checkout(installed, tmp_path):
    environment = os.environ | {"PYTHONPATH": str(installed)}

    def run(*words):
        program = installed / "bin" / words[0]
        done = subprocess.run(
            [sys.executable, str(program), *words[1:]], cwd=tmp_path, env=environment, capture_output=True, text=True,
            check=False, timeout=600,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout + done.stderr

    where = subprocess.run(
        [sys.executable, "-c", "import bird_tf; print(bird_tf.__file__)"],
        cwd=tmp_path, env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert where.stdout.startswith(str(installed))
    synthesise.recordings(str(tmp_path / "data"), per_species=3, seconds=4.0, rate=22050, seed=1)
    source = ("--audio=data/wav", "--metadata=data/xml")
    run("bird-tf-convert", "--flagfile=records-demo.flags", *source, "--output=records", "--val_share=0.3")
    run("bird-tf-train", "--flagfile=configs/baseline.flags", "--records=records", "--run_dir=run", "--epochs=1")
    run("bird-tf-export", "--run_dir=run")
    run("bird-tf-evaluate", "--model=run/export", "--records=records")
    run("bird-tf-predict", "--model=run/export", "--audio=data/wav", "--output=predictions", "--format=csv,raven")
    run("bird-tf-submission", "--task=monophone", "--model=run/export", "--audio=data/wav", "--output=run.txt")
    made = {path.name for path in tmp_path.iterdir()}
    assert {"records", "run", "predictions", "run.txt"} <= made
    assert (tmp_path / "run" / "evaluation" / "report.html").exists()


@pytest.mark.slow
def test_it_brings_every_flagfile(installed):
    brought = {path.name for path in (installed / "bird_tf" / "configs").glob("*.flags")}
    assert brought == {path.name for path in (ROOT / "configs").glob("*.flags")}
