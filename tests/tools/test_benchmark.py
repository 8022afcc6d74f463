import sys

import pytest

from tools import benchmark


def test_help_names_the_subjects(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["benchmark.py", "--help"])
    benchmark.main()
    assert "Subjects: all, convert, " in capsys.readouterr().out
    monkeypatch.setattr(sys, "argv", ["benchmark.py", "nothing"])
    with pytest.raises(SystemExit, match="name what to measure"):
        benchmark.main()
