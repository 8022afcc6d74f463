"""What the script hears. tests/inference/formats tests what it says, for each format."""

import ast
import dataclasses
import json
import pathlib
import signal
import subprocess
import sys

import numpy as np
import pytest
import soundfile

from bird_tf.audio import channels, decode, hearing
from bird_tf.inference.formats import parts
from tests import damage
from tools import small_computer


def _described(heard):
    return {**dataclasses.asdict(heard), "samples_before": heard.samples_before}


@pytest.fixture
def recording(generator, tmp_path):
    """Makes a recording of two channels at 8000 Hz, the second one the louder one."""

    def make(seconds):
        path = str(tmp_path / "a.wav")
        samples = generator.normal(0, [0.05, 0.1], (round(8000 * seconds), 2)) + np.array([0.3, 0.0])
        soundfile.write(path, samples, 8000, subtype="FLOAT")
        return path

    return make


@pytest.mark.parametrize(
    ("seconds", "span_samples"), [(0.2, 8000), (1.3, 8000), (2.5, 12000), (10.4, 12001), (10.6, 12000), (20.0, 8000)]
)
def test_it_hears_what_bird_tf_hears(recording, seconds, span_samples):
    path, heard = recording(seconds), hearing.Hearing(sample_rate_hz=8000, chunk_seconds=1.0, span_samples=span_samples)
    starts, ends, spans = zip(*small_computer.spans(path, _described(heard)), strict=True)
    expected = np.concatenate(list(decode.ChunkStream(path, heard, decode.ChunkingConfig(), 4)))
    np.testing.assert_allclose(np.stack(spans), expected, atol=1e-7)
    assert list(starts) == list(range(len(expected))) and ends[-1] == min(len(expected), seconds)


@pytest.mark.parametrize("rate", [8000, 11025])
@pytest.mark.parametrize("channel", ["mix", "loudest", "1", "2"])
def test_it_hears_the_channel_that_the_model_was_trained_on(recording, channel, rate):
    path = recording(1.0)
    expected = np.concatenate(list(decode.blocks(path, rate, channel)))
    found = np.concatenate(list(small_computer._blocks(path, rate, channel)))
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_it_hears_no_more_than_bird_tf_in_what_is_no_sample(recording, tmp_path, capsys):
    path = recording(1.5)
    samples, rate = soundfile.read(path)
    samples[100:500, 0], samples[700] = [np.nan], [np.inf, -1e13]
    soundfile.write(path, samples, rate, subtype="FLOAT")
    for channel in ("mix", "loudest", "1"):
        expected = np.concatenate(list(decode.blocks(path, 8000, channel)))
        np.testing.assert_allclose(
            np.concatenate(list(small_computer._blocks(path, 8000, channel))), expected, atol=1e-7
        )
    assert "a.wav: 401 samples are no finite numbers; zeros" in capsys.readouterr().err
    soundfile.write(path, np.full(8000, np.nan), rate, subtype="FLOAT")
    with pytest.raises(SystemExit, match=r"a\.wav: holds no usable samples"):
        list(small_computer._blocks(path, 8000, "mix"))
    soundfile.write(path, np.zeros((0, 2)), rate)
    with pytest.raises(SystemExit, match=r"a\.wav: holds no usable samples"):
        list(small_computer._blocks(path, 8000, "loudest"))


@pytest.mark.parametrize("suffix", ["wav", "aiff", "au", "flac", "mp3"])
def test_what_can_be_read_of_a_file_that_ends_early_is_used_and_the_rest_told(generator, tmp_path, capfd, suffix):
    path = tmp_path / f"a.{suffix}"
    soundfile.write(path, generator.normal(0, 0.1, 96000), 8000)
    list(small_computer._blocks(str(path), 8000, "mix"))
    assert "decoded" not in capfd.readouterr().err
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 3])
    expected = np.concatenate(list(decode.blocks(str(path), 8000, "mix")))
    for channel in ("mix", "loudest"):
        found = np.concatenate(list(small_computer._blocks(str(path), 8000, channel)))
        np.testing.assert_allclose(found, expected, atol=1e-7)
    assert f"a.{suffix}: {12 - len(expected) / 8000:.1f} of 12.0 s cannot be" in capfd.readouterr().err


