import numpy as np
import pytest
import soundfile

from bird_tf.audio import mp3, parts, reports, sound
from tests.audio.conftest import RATE, SECONDS, tone

WHOLE = parts.Layout()


def _zeroed(content, first, count):
    return content[:first] + bytes(count) + content[first + count :]


def _layout(coded, content):
    path = coded.folder / "layout.mp3"
    path.write_bytes(content)
    return mp3.read(str(path))


def _xing(content):
    return content.index(b"Xing")


@pytest.mark.parametrize("name", ["mp3", "vbr.mp3"])
def test_an_undamaged_file_is_left_to_the_decoder(coded, name):
    content = coded(name).content
    tags = b"ID3\x04\0\0\0\0\1\0" + bytes(128)
    for changed in (content, tags + content, content + b"TAG" + bytes(125)):
        assert _layout(coded(name), changed) == WHOLE


@pytest.mark.parametrize("name", ["mp3", "vbr.mp3"])
@pytest.mark.parametrize("count", [1, 300, 9000])
def test_times_behind_damage_stay_right(coded, name, count):
    one = coded(name)
    samples, report = one.read(_zeroed(one.content, one.content.index(b"\xff\xf3", len(one.content) // 3), count))
    # with variable bit rate, the number of lost frames is an estimate
    assert abs(one.lag(samples, SECONDS - 1)) <= (0 if name == "mp3" else 0.2 * RATE)
    assert "damaged in 1 place" in report.loss and 0 < report.lost_seconds < 2.5
    assert one.lag(samples, 2) == 0


def test_bytes_that_are_missing_are_noticed_by_the_number_of_frames(coded):
    one = coded("vbr.mp3")
    cut = one.content[: len(one.content) // 2] + one.content[len(one.content) // 2 + 9000 :]
    samples, report = one.read(cut)
    assert one.lag(samples, SECONDS - 1) == 0 and 1 < report.lost_seconds < 3


@pytest.mark.parametrize("name", ["mp3", "vbr.mp3"])
def test_a_file_that_is_cut_off_gives_what_is_there(coded, name):
    one = coded(name)
    samples, report = one.read(one.content[: len(one.content) // 2 + 5])
    assert one.lag(samples, 4) == 0 and len(samples) < 0.7 * SECONDS * RATE
    if name != "mp3":  # without a number of frames, nobody knows
        assert "last frames are missing" in report.loss and abs(report.seconds - SECONDS) < 0.3


@pytest.mark.parametrize("share", [0.3, 0.05])
def test_a_file_of_which_little_is_left_tells_what_is_lost(coded, share):
    one = coded("vbr.mp3")
    kept = one.content[: round(share * len(one.content))]
    samples, report = one.read(kept)
    assert len(samples) < 2 * share * len(one.samples) and "its last frames are missing" in report.loss
    assert report.seconds == pytest.approx(SECONDS, abs=0.3)
    damaged, report = one.read(_zeroed(kept, len(kept) // 2, 200))
    assert len(damaged) < len(samples) + RATE  # what is missing at the end is not put where it is damaged
    assert report.seconds == pytest.approx(SECONDS, abs=0.3)


@pytest.mark.parametrize("told", [None, 100, 1 << 31])
def test_a_missing_or_wrong_number_of_frames_hides_no_sound(coded, told):
    one = coded("vbr.mp3")
    at = _xing(one.content) + 8
    content = one.content[:at] + (told or 0).to_bytes(4, "big") + one.content[at + 4 :]
    if told is None:
        content = one.content[one.content.index(b"\xff\xf3", 4) :]
    samples, report = one.read(content)
    assert abs(len(samples) - len(one.samples)) < 0.2 * RATE and not report.loss
    assert ("s of sound, the file holds 12.1 s" in report.note) == (told == 1 << 31)


def test_files_one_after_the_other_are_read_to_the_end(coded):
    one = coded("vbr.mp3")
    samples, report = one.read(one.content + b"ID3\x04\0\0\0\0\1\0" + bytes(128) + one.content)
    assert abs(len(samples) - 2 * len(one.samples)) < 0.3 * RATE and not report.loss


def test_a_stream_of_other_channels_is_a_part_of_its_own(coded, tmp_path):
    mono = coded("mp3").content
    soundfile.write(tmp_path / "x.mp3", np.stack([tone(2)] * 2, axis=1), RATE, bitrate_mode="CONSTANT")
    stereo = (tmp_path / "x.mp3").read_bytes()
    layout = _layout(coded("mp3"), mono + stereo + mono)
    sizes = [sum(end - begin for begin, end in part.pieces) for part in layout.parts]
    assert sizes == [len(mono), len(stereo), len(mono)] and not layout.damage
    damaged = _layout(coded("mp3"), mono + stereo + _zeroed(mono, len(mono) // 2, 3000))
    [(start, _)] = damaged.lost
    assert start == pytest.approx(SECONDS + 2 + SECONDS / 2, abs=0.3)
    assert "damaged in 1 place" in damaged.damage and damaged.seconds == pytest.approx(2 * SECONDS + 2, abs=0.4)


def test_a_frame_of_other_channels_is_damage(coded):
    content = bytearray(coded("mp3").content)
    content[content.index(content[:3], len(content) // 2) + 3] ^= 0x80  # mono (11) becomes joint stereo
    layout = _layout(coded("mp3"), bytes(content))
    assert len(layout.parts) == 1 and "damaged in 1 place" in layout.damage


def test_what_is_before_the_first_frame_is_left_out(coded):
    one = coded("mp3")
    samples, report = one.read(b"ID3\x04\0\0\0\0\0\0" + b"no sound" * 100 + one.content)
    assert one.lag(samples, 5) == 0 and report.warnings == ["its first 800 bytes are no sound"]


@pytest.mark.parametrize(
    "content", [b"ID3\x04\0\0\x7f\x7f\x7f\x7f", b"\xff\xfb\x90\xc4" + bytes(900), b"fLaC" + bytes(99)]
)
def test_what_holds_no_frames_is_left_to_the_decoder(coded, content):
    assert _layout(coded("mp3"), content) == WHOLE


@pytest.mark.parametrize(
    ("head", "bit_rate", "rate"), [(b"\xff\xfd\x84\xc0", 128000, 48000), (b"\xff\xf5\x80\xc0", 64000, 22050)]
)
def test_times_behind_damage_in_layer_2_stay_right(tmp_path, head, bit_rate, rate):
    size = 144 * bit_rate // rate
    content = 200 * head.ljust(size, b"\0")  # silent ones
    whole, _ = _read(tmp_path, content)
    samples, report = _read(tmp_path, _zeroed(content, 50 * size, 20 * size + 9))
    assert len(samples) == len(whole) == 200 * 1152
    assert report.lost == [pytest.approx((50 * 1152 / rate, 71 * 1152 / rate))]
    _, report = _read(tmp_path, _zeroed(content, 150 * size, 50 * size))
    assert report.lost_seconds == pytest.approx(50 * 1152 / rate) and "its last frames are missing" in report.loss


def _read(folder, content):
    (folder / "x.mp2").write_bytes(content)
    report = reports.Report()
    with sound.opened(str(folder / "x.mp2"), report) as opened:
        return np.concatenate(list(opened.blocks)), report
