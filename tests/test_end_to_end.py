"""The commands as a user types them: the whole way on generated recordings, and what bad input says."""

import ast
import json
import pathlib
import re
import subprocess
import sys

import pytest

from bird_tf import files
from bird_tf.records import manifests
from tools import synthesise

ROOT = pathlib.Path(__file__).parent.parent


def _run(*arguments):
    return subprocess.run(
        [sys.executable, *map(str, arguments)], capture_output=True, text=True, cwd=ROOT, check=False, timeout=300
    )


def _succeed(*arguments):
    done = _run(*arguments)
    assert done.returncode == 0, done.stderr
    # what TensorFlow says of itself reaches no user
    assert not re.search(
        r"All log messages before|^[WEIF]0000 |^\d{4}-\d\d-\d\d .*: [WEIF] ", done.stderr, re.MULTILINE
    )
    return done.stderr


def test_the_whole_way(tmp_path):
    data, made, run = tmp_path / "data", tmp_path / "records", tmp_path / "run"
    synthesise.recordings(str(data), per_species=10, seconds=6.0, rate=22050, seed=1)
    synthesise.soundscape(str(tmp_path / "soundscape"), 12.0, 22050, seed=2, media_id=99)
    _succeed("tools/make_tfrecords.py", "--flagfile=configs/records-demo.flags", f"--audio={data}/wav",
             f"--metadata={data}/xml", f"--output={made}", "--group_by=author", "--workers=2")  # fmt: skip
    log = _succeed("-m", "bird_tf.train", "--flagfile=configs/demo.flags", f"--records={made}", f"--run_dir={run}",
                   "--epochs=16", "--patience=16")  # fmt: skip
    summary, *following = log.split(f"{run}: ", 1)[1].splitlines()
    assert summary.startswith("MLRAP") and following[0].endswith("next:")
    model = f"--model={run}/export"
    _succeed("-m", "bird_tf.evaluate", model, f"--records={made}")
    evaluation = json.loads((run / "evaluation" / "summary.json").read_text())
    # sessions are not shared; chance is 0.43 (simulated); seen: above 0.9
    assert evaluation["mlrap"] > evaluation["chance_mlrap"] + 0.2
    _succeed("-m", "bird_tf.evaluate", model, f"--audio={data}/wav", f"--metadata={data}/xml",
             f"--output={tmp_path}/audio_evaluation")  # fmt: skip
    _succeed("-m", "bird_tf.predict", model, model, f"--audio={data}/wav", f"--output={tmp_path}/predictions",
             "--format=csv,raven,audacity,kaleidoscope")  # fmt: skip
    for task, audio in (("monophone", data), ("soundscape", tmp_path / "soundscape")):
        output = tmp_path / f"{task}.txt"
        _succeed("-m", "bird_tf.submission", f"--task={task}", model, f"--audio={audio}/wav", f"--output={output}")
        log = _succeed("-m", "bird_tf.submission", f"--task={task}", f"--validate={output}", model)
        assert "a valid" in log
    assert _succeed("-m", "bird_tf.export", f"--run_dir={run}", "--tflite")
    assert not list(tmp_path.rglob("*.partial"))


COMMANDS = ["train", "export", "evaluate", "predict", "submission"]


@pytest.mark.parametrize(
    "command", [["tools/make_tfrecords.py"], *(["-m", f"bird_tf.{name}"] for name in COMMANDS)], ids=lambda c: c[-1]
)
def test_help_answers_without_tensorflow(command):
    done = _run("-X", "importtime", *command, "--help")
    assert done.returncode == 0, done.stderr
    module = command[-1].removeprefix("bird_tf.") if command[0] == "-m" else "convert"
    purpose = ast.get_docstring(ast.parse((ROOT / "bird_tf" / f"{module}.py").read_text()))
    assert done.stdout.startswith("usage: python ") and purpose in done.stdout and "Flags:" in done.stdout
    imported = {line.split("|")[-1].strip().split(".")[0] for line in done.stderr.splitlines()}
    assert "bird_tf" in imported and not imported & {"tensorflow", "keras"}


def _bad(tmp_path, *arguments):
    done = _run(*arguments)
    assert done.returncode not in (0, None)
    lines = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1 and "Traceback" not in done.stderr, done.stderr
    return lines[0]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["tools/make_tfrecords.py", "--audio={missing}", "--output={out}"], "missing is not a folder"),
        (["tools/make_tfrecords.py", "--audio={empty}", "--output={out}"], "holds no recordings"),
        (["tools/make_tfrecords.py", "--audio={flat}", "--output={out}"], "layout not recognised"),
        (
            ["tools/make_tfrecords.py", "--audio={flat}", "--metadata={empty}", "--output={out}"],
            "layout not recognised",
        ),
        (["tools/make_tfrecords.py", "--audio={flat}", "--layout=birds", "--output={out}"], "layout"),
        (["tools/make_tfrecords.py", "--audio={flat}", "--ouptut={out}"], "ouptut"),
        (["tools/make_tfrecords.py", "--audio={flat}"], "--output is missing"),
        (["-m", "bird_tf.train", "--records={empty}", "--run_dir={out}"], "manifest.json"),
        (["-m", "bird_tf.train", "--records={missing}", "--run_dir={out}"], "no such records"),
        (["-m", "bird_tf.train", "--flagfile={missing}", "--run_dir={out}"], "missing"),
        (["-m", "bird_tf.export", "--run_dir={empty}"], "not a finished run"),
        (["-m", "bird_tf.evaluate", "--model={empty}", "--records={empty}"], "has no manifest.json"),
        (["-m", "bird_tf.predict", "--model={empty}", "--audio={flat}", "--output={out}"], "not an exported model"),
        (["-m", "bird_tf.predict", "--model={empty}", "--audio={missing}", "--output={out}"], "no such file or folder"),
        (["-m", "bird_tf.submission", "--model={empty}", "--audio={flat}"], "--output is missing"),
        (["-m", "bird_tf.submission", "--validate={missing}"], "missing"),
    ],
)
def test_bad_input_gets_one_line(tmp_path, data, arguments, words):
    (tmp_path / "empty").mkdir()
    places = {name: str(tmp_path / name) for name in ("missing", "empty", "out")} | {"flat": str(data / "wav")}
    assert words in _bad(tmp_path, *(argument.format(**places) for argument in arguments))
    assert not (tmp_path / "out").exists()


def test_the_tracked_sample_of_format_3_is_read():
    sample = manifests.load(str(ROOT / "tfrecords" / "sample"))
    for split in manifests.SPLITS:
        assert sample.num_chunks(split) > 0
        for shard in sample.shards[split]:
            assert files.checksum(str(ROOT / "tfrecords" / "sample" / shard.name)) == shard.checksum