def test_words_in_tags_of_an_mp3_tell_no_length(generator, tmp_path):
    path, tag = tmp_path / "a.mp3", b"ID3\4\0\0\0\0\7\x76" + b"Info: dawn, Xing".ljust(7 * 128 + 0x76)
    soundfile.write(path, generator.normal(0, 0.1, 8000), 8000)
    whole = path.read_bytes()
    for content, tells in ((whole, True), (2 * tag + whole, True), (tag + b"\xff\xe3".ljust(999), False), (tag, False)):
        path.write_bytes(content)
        assert small_computer._tells_length(str(path)) == tells


@pytest.mark.parametrize(("share", "cancels"), [(-1.0, True), (-0.7, True), (0.9, False), (0.0, False)])
def test_channels_that_cancel_are_told(generator, tmp_path, capsys, share, cancels):
    path, one = str(tmp_path / "a.wav"), generator.normal(0.1, 0.1, 16000)
    soundfile.write(path, np.stack([one, share * one], axis=1), 8000, subtype="FLOAT")
    list(small_computer._blocks(path, 8000, "mix"))
    assert ("its channels cancel each other" in capsys.readouterr().err) == cancels
    selector = channels.Selector(path, "mix", 2)
    selector.take(np.float32(soundfile.read(path)[0]))
    assert bool(selector.warning()) == cancels


@damage.counts
@pytest.mark.parametrize("name", ["model.json", "classes.csv"])
def test_no_damage_of_a_folder_ends_in_anything_but_a_line(tmp_path, name, count):
    heard = _described(hearing.Hearing(sample_rate_hz=8000, chunk_seconds=1.0, span_samples=12000))
    backbone = {"file": "backbone/b.tflite", "window_shape": [1, 8000], "starts": [0, 4000]}
    (tmp_path / "model.json").write_text(json.dumps({**heard, "backbone": backbone}))
    (tmp_path / "classes.csv").write_text("class_id,name\naa,Avis alba\nbb,Buteo b\n")
    damage.check_reader(tmp_path / name, lambda: small_computer._described(str(tmp_path)), count, allowed=(SystemExit,))


def test_a_table_has_its_name_when_it_is_complete(tmp_path):
    table = tmp_path / "chunks.csv"
    with pytest.raises(BrokenPipeError), small_computer._writing(str(table)) as file:
        file.write("x")
        raise BrokenPipeError
    assert not list(tmp_path.iterdir())
    with small_computer._writing(str(table)) as file:
        file.write("x")
        assert not table.exists()
    assert [path.name for path in tmp_path.iterdir()] == [table.name] and table.read_text() == "x"


def test_what_is_missing_is_told_in_one_line(recording, tmp_path):
    with pytest.raises(SystemExit, match=r"model\.json is not there; write the folder with bird_tf\.export"):
        small_computer.main(str(tmp_path), recording(1.0))
    heard = _described(hearing.Hearing(sample_rate_hz=8000, chunk_seconds=1.0, span_samples=8000))
    (tmp_path / "model.json").write_text(json.dumps({**heard, "backbone": None}))
    (tmp_path / "classes.csv").write_text("class_id,name\n")
    with pytest.raises(SystemExit, match=r"has no network_int8\.tflite; it has a\.wav, classes\.csv, model\.json"):
        small_computer.main(str(tmp_path), recording(1.0), "int8")
    (tmp_path / "model.json").write_text(json.dumps({"format_version": parts.FORMAT_VERSION + 1}))
    with pytest.raises(SystemExit, match=r"a newer bird_tf wrote .*model\.json; copy the small_computer\.py"):
        small_computer.main(str(tmp_path), recording(1.0))
    assert small_computer.FORMAT_VERSION == parts.FORMAT_VERSION
    with pytest.raises(SystemExit, match=r"hears channel 3, and .* has 2"):
        next(small_computer._blocks(recording(1.0), 8000, "3"))


def test_it_needs_no_more_than_its_page_says():
    tree = ast.parse(pathlib.Path(small_computer.__file__).read_text())
    names = [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
    names += [node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    assert {name.split(".")[0] for name in names} - sys.stdlib_module_names == {"numpy", "soundfile"}


def test_a_signal_ends_it_in_one_line(tmp_path):
    (tmp_path / "model.json").write_text("{}")
    program = f"""import json, os, runpy, signal, sys
sys.argv = [{small_computer.__file__!r}, {str(tmp_path)!r}, "a.wav"]
json.load = lambda _: os.kill(os.getpid(), signal.SIGTERM)
runpy.run_path(sys.argv[0], run_name="__main__")"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (128 + signal.SIGTERM, "error: stopped by SIGTERM\n")
