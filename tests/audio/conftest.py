import dataclasses
import pathlib
import struct
import sys

import numpy as np
import pytest
import soundfile

from bird_tf.audio import reports, sound

RATE = 16000
SECONDS = 12

CODECS = {
    "flac": ("flac", {}),
    "mp3": ("mp3", {"bitrate_mode": "CONSTANT"}),
    "vbr.mp3": ("mp3", {"bitrate_mode": "VARIABLE"}),
    "ogg": ("ogg", {}),
    "opus": ("ogg", {"subtype": "OPUS"}),
    "wav": ("wav", {}),
}


@dataclasses.dataclass(frozen=True)
class Coded:
    """A rising tone with some noise in a compressed format: its file, its bytes, and what is decoded of it."""

    folder: pathlib.Path
    content: bytes
    samples: np.ndarray

    def read(self, content):
        """Decodes other bytes: (samples of the first channel, report)."""
        path = self.folder / "changed"
        path.write_bytes(content)
        return read(path)

    def lag(self, samples, seconds):
        """By how many samples the sound at a time comes too late, by correlation; None if it is not there."""
        start, length = round(seconds * RATE), RATE // 4
        before = min(start, RATE)
        wanted = self.samples[start : start + length]
        around = samples[start - before : start + length + RATE]
        if len(around) < length:
            return None
        found = np.correlate(around, wanted, "valid")
        best = int(np.argmax(found))
        likeness = found[best] / np.linalg.norm(wanted) / max(1e-9, np.linalg.norm(around[best : best + length]))
        return best - before if likeness > 0.95 else None


def read(path, start=0.0):
    """(samples of the first channel, report) of a recording."""
    report = reports.Report()
    with sound.opened(str(path), report, start) as opened:
        blocks = [block[:, 0] for block in opened.blocks]
    return np.concatenate(blocks), report


def tone(seconds=SECONDS, rate=RATE):
    t = np.arange(round(seconds * rate)) / rate
    noise = np.random.default_rng(0).normal(0, 0.02, len(t))
    return 0.4 * np.sin(2 * np.pi * (400 * t + 90 * t**2)) + noise


@pytest.fixture(scope="session")
def coded(tmp_path_factory):
    """Gives a `Coded` by the name of its codec."""
    made = {}

    def make(name):
        if name not in made:
            folder = tmp_path_factory.mktemp("coded")
            suffix, options = CODECS[name]
            path = folder / f"x.{suffix}"
            soundfile.write(path, tone(), RATE, **options)
            made[name] = Coded(folder, path.read_bytes(), read(path)[0])
        return made[name]

    return make


@pytest.fixture
def no_decoder(tmp_path, monkeypatch):
    """Neither ffmpeg nor PyAV is there, but what a test puts into `bin`."""
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setitem(sys.modules, "av", None)


def wav_bytes(samples, rate=RATE, channels=1, claimed=None, code=1, bits=16):
    """A WAV file of 16-bit samples, perhaps with a wrong size in its header."""
    pcm = (np.asarray(samples) * 32767).astype("<i2").tobytes()
    form = struct.pack("<HHIIHH", code, channels, rate, rate * channels * bits // 8, channels * bits // 8, bits)
    size = len(pcm) if claimed is None else claimed
    body = b"WAVEfmt " + struct.pack("<I", len(form)) + form + b"data" + struct.pack("<I", size) + pcm
    return b"RIFF" + struct.pack("<I", min(0xFFFFFFFF, len(body))) + body
