import errno
import os
import signal
import subprocess
import sys
import time

import pytest

from bird_tf import endings, files, tf

# A command that writes a file, or does something else, inside `command_line.run`.
_PROGRAM = """
import dataclasses, os, signal, sys, time
from absl import logging
from bird_tf import command_line, config, files, locks

@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    output: str = config.option("", "output", required=True)

def main(settings):
    with locks.held(settings.output, work="test", flag="--output"):
        with files.writing_text(settings.output + "/result") as write:
            write("half")
            {body}

command_line.run(main, Settings)
"""


def _start(tmp_path, body, **options):
    command = [sys.executable, "-c", _PROGRAM.format(body=body), f"--output={tmp_path / 'out'}"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)


def _run(tmp_path, body):
    process = _start(tmp_path, body)
    output, errors = process.communicate()
    return process.returncode, output, errors


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_leaves_nothing_behind_and_one_line(tmp_path, number):
    # below nohup the signal would be ignored
    heard = {"preexec_fn": lambda: signal.signal(number, signal.SIG_DFL)}
    process = _start(tmp_path, "print('at work', flush=True); time.sleep(60)", **heard)
    assert process.stdout.readline() == "at work\n"
    process.send_signal(number)
    _, errors = process.communicate()
    assert process.returncode == 128 + number
    assert errors.count("\n") == 1 and f"error: stopped by {number.name}" in errors
    assert not (tmp_path / "out").exists()


def test_a_signal_that_comes_in_a_destructor_ends_the_command_too(tmp_path):
    body = (
        "from bird_tf import endings; endings._MOST_SECONDS_TO_STOP = 0.2; "
        "Gone = type('Gone', (), {'__del__': lambda _: (os.kill(os.getpid(), 15), time.sleep(0.01))}); "
        "Gone(); time.sleep(60)"
    )
    code, _, errors = _run(tmp_path, body)
    assert code == -signal.SIGTERM and "Stopped" in errors


@pytest.mark.parametrize(("number", "line"), [(15, "error: stopped by SIGTERM"), (1, "error: stopped"), (2, "")])
def test_a_signal_of_which_foreign_code_makes_an_error_is_still_the_ending(tmp_path, number, line):
    """As TensorFlow does while it traces a function."""
    body = f"""try: signal.signal({number}, signal.getsignal({number})); os.kill(os.getpid(), {number}); time.sleep(60)
            except BaseException as error: raise RuntimeError("error_already_set") from error"""
    usual = signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL
    process = _start(tmp_path, body, preexec_fn=lambda: signal.signal(number, usual))
    _, errors = process.communicate()
    assert process.returncode == 128 + number
    assert errors.startswith(line) and errors.count("\n") == bool(line)


def test_a_thread_at_work_does_not_keep_a_stopped_command_alive(tmp_path):
    body = "import threading; threading.Thread(target=time.sleep, args=(60,)).start(); os.kill(os.getpid(), 15)"
    started = time.monotonic()
    assert _run(tmp_path, body)[0] == 128 + signal.SIGTERM
    assert time.monotonic() - started < 30


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_signal_to_all_processes_of_a_job_ends_in_the_same_line(tmp_path, number):
    body = f"""children = open(f"/proc/self/task/{{os.getpid()}}/children").read().split()
            time.sleep(0.5)
            [os.kill(int(child), {int(number)}) for child in children]
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(60)"""
    code, _, errors = _run(tmp_path, body)
    assert code == 128 + signal.SIGTERM and errors.startswith("error: stopped by SIGTERM") and errors.count("\n") == 1


def test_a_hangup_that_is_ignored_stays_ignored(monkeypatch):
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with endings.stopping_on_signals():
            os.kill(os.getpid(), signal.SIGHUP)
        with pytest.raises(endings.Stopped), endings.stopping_on_signals():
            os.kill(os.getpid(), signal.SIGTERM)
    finally:
        signal.signal(signal.SIGHUP, before)
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


