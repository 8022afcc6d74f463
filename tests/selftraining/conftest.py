"""Unlabelled recordings."""

import shutil

import pytest


@pytest.fixture
def unlabelled(data, tmp_path):
    """A folder with five recordings of `data`, and one that is damaged."""
    folder = tmp_path / "unlabelled"
    (folder / "deep").mkdir(parents=True)
    for number, path in enumerate(sorted((data / "wav").iterdir())[:5]):
        shutil.copy(path, folder / "deep" / f"{number}.wav")
    (folder / "broken.wav").write_bytes(b"x")
    return folder
