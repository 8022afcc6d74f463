import dataclasses

import matplotlib.figure
import numpy as np
import pytest

from bird_tf import tf
from bird_tf.audio import axes, frontend


@pytest.mark.parametrize("scale", ["mel", "linear"])
def test_a_tone_lies_in_the_row_of_its_frequency(scale):
    front_end = frontend.FrontendConfig(scale=scale, num_bands=64, num_frames=128)
    tones = np.array([1000.0, 2500.0, 9000.0])
    times = np.arange(front_end.chunk_samples) / front_end.sample_rate_hz
    samples = np.sin(2 * np.pi * tones[:, None] * times).astype(np.float32)
    loudest = frontend.spectrograms(tf.constant(samples), front_end).numpy().mean(axis=2).argmax(axis=1)
    np.testing.assert_allclose(axes.rows(front_end, tones), loudest, atol=1.0)  # a band is one row wide


def test_only_frequencies_inside_the_bands_are_marked():
    front_end = dataclasses.replace(frontend.FrontendConfig(), fmin_hz=500.0, fmax_hz=10000.0, chunk_seconds=3.0)
    drawn = matplotlib.figure.Figure().subplots()
    drawn.imshow(np.zeros((front_end.num_bands, front_end.num_frames)))
    axes.mark(drawn, front_end, frequencies=True, seconds=True)
    assert [label.get_text() for label in drawn.get_yticklabels()] == ["0.5", "1", "2", "4", "8"]
    assert [label.get_text() for label in drawn.get_xticklabels()] == ["0", "3 s"]
    axes.mark(drawn, front_end, frequencies=False, seconds=False)
    assert not len(drawn.get_yticks()) and not len(drawn.get_xticks())