@pytest.mark.parametrize(
    ("body", "line"),
    [
        ("raise OSError(errno.ENOSPC, '')", "out/result: the disk is full; make room and repeat the command"),
        ("raise OSError(errno.EROFS, os.strerror(errno.EROFS), 'a/b')",
         "a/b: Read-only file system; change its permissions, or name another place"),
        ("import shutil; shutil.rmtree(settings.output)",
         "out/result: No such file or directory; was it moved or removed?"),
        ("raise locks.InUseError('busy')", "busy"),
    ],
)  # fmt: skip
def test_an_error_of_the_disk_is_one_line_and_no_file(tmp_path, body, line):
    code, _, errors = _run(tmp_path, f"import errno; {body}")
    assert errors.startswith("error: ") and errors.endswith(f"{line}\n") and errors.count("\n") == 1
    assert code == (endings.IN_USE if line == "busy" else endings.ERROR)
    assert not (tmp_path / "out").exists()


def test_a_defect_of_ours_shows_its_traceback(tmp_path):
    code, _, errors = _run(tmp_path, "raise ValueError('a defect')")
    assert code == 1 and "Traceback" in errors and not (tmp_path / "out").exists()


@pytest.mark.parametrize("body", ["print('x' * 100, flush=True)", "print('x')", "logging.info('x'); print(1)"])
def test_a_reader_that_goes_ends_the_command_quietly(tmp_path, body):
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-c", _PROGRAM.format(body=body), f"--output={tmp_path / 'out'}"]
    done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writing)
    assert done.returncode == 128 + signal.SIGPIPE
    assert [line for line in done.stderr.splitlines() if not line.endswith(" x")] == []


def test_a_broken_connection_is_not_taken_for_a_closed_pipe(tmp_path):
    code, _, errors = _run(tmp_path, "raise BrokenPipeError(32, 'Broken pipe')")
    assert (code, errors) == (1, "error: Broken pipe\n")


def test_help_may_be_cut(tmp_path):
    command = f"{sys.executable} -m bird_tf.train --help | head -1"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=True)
    assert done.stdout.count("\n") == 1 and not done.stderr


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (OSError("no number"), "no number"),
        (PermissionError(errno.EACCES, "Permission denied", b"/x\xff"), "/x\udcff: Permission denied; change its"),
        (FileExistsError(errno.EEXIST, "File exists", "x.py"), "x.py: File exists; name another place"),
        (ZeroDivisionError(), None),
    ],
)  # fmt: skip
def test_errors_of_files_have_a_line(error, line):
    found = endings.line_of(error)
    assert found == line or (line and found.startswith(line))


def test_errors_of_files_in_tensorflow_have_a_line_and_others_are_defects():
    full = tf.errors.ResourceExhaustedError(None, None, "{{function_node x}} a/b; No space left on device Failed")
    assert endings.line_of(full) == "a/b: the disk is full; make room and repeat the command"
    assert endings.line_of(tf.errors.NotFoundError(None, None, "a/b; No such file")) == "a/b; No such file"
    assert endings.line_of(tf.errors.InvalidArgumentError(None, None, "shapes differ")) is None


def test_an_error_of_a_temporary_file_names_the_file_that_it_would_become(tmp_path):
    path = str(tmp_path / "x")
    with pytest.raises(FileNotFoundError) as error, files.replacing(path) as temporary:
        open(os.path.join(temporary)).close()
    assert error.value.filename == path


def test_a_line_of_any_length_is_cut_in_its_middle(capsys, monkeypatch):
    monkeypatch.delitem(sys.modules, "tensorflow_io.python", raising=False)  # with it, the process would end at once
    with pytest.raises(SystemExit):
        endings.leave(1, f"--columns={'x' * 5000}\n\x1b[31m: write WHAT=COLUMN")
    told = capsys.readouterr().err
    assert len(told) < 1100 and told.startswith("error: --columns=xxx") and told.count("\n") == 1
    assert " … xxx" in told and told.endswith("\\x1b[31m: write WHAT=COLUMN\n")
