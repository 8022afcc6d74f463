import numpy as np

from bird_tf.audio import mel

FREQUENCIES_HZ = np.concatenate([np.arange(0.0, 3000.0, 12.5), np.geomspace(3000.0, 125000.0, 300)])


def test_mels_are_those_of_librosa_bit_for_bit(librosa):
    mels = mel.from_hz(FREQUENCIES_HZ)
    np.testing.assert_array_equal(mels, librosa.hz_to_mel(FREQUENCIES_HZ))
    np.testing.assert_array_equal(mel.to_hz(mels), librosa.mel_to_hz(mels))


def test_a_number_is_as_good_as_an_array(librosa):
    for frequency in (0.0, 500.0, 999.9, 1000.0, 15000.0):
        assert mel.from_hz(frequency) == mel.from_hz([frequency])[0] == librosa.hz_to_mel(frequency)
        assert mel.to_hz(mel.from_hz(frequency)) == mel.to_hz(mel.from_hz([frequency]))[0]


def test_known_points():
    # 15 mels of 66.7 Hz up to 1000 Hz, and 27 more up to 6400 Hz
    np.testing.assert_allclose(mel.from_hz([0.0, 200.0, 1000.0, 6400.0]), [0.0, 3.0, 15.0, 42.0], rtol=1e-14)
