import importlib
import pathlib

import pytest


@pytest.fixture
def benchmark(monkeypatch):
    """`all` as `python tools/benchmark.py all` finds it."""
    monkeypatch.syspath_prepend(str(pathlib.Path(__file__).parent.parent.parent / "tools"))
    return importlib.import_module("benchmarks.all")


@pytest.mark.slow
def test_its_table_has_a_row_of_each_subject_with_its_ratio(benchmark, capsys):
    benchmark.main(benchmark.Settings(rounds=1, tiny=True))
    lines = capsys.readouterr().out.splitlines()
    start = lines.index("| measured | result | reference | ratio |")
    rows = [line.strip("| ").split(" | ") for line in lines[start + 2 :]]
    assert {row[0].split(",")[0] for row in rows} == {"convert", "input", "train", "predict", "front-end"}
    assert all(len(row) == 4 and float(row[3]) >= 0 for row in rows)
    assert "tensorflow 2." in lines[start - 2] and "`python tools/benchmark.py all" in lines[start - 2]
