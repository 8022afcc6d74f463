"""One definition of chunk → spectrogram: records, network input and SavedModel have the same numbers."""

import numpy as np

from bird_tf import keras, tf
from bird_tf.audio import decode, frontend
from bird_tf.inference import saved_model
from bird_tf.records import shard_files


def _validation(manifest):
    """(recording id, spectrograms [chunks, bands, frames] uint8 in the order of the chunks) of each recording."""
    spectrograms = {}
    for batch in shard_files.read(manifest, "val", 16):
        for recording_id, spectrogram in zip(batch["recording_id"].numpy(), batch["spectrogram"].numpy(), strict=True):
            spectrograms.setdefault(recording_id.decode(), []).append(spectrogram)
    return {recording_id: np.stack(found) for recording_id, found in spectrograms.items()}


def _samples(data, manifest, recording_id):
    path = str(data / "wav" / f"DEMO_RN{recording_id}.wav")
    return np.concatenate(list(decode.ChunkStream(path, manifest.front_end, decode.ChunkingConfig(), 8)))


def test_converter_equals_saved_model_to_the_uint8_step(manifest, data, model_path):
    front_end = tf.saved_model.load(model_path).signatures["frontend"]
    for recording_id, stored in _validation(manifest).items():
        served = front_end(samples=tf.constant(_samples(data, manifest, recording_id)))["spectrogram"].numpy()
        # half a step of rounding, and a small tolerance for sums in another order
        assert np.abs(served - stored / 255.0).max() <= 0.5 / 255 + 1e-4


def test_scores_from_records_equal_scores_from_audio(manifest, data, model_path):
    model = saved_model.Model(model_path)
    for recording_id, stored in _validation(manifest).items():
        from_records = model.predict_features({"spectrogram": frontend.dequantise(stored).numpy()}).probabilities
        from_audio = model.predict_samples(_samples(data, manifest, recording_id)).probabilities
        # the tolerance is for rounding to uint8
        np.testing.assert_allclose(from_records, from_audio, atol=0.01)


def test_policy_of_the_process_does_not_change_the_saved_model(data, manifest, model_path):
    recording_id = next(iter(_validation(manifest)))
    samples = _samples(data, manifest, recording_id)
    expected = saved_model.Model(model_path).predict_samples(samples).probabilities
    keras.config.set_dtype_policy("mixed_float16")
    try:
        np.testing.assert_array_equal(saved_model.Model(model_path).predict_samples(samples).probabilities, expected)
    finally:
        keras.config.set_dtype_policy("float32")
