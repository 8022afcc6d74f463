"""Measures speed: `python tools/benchmark.py SUBJECT --flags`, one subject for each file in tools/benchmarks/.

Every result is a ratio of two times from the same run on the same machine. Nothing here is a test.
"""

import importlib
import pathlib
import sys

from bird_tf import command_line

SUBJECTS = sorted(path.stem for path in (pathlib.Path(__file__).parent / "benchmarks").glob("[a-z]*.py"))


def main() -> None:
    """Runs the subject: its module has a dataclass `Settings` and a function `main(settings)`."""
    if sys.argv[1:] in (["--help"], ["-h"]):
        print(f"{(__doc__ or '').strip()}\n\nSubjects: {', '.join(SUBJECTS)}. `SUBJECT --help` lists its flags.")
        return
    if len(sys.argv) < 2 or sys.argv[1] not in SUBJECTS:
        sys.exit(f"error: name what to measure: {', '.join(SUBJECTS)}; then its flags (SUBJECT --help lists them)")
    subject = importlib.import_module(f"benchmarks.{sys.argv.pop(1)}")
    command_line.run(subject.main, subject.Settings)


if __name__ == "__main__":
    main()
