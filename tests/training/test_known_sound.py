import dataclasses
import os

import numpy as np
import pytest

from bird_tf import config, tf
from bird_tf.records import schema
from bird_tf.training import known_sound


@pytest.fixture
def chunks(generator):
    """[2000, 6] chunks with unequal and correlated variances."""
    return (generator.normal(0, 1, (2000, 6)) @ generator.normal(0, 1, (6, 6)) + 3).astype(np.float32)


def _strangeness(known, values):
    return known.strangeness(tf.constant(values, tf.float32)).numpy()


def _fit(values):
    """Of chunks in two parts, around a centre that is not their mean."""
    centre = values[:10].mean(axis=0, dtype=np.float64)
    return known_sound._fit([known_sound._Moments.of(part, centre) for part in (values[:700], values[700:])])


def test_it_is_mahalanobis_distance(chunks, monkeypatch):
    monkeypatch.setattr(known_sound, "_LEAST_VARIANCE", 0.0)
    monkeypatch.setattr(known_sound, "_NUM_DIRECTIONS", 5)
    centred = chunks.astype(np.float64) - chunks.mean(axis=0)
    exact = np.einsum("ni,ij,nj->n", centred, np.linalg.inv(np.cov(centred.T)), centred)
    np.testing.assert_allclose(_strangeness(_fit(chunks), chunks), np.sqrt(exact / 6), rtol=1e-3, atol=1e-3)


def test_directions_without_variance_do_not_make_everything_strange(chunks):
    known = _fit(np.concatenate([chunks, np.ones_like(chunks)], axis=1))
    assert np.isfinite(known.variances).all() and known.rest > 0
    assert _strangeness(known, np.concatenate([chunks, 1.01 * np.ones_like(chunks)], axis=1)).max() < 10


def test_summaries_of_spectrograms_are_those_of_each_band(generator):
    spectrogram = generator.uniform(0, 1, (3, 4, 7)).astype(np.float32)
    expected = [spectrogram.mean(2), spectrogram.std(2), np.abs(np.diff(spectrogram, axis=2)).mean(2)]
    found = known_sound.summaries({schema.SPECTROGRAM: tf.constant(spectrogram)})
    np.testing.assert_allclose(found, np.concatenate(expected, axis=1), atol=1e-6)


def test_one_recording_in_twenty_is_beyond_the_limit(manifest, monkeypatch):
    monkeypatch.setattr(known_sound, "_MIN_RECORDINGS", 5)
    known = known_sound.fit(manifest, [schema.SPECTROGRAM])
    [*parts] = known_sound._read(manifest, "train", [schema.SPECTROGRAM], 1.0)
    ids, values = (np.concatenate(part) for part in zip(*parts, strict=True))
    own = _strangeness(known, values)
    assert np.mean([np.median(own[ids == i]) > 1 for i in set(ids.tolist())]) < 0.2
    bands = manifest.front_end.num_bands
    reversed_bands = values.reshape(-1, 3, bands)[:, :, ::-1].reshape(len(values), -1)
    assert np.mean(_strangeness(known, reversed_bands) > 1) > 0.9


def test_a_share_of_the_recordings_is_whole_recordings_and_the_same_each_time(manifest):
    ids = [
        np.concatenate([i for i, _ in known_sound._read(manifest, "train", [schema.SPECTROGRAM], share)])
        for share in (0.5, 0.5, 1.0)
    ]
    assert ids[0].tolist() == ids[1].tolist() and 0 < len(set(ids[0].tolist())) < len(set(ids[2].tolist()))
    assert all(np.sum(ids[0] == i) == np.sum(ids[2] == i) for i in set(ids[0].tolist()))


def test_few_recordings_tell_nothing(manifest, monkeypatch):
    monkeypatch.setattr(known_sound, "_MIN_RECORDINGS", 10_000)
    assert known_sound.fit(manifest, [schema.SPECTROGRAM]) is None


def test_it_is_read_as_it_was_written(chunks, tmp_path):
    assert known_sound.load(str(tmp_path)) is None
    known = dataclasses.replace(_fit(chunks), limit=1.5)
    known_sound.save(str(tmp_path), known)
    np.testing.assert_array_equal(_strangeness(known_sound.load(str(tmp_path)), chunks), _strangeness(known, chunks))
    path = tmp_path / known_sound.FILE
    os.truncate(path, path.stat().st_size // 2)
    with pytest.raises(config.InputError, match=str(path)):
        known_sound.load(str(tmp_path))
