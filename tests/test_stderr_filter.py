import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import soundfile

NOTES = (
    b"Warning: Xing stream size off by more than 1%, fuzzy seeking may be even more fuzzy than by design!\n",
    b"Note: Illegal Audio-MPEG-Header 0x54414700 at offset 1.\n",
    b"\nWarning: Real sample count 1 differs from given gapless sample count 2. Frankenstein stream?\n",
    b"[src/libmpg123/layer3.c:INT123_do_layer3():1771] error: dequantization failed!\n",
)
FILTERED = "from bird_tf import stderr_filter\nwith stderr_filter.filtered():\n"


def _run(inside, arguments=()):
    """The standard error of a program that runs `inside` the filter, and its exit status."""
    program = f"import os, sys, time\n{FILTERED}    {inside}\nos.write(2, b'after')"
    command = [sys.executable, "-c", program, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, check=False, timeout=300)
    return done.stderr, done.returncode


@pytest.mark.parametrize("note", NOTES)
def test_a_decoders_notes_are_dropped_and_nothing_around_them(note):
    said = b"before\n" + note + note + b"error: Note: Trying to resync\n\nWarning: of our own\n"
    assert _run(f"os.write(2, {said!r})") == (said.replace(note, b"") + b"after", 0)


def test_a_damaged_file_is_read_in_silence(tmp_path):
    whole, damaged = tmp_path / "whole.mp3", tmp_path / "damaged.mp3"
    soundfile.write(whole, np.random.default_rng(0).normal(0, 0.1, 44100), 22050, format="MP3")
    sound = whole.read_bytes()
    middle = len(sound) // 2
    damaged.write_bytes(sound[:middle] + sound[middle + 77 :] + sound[-2000:])  # a gap, and another length than told
    reads = "import soundfile; soundfile.read(sys.argv[1])"
    loud = subprocess.run([sys.executable, "-c", f"import sys; {reads}", damaged], capture_output=True, check=True)
    assert b"Note: Illegal Audio-MPEG-Header" in loud.stderr and b"Warning: Xing stream size" in loud.stderr
    assert _run(reads, [damaged]) == (b"after", 0)


def test_a_line_without_an_end_is_passed_on_at_once():
    program = f"import os, time\n{FILTERED}    os.write(2, b'\\r 1 %'); time.sleep(600)"
    process = subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.PIPE)
    try:
        assert os.read(process.stderr.fileno(), 100) == b"\r 1 %"
        assert process.poll() is None
    finally:
        process.kill()
        process.communicate()


def test_the_last_words_of_a_crash_are_passed_on():
    said, status = _run("os.write(2, b'Check failed: something\\n'); os.abort()")
    assert (said, status) == (b"Check failed: something\n", -signal.SIGABRT)


def test_it_ends_although_a_process_started_meanwhile_holds_its_input():
    started = time.monotonic()
    inside = "import subprocess; p = subprocess.Popen(['sleep', '120'], stdout=subprocess.DEVNULL)"
    program = f"{FILTERED}    {inside}\np.kill()"
    subprocess.run([sys.executable, "-c", program], check=True, stderr=subprocess.DEVNULL)
    assert time.monotonic() - started < 100


def test_every_command_is_sifted(tmp_path):
    program = f"""
import dataclasses, os, sys
from absl import logging
from bird_tf import command_line, config

@dataclasses.dataclass(frozen=True)
class Settings: pass

def main(settings):
    os.write(2, {NOTES[0]!r})
    logging.info("a word")
    print("another", file=sys.stderr)
    raise config.InputError("the last")

command_line.run(main, Settings)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    first, *rest = done.stderr.splitlines()
    assert first.endswith(" a word") and rest == ["another", "error: the last"] and done.returncode == 1


def test_names_that_are_no_text_are_told_all_the_same():
    assert _run(r"print('caf\udce9.wav', file=sys.stderr)") == (b"caf\\udce9.wav\nafter", 0)
