import numpy as np
import pytest

from bird_tf.audio import ogg, parts
from tests.audio.conftest import RATE, SECONDS, read

CODECS = ["ogg", "opus"]


def _layout(coded, content):
    path = coded.folder / "layout.ogg"
    path.write_bytes(content)
    return ogg.read(str(path))


def _pages(content):
    """First bytes of the pages."""
    found, at = [], -1
    while (at := content.find(b"OggS", at + 1)) >= 0:
        found.append(at)
    return found


@pytest.mark.parametrize("name", CODECS)
def test_an_undamaged_file_is_left_to_the_decoder(coded, name):
    assert _layout(coded(name), coded(name).content) == parts.Layout()


@pytest.mark.parametrize("name", CODECS)
@pytest.mark.parametrize("damage", ["a bit", "a page is missing", "noise"])
def test_times_behind_damage_stay_right(coded, name, damage):
    one, content = coded(name), coded(name).content
    first, last = _pages(content)[4:6]
    changed = {
        "a bit": content[: first + 200] + bytes([content[first + 200] ^ 4]) + content[first + 201 :],
        "a page is missing": content[:first] + content[last:],
        "noise": content[:first] + bytes(range(256)) * 20 + content[last:],
    }[damage]
    samples, report = one.read(changed)
    assert one.lag(samples, SECONDS - 1) == 0 and one.lag(samples, 1) == 0
    assert 0 < report.lost_seconds < 3 and "pages are missing or damaged" in report.loss


@pytest.mark.parametrize("name", CODECS)
@pytest.mark.parametrize("is_cut_out", [False, True])
@pytest.mark.parametrize("behind", [False, True])
def test_damage_at_the_beginning_leaves_times_right(coded, name, is_cut_out, behind):
    one, content = coded(name), bytearray(coded(name).content)
    first, second, *_, later = _pages(content)[2:8]
    content[later + 200] ^= 4 * behind
    content[first:second] = b"" if is_cut_out else bytes(second - first)
    samples, report = one.read(bytes(content))
    start, end = report.lost[0]
    assert one.lag(samples, SECONDS - 2) == 0 == one.lag(samples, end + 0.1)
    assert start == 0 < end < 3 and not samples[: round(end * RATE)].any() and len(report.lost) == 1 + behind
    assert report.seconds == pytest.approx(SECONDS, abs=0.1)
    np.testing.assert_array_equal(read(one.folder / "changed", start=1.5)[0], samples[round(1.5 * RATE) :])


@pytest.mark.parametrize("name", CODECS)
def test_a_file_that_is_cut_off_gives_its_whole_pages(coded, name):
    one = coded(name)
    samples, report = one.read(one.content[: len(one.content) // 2])
    assert one.lag(samples, 3) == 0 and "last page is damaged" in report.loss
    assert len(samples) / RATE + report.lost_seconds == pytest.approx(SECONDS / 2, abs=1)


@pytest.mark.parametrize("name", CODECS)
def test_what_is_behind_the_last_page_is_no_loss(coded, name):
    one = coded(name)
    samples, report = one.read(one.content + bytes(50_000))
    np.testing.assert_array_equal(samples, one.samples)
    assert report.note == ""


@pytest.mark.parametrize("name", CODECS)
def test_streams_one_after_the_other_are_read_to_the_end(coded, name):
    one = coded(name)
    samples, report = one.read(one.content * 2)
    assert len(samples) == 2 * len(one.samples) and not report.loss
    assert one.lag(samples[len(one.samples) :], 5) == 0


@pytest.mark.parametrize("content", [b"OggS", b"OggS" + bytes(40), b"OggS" * 50])
def test_what_holds_no_pages_is_left_to_the_decoder(coded, content):
    assert _layout(coded("ogg"), content) == parts.Layout()


def test_without_its_first_pages_nothing_can_be_decoded(coded):
    content = coded("ogg").content
    assert _layout(coded("ogg"), content[_pages(content)[2] :]).parts == (parts.Part(),)


def _with_positions(content, added, pages=0):
    """The file as if its stream had been recorded from its middle on, with so many pages before."""
    content = bytearray(content)
    for at in _pages(content)[2:]:
        position = int.from_bytes(content[at + 6 : at + 14], "little")
        content[at + 6 : at + 14] = (position + added).to_bytes(8, "little")
        number = int.from_bytes(content[at + 18 : at + 22], "little")
        content[at + 18 : at + 22] = (number + pages).to_bytes(4, "little")
        length = 27 + content[at + 26] + sum(content[at + 27 : at + 27 + content[at + 26]])
        content[at + 22 : at + 26] = bytes(4)
        checksum = ogg._checksum(bytes(content[at : at + length]))
        content[at + 22 : at + 26] = checksum.to_bytes(4, "little")
    return bytes(content)


def test_a_stream_recorded_from_its_middle_on_begins_at_its_first_page(coded):
    one = coded("ogg")
    content = _with_positions(one.content, 1 << 40)
    samples, report = one.read(content)
    assert len(samples) == pytest.approx(len(one.samples), abs=RATE) and not report.note
    first, last = _pages(content)[4:6]
    samples, report = one.read(content[:first] + content[last:])
    assert abs(one.lag(samples, SECONDS - 3)) < RATE and report.seconds == pytest.approx(SECONDS, abs=1.5)


@pytest.mark.parametrize("name", CODECS)
def test_a_stream_is_not_silent_for_the_time_before_its_recording(coded, name):
    one = coded(name)
    samples, report = one.read(_with_positions(one.content, 3600 * 48000, pages=3600))
    assert report.seconds == pytest.approx(SECONDS, abs=1.5) and report.lost_seconds < 1.5
    assert abs(one.lag(samples, SECONDS - 3)) < RATE


def test_streams_of_unknown_kind_behind_the_first_are_told(coded):
    content = coded("ogg").content
    renamed = bytearray(content)
    renamed[renamed.index(b"vorbis")] = 0x56
    length = 27 + renamed[26] + sum(renamed[27 : 27 + renamed[26]])
    renamed[22:26] = bytes(4)
    renamed[22:26] = ogg._checksum(bytes(renamed[:length])).to_bytes(4, "little")
    assert _layout(coded("ogg"), content + bytes(renamed)).damage == "of its streams, only the first is read"
    assert _layout(coded("ogg"), bytes(renamed)) == parts.Layout()
