"""What to do after a command: which file to open first and which command follows, as the user types it."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Iterable, Sequence

from absl import logging

# commands whose program in a checkout is a tool
_TOOLS = {
    "convert": "tools/make_tfrecords.py",
    "inspect": "tools/inspect_tfrecords.py",
    "cross-validate": "tools/cross_validate.py",
    "mix": "tools/mix_soundscapes.py",
}
# stands for a folder that the user has and we do not know
NEW_RECORDINGS = "NEW_RECORDINGS"


def command(name: str, **flags: str | bool | Iterable[str]) -> str:
    """A command line, for the shell in which this program was started.

    Args:
        name: of the command, as in `bird-tf-NAME`.
        **flags: their values; True for a switch, several values for a repeated flag.
    """
    tool = _TOOLS.get(name, "")
    installed = os.path.basename(sys.argv[0]).startswith("bird-tf-") or not os.path.exists(tool or "bird_tf")
    words = [f"bird-tf-{name}"] if installed else ["python", tool] if tool else ["python", "-m", f"bird_tf.{name}"]
    for flag, value in flags.items():
        if value is True:
            words.append(f"--{flag}")
        else:
            words += [f"--{flag}={item}" for item in ([value] if isinstance(value, str) else value or ())]
    return shlex.join(words)


def predict(models: Sequence[str], **flags: str | bool | Iterable[str]) -> str:
    """The command that names the birds in new recordings, into a folder with the name of the (first) model's run."""
    parts = os.path.normpath(models[0]).split(os.sep)
    if parts[-1] == "export" and len(parts) > 1:
        parts.pop()
    # runs/cv/fold-0/seed-0 is cv-fold-0-seed-0, so that folds do not share a folder
    below = parts[parts.index("runs") + 1 :] if "runs" in parts[:-1] else parts[-1:]
    output = os.path.join("predictions", "-".join(below))
    return command("predict", model=models, audio=NEW_RECORDINGS, output=output, **flags)


def script(name: str, *arguments: str) -> str:
    """The command that runs a file of tools/, which lies in the package, or beside it in a checkout."""
    package = os.path.dirname(os.path.abspath(__file__))
    found = [os.path.join(folder, "tools", name) for folder in (package, os.path.dirname(package))]
    path = next(filter(os.path.exists, found), name)
    below = os.path.relpath(path)
    return shlex.join(["python", path if below.startswith(os.pardir) else below, *arguments])


def log(*steps: str) -> None:
    """Logs the steps as the last words of a command, each on a line that can be copied."""
    logging.info("next:" + "\n  %s" * len(steps), *steps)
