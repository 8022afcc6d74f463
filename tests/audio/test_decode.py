import math
import os

import numpy as np
import pytest
import soundfile
import soxr

from bird_tf import config
from bird_tf.audio import decode, frontend, hearing

RATE = 8000


@pytest.fixture
def front_end():
    return frontend.FrontendConfig(
        sample_rate_hz=RATE, chunk_seconds=0.5, num_bands=8, num_frames=16, n_fft=256, fmax_hz=4000.0
    )


def _write(path, samples, rate=RATE, **options):
    soundfile.write(path, samples, rate, **options)
    return str(path)


def _all(path, front_end, **values):
    stream = decode.ChunkStream(path, front_end, decode.ChunkingConfig(**values), batch_size=4)
    return np.concatenate(list(stream)), stream


@pytest.mark.parametrize(
    ("suffix", "tolerance"), [("wav", 1e-4), ("flac", 1e-4), ("ogg", 0.05), ("mp3", 0.05), ("aiff", 1e-4)]
)
def test_formats_of_libsndfile_are_read(tmp_path, suffix, tolerance):
    tone = 0.5 * np.sin(2 * np.pi * 440 * np.arange(2 * RATE) / RATE)
    read = np.concatenate(list(decode.blocks(_write(tmp_path / f"x.{suffix}", tone), RATE)))
    middle = slice(RATE // 2, RATE)
    # lossy formats may shift the signal by the delay of their coder, so compare the standard deviations
    assert abs(np.std(read[middle]) - np.std(tone[middle])) < tolerance


def test_channels_are_averaged(tmp_path, generator):
    stereo = generator.uniform(-0.5, 0.5, (1000, 2)).astype(np.float32)
    path = _write(tmp_path / "x.wav", stereo, subtype="FLOAT")
    np.testing.assert_allclose(np.concatenate(list(decode.blocks(path, RATE))), stereo.mean(axis=1), atol=1e-7)


@pytest.mark.parametrize("rate", [11025, 22050, 44100, 48000, 96000])
def test_resampling_matches_that_of_soxr_in_one_piece(tmp_path, generator, rate):
    """As librosa.load does it with soxr_hq."""
    samples = generator.normal(0, 0.1, 25 * rate).astype(np.float32)  # several blocks
    path = _write(tmp_path / "x.wav", samples, rate, subtype="FLOAT")
    expected = soxr.resample(samples, rate, RATE, quality="HQ")
    ours = np.concatenate(list(decode.blocks(path, RATE)))
    n = min(len(ours), len(expected))
    assert abs(len(ours) - len(expected)) <= 1
    # soxr rounds differently in a stream than in one piece
    np.testing.assert_allclose(ours[:n], expected[:n], atol=1e-4)


def test_a_thread_that_decodes_ahead_changes_nothing(tmp_path, generator):
    path = _write(tmp_path / "x.wav", generator.normal(0, 0.1, 35 * 11025), 11025)
    plain, threaded = (np.concatenate(list(decode.blocks(path, RATE, ahead=ahead))) for ahead in (False, True))
    assert plain.tobytes() == threaded.tobytes()
    with pytest.raises(decode.UnreadableError, match="--channel=2"):
        list(decode.blocks(path, RATE, "2", ahead=True))


@pytest.mark.parametrize("overlap", [0.0, 0.1, 0.25, 0.4])
@pytest.mark.parametrize("samples", [1, 1999, 2000, 4000, 4001, 5999, 6000, 40000, 43210])
def test_number_and_position_of_chunks_follow_the_formula(tmp_path, front_end, samples, overlap):
    sound = np.linspace(-0.9, 0.9, samples).astype(np.float32)
    path = _write(tmp_path / "x.wav", sound, subtype="FLOAT")
    chunks, stream = _all(path, front_end, overlap_seconds=overlap, minimum_seconds=0.25)
    size, hop = 4000, round((0.5 - overlap) * RATE)
    whole = max(0, 1 + (samples - size) // hop)
    left = samples - ((whole - 1) * hop + size) if whole else samples
    expected = whole + (left >= 2000 or whole == 0)
    assert chunks.shape == (expected, size)
    assert stream.num_samples == samples
    padded = np.pad(sound, (0, size))
    for i, chunk in enumerate(chunks):
        np.testing.assert_array_equal(chunk, padded[i * hop : i * hop + size])


@pytest.mark.parametrize("batch_size", [1, 4])
@pytest.mark.parametrize("samples", [1, 2100, 4000, 6000, 43210])
@pytest.mark.parametrize("span", [4000, 4301, 11000])
def test_the_span_holds_the_chunk_and_the_sound_around_it(tmp_path, front_end, samples, span, batch_size):
    sound = np.linspace(-0.9, 0.9, samples).astype(np.float32)
    path, chunking = _write(tmp_path / "x.wav", sound, subtype="FLOAT"), decode.ChunkingConfig(overlap_seconds=0.1)
    chunks = np.concatenate(list(decode.ChunkStream(path, front_end, chunking, batch_size)))
    heard = hearing.Hearing(sample_rate_hz=RATE, chunk_seconds=0.5, span_samples=span)
    spans = list(decode.ChunkStream(path, heard, chunking, batch_size))
    assert max(map(len, spans)) <= batch_size
    spans, before = np.concatenate(spans), (span - 4000) // 2
    assert spans.shape == (len(chunks), span)
    np.testing.assert_array_equal(spans[:, before : before + 4000], chunks)
    padded = np.pad(sound, (before, span + 4000))
    for i, heard_samples in enumerate(spans):
        np.testing.assert_array_equal(heard_samples, padded[i * 3200 : i * 3200 + span])


@pytest.mark.parametrize("batch_size", [1, 3, 4])
@pytest.mark.parametrize("samples", [1, 4000, 5500, 6000, 7000, 9100, 43210])
@pytest.mark.parametrize("chunking", [{}, {"overlap_seconds": 999 / RATE}, {"minimum_seconds": 0.1}])
def test_shifted_chunks_lie_between_those_without_them(tmp_path, front_end, generator, samples, chunking, batch_size):
    sound = generator.uniform(-1, 1, samples).astype(np.float32)
    path, with_shifted = _write(tmp_path / "x.wav", sound, subtype="FLOAT"), decode.WithShiftedChunks(**chunking)
    chunks = np.concatenate(list(decode.ChunkStream(path, front_end, with_shifted, batch_size)))
    np.testing.assert_array_equal(chunks[::2], _all(path, front_end, **chunking)[0])
    hop, padded = with_shifted.hop_samples(front_end), np.pad(sound, (0, 4000))
    for i, chunk in enumerate(chunks):
        np.testing.assert_array_equal(chunk, padded[i * hop // 2 : i * hop // 2 + 4000])


def test_only_the_short_rest_is_left_out(tmp_path, front_end, generator):
    sound = generator.uniform(-1, 1, 30 * RATE + 100).astype(np.float32)
    chunks, _ = _all(_write(tmp_path / "x.wav", sound, subtype="FLOAT"), front_end)
    np.testing.assert_array_equal(chunks.ravel(), sound[: 30 * RATE])


@pytest.mark.parametrize("overlap", [-0.1, 0.5, 0.7])
def test_an_overlap_that_is_negative_or_not_shorter_than_a_chunk_is_refused(front_end, overlap):
    with pytest.raises(config.InputError, match="--overlap_seconds"):
        decode.ChunkingConfig(overlap_seconds=overlap).hop_samples(front_end)


@pytest.mark.parametrize(("asked", "recordings", "segments"), [(None, 0.0, 0.25), (0.0, 0.0, 0.0), (0.1, 0.1, 0.1)])
def test_chunks_of_segments_overlap_by_half_unless_an_overlap_is_asked_for(front_end, asked, recordings, segments):
    flags = decode.SegmentChunkingConfig(overlap_seconds=asked, minimum_seconds=0.2, channel="1")
    rest = {"minimum_seconds": 0.2, "channel": "1"}
    assert flags.for_recordings() == decode.ChunkingConfig(overlap_seconds=recordings, **rest)
    assert flags.for_segments(front_end.chunk_seconds) == decode.ChunkingConfig(overlap_seconds=segments, **rest)


@pytest.mark.parametrize("content", [b"", b"not audio at all", b"RIFF\x00\x00\x00\x00WAVE"])
def test_a_file_that_is_not_audio_is_unreadable(tmp_path, front_end, content):
    path = tmp_path / "x.wav"
    path.write_bytes(content)
    with pytest.raises(decode.UnreadableError, match=r"x\.wav"):
        _all(str(path), front_end)


def test_a_file_without_samples_is_unreadable(tmp_path, front_end):
    path = _write(tmp_path / "x.wav", np.zeros(0, np.float32))
    with pytest.raises(decode.UnreadableError, match="no samples"):
        _all(path, front_end)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_samples_that_are_not_finite_are_silence_and_told(tmp_path, front_end, value):
    sound = np.full(5000, 0.5, np.float32)
    sound[4000:4900] = value
    chunks, stream = _all(_write(tmp_path / "x.wav", sound, subtype="FLOAT"), front_end)
    assert not chunks.ravel()[4000:4900].any() and (chunks.ravel()[:4000] == 0.5).all()
    assert stream.report.lost == [(0.5, 0.6125)] and "not finite" in stream.report.loss
    with pytest.raises(decode.UnreadableError, match="not finite"):
        _all(_write(tmp_path / "x.wav", np.full(5000, value), subtype="FLOAT"), front_end)


def test_find_is_recursive_sorted_and_ignores_case(tmp_path):
    for name in ("b/Ä 1.WAV", "a.mp3", "notes.txt", ".hidden.wav", "b/c/x.flac"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    found = [path.removeprefix(f"{tmp_path}/") for path in decode.find(str(tmp_path))]
    assert found == ["a.mp3", "b/c/x.flac", "b/Ä 1.WAV"]


@pytest.mark.parametrize("exists", [True, False])
def test_missing_and_empty_folders_are_refused(tmp_path, exists):
    folder = tmp_path / "folder"
    if exists:
        folder.mkdir()
    with pytest.raises(config.InputError, match="folder"):
        decode.find(str(folder))


def test_duration_is_read_from_the_header(tmp_path):
    assert decode.duration_seconds(_write(tmp_path / "x.wav", np.zeros(RATE * 3 // 2))) == 1.5
    assert decode.duration_seconds(str(tmp_path / "none.wav")) == 0


def test_a_flac_without_length_in_its_header_is_read(tmp_path, generator):
    path = tmp_path / "x.flac"
    _write(path, generator.uniform(-0.5, 0.5, 25 * RATE))
    expected = np.concatenate(list(decode.blocks(str(path), RATE)))
    content = bytearray(path.read_bytes())
    content[21] &= 0xF0  # the number of samples: the last 36 of the 64 bits after the sizes of blocks and frames
    content[22:26] = bytes(4)
    path.write_bytes(content)
    assert decode.duration_seconds(str(path)) == 0.0
    np.testing.assert_array_equal(np.concatenate(list(decode.blocks(str(path), RATE))), expected)


@pytest.mark.parametrize(("name", "words"), [(b"caf\xe9.wav", "rename it"), (b"x.raw", "cannot be decoded")])
def test_names_that_libsndfile_does_not_accept_are_unreadable(tmp_path, name, words):
    path = os.path.join(str(tmp_path), os.fsdecode(name))
    with open(path, "wb") as file:
        file.write(bytes(1000))
    assert decode.duration_seconds(path) == 0.0
    with pytest.raises(decode.UnreadableError, match=words):
        list(decode.blocks(path, RATE))
