import dataclasses
import math

import numpy as np
import pytest
import scipy.ndimage
import scipy.stats

from bird_tf import config, files, tf
from bird_tf.audio import frontend
from bird_tf.input.augment import augmentations, geometry, mixing, pixels

SEED = tf.constant([3, 5])
FRONT_END = frontend.FrontendConfig()  # 80 dB
# {operation on one chunk: a strength with a visible effect}
STRENGTHS = {
    geometry.roll_time: 0.5,
    geometry.roll_frequency: 0.5,
    geometry.crop: 0.4,
    geometry.zoom: 0.5,
    geometry.rotation: 20.0,
    geometry.warp_time: 0.2,
    geometry.warp_frequency: 0.2,
    pixels.gaussian_noise: 0.1,
    pixels.brightness: 0.3,
    pixels.multiplication: 0.3,
    pixels.mean_subtraction: 0.5,
    pixels.gain: 0.3,
    pixels.blur: 1.0,
    pixels.pixel_dropout: 0.2,
    pixels.time_mask: 0.5,
    pixels.frequency_mask: 0.5,
}
OPERATIONS = [pytest.param(operation, id=operation.__name__) for operation in STRENGTHS]


@pytest.fixture
def spectrograms(generator):
    return tf.constant(generator.random((64, 16, 24)), tf.float32)


@pytest.fixture
def bytes_(spectrograms):
    return frontend.quantise(spectrograms)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_strength_zero_is_the_identity(spectrograms, operation):
    np.testing.assert_allclose(operation(spectrograms, 0.0, SEED), spectrograms, atol=1e-6)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_an_operation_keeps_range_and_shape_and_varies_within_the_batch(spectrograms, operation):
    same = tf.repeat(spectrograms[:1], 64, axis=0)
    varied = operation(same, STRENGTHS[operation], SEED).numpy()
    assert varied.shape == same.shape and varied.min() >= 0 and varied.max() <= 1
    assert len({spectrogram.tobytes() for spectrogram in varied}) > 4


@pytest.mark.parametrize("operation", OPERATIONS)
def test_an_operation_takes_an_empty_batch(spectrograms, operation):
    assert operation(spectrograms[:0], STRENGTHS[operation], SEED).shape == (0, 16, 24)


@pytest.mark.parametrize(("operation", "axis"), [(geometry.roll_time, 2), (geometry.roll_frequency, 1)])
def test_rolls_equal_numpys(spectrograms, operation, axis):
    rolled = operation(spectrograms, 0.5, SEED).numpy()
    shifts = set()
    for before, after in zip(spectrograms.numpy(), rolled, strict=True):
        fits = [s for s in range(before.shape[axis - 1]) if np.array_equal(np.roll(before, s, axis - 1), after)]
        assert len(fits) == 1
        shifts.add(fits[0])
    assert len(shifts) > 5


@pytest.mark.parametrize("share", [0.1, 0.25])
def test_rolls_stay_within_their_share(share):
    eyes = tf.eye(40)[None] * tf.ones([500, 1, 1])
    rows = np.argmax(geometry.roll_frequency(eyes, share, SEED).numpy()[:, :, 0], axis=1)
    shifts = np.where(rows > 20, rows - 40, rows)
    assert np.abs(shifts).max() == round(40 * share)


def test_flip_reverses_time(spectrograms):
    np.testing.assert_array_equal(geometry.flip(spectrograms, True, SEED), spectrograms.numpy()[:, :, ::-1])
    np.testing.assert_array_equal(geometry.flip(spectrograms, False, SEED), spectrograms)


def _smooth(generator, height, width):
    spectrogram = scipy.ndimage.gaussian_filter(generator.random((height, width)), 2.0)
    return ((spectrogram - spectrogram.min()) / np.ptp(spectrogram)).astype(np.float32)


def test_zoom_equals_scipy(generator):
    spectrogram = _smooth(generator, 33, 33)
    zoomed = geometry.zoom(tf.constant(spectrogram)[None], 0.5, SEED).numpy()[0]
    factor = 1 + 0.5 * float(tf.random.stateless_uniform([1], SEED)[0])
    expected = scipy.ndimage.affine_transform(spectrogram, np.eye(2) / factor, 16 * (1 - 1 / factor), order=1)
    np.testing.assert_allclose(zoomed, expected, atol=1e-4)


def test_rotation_equals_scipy_about_the_centre(generator):
    spectrogram = _smooth(generator, 33, 33)
    turned = geometry.rotation(tf.constant(spectrogram)[None], 30.0, SEED).numpy()[0]
    degrees = math.degrees(float(tf.random.stateless_uniform([1], SEED, -math.pi / 6, math.pi / 6)[0]))
    expected = scipy.ndimage.rotate(spectrogram, degrees, reshape=False, order=1)
    inner = slice(8, 25)  # SciPy interpolates the edges differently
    np.testing.assert_allclose(turned[inner, inner], expected[inner, inner], atol=1e-4)


def test_crop_stretches_a_part_from_edge_to_edge():
    ramp = np.linspace(0, 1, 50, dtype=np.float32)
    cropped = geometry.crop(tf.constant(np.tile(ramp, (200, 10, 1))), 0.4, SEED).numpy()[:, 5]
    lengths = cropped[:, -1] - cropped[:, 0]
    assert lengths.min() > 0.58 and lengths.max() < 1.0
    np.testing.assert_allclose(np.diff(cropped, axis=1), np.repeat(lengths[:, None] / 49, 49, axis=1), rtol=1e-3)


@pytest.mark.parametrize(("operation", "axis"), [(geometry.warp_time, 2), (geometry.warp_frequency, 1)])
def test_warps_keep_order_and_edges_and_move_the_middle(operation, axis):
    ramp = np.linspace(0, 1, 41, dtype=np.float32)
    shape = (300, 41, 41)
    ramps = np.broadcast_to(ramp if axis == 2 else ramp[:, None], shape)
    warped = np.moveaxis(operation(tf.constant(ramps), 0.2, SEED).numpy(), axis, 2)[:, 0]
    np.testing.assert_allclose(warped[:, [0, -1]], [[0, 1]] * 300, atol=1e-6)
    assert (np.diff(warped, axis=1) > 0).all()
    moved = np.abs(warped - ramp).max(axis=1)
    assert 0.15 < moved.max() <= 0.2 + 1 / 41
    # piecewise linear: the slope changes at one place only
    assert (np.sum(np.abs(np.diff(warped, n=2, axis=1)) > 1e-3, axis=1) <= 2).all()


def test_gaussian_noise_has_its_deviation():
    grey = tf.fill([50, 20, 20], 0.5)
    noise = pixels.gaussian_noise(grey, 0.05, SEED).numpy() - 0.5
    assert noise.std() == pytest.approx(0.05, rel=0.02)  # 20 000 draws: standard error 0.5 %


@pytest.mark.parametrize(
    ("operation", "expected"),
    [
        (pixels.brightness, lambda d: np.clip(0.5 + 0.4 * (2 * d - 1), 0, 1)),
        (pixels.multiplication, lambda d: 0.5 * (1 + 0.4 * (2 * d - 1))),
        (pixels.mean_subtraction, lambda d: 0.5 - 0.4 * d * 0.5),
        (pixels.gain, lambda d: (0.5 - 0.4 * d) / (1 - 0.4 * d)),
    ],
)
def test_levels_change_by_their_formula(operation, expected):
    changed = operation(tf.fill([4000, 2, 2], 0.5), 0.4, SEED).numpy()
    assert np.ptp(changed, axis=(1, 2)).max() == 0
    uniform = (np.arange(4000) + 0.5) / 4000
    # Kolmogorov-Smirnov at the 1 % level for 4000 draws
    assert scipy.stats.ks_2samp(changed[:, 0, 0], expected(uniform)).statistic < 1.63 * math.sqrt(2 / 4000)


def test_gain_keeps_the_peak_and_sets_faint_pixels_to_0(spectrograms):
    peaked = spectrograms / tf.reduce_max(spectrograms, axis=[1, 2], keepdims=True)
    fainter = pixels.gain(peaked, 0.5, SEED).numpy()
    np.testing.assert_allclose(fainter.max(axis=(1, 2)), 1.0, atol=1e-6)
    assert (fainter <= peaked.numpy() + 1e-6).all() and (fainter == 0).mean() > 0.1


def test_blur_at_full_strength_equals_scipy(spectrograms):
    kernel = np.outer([1, 2, 1], [1, 2, 1]) / 16
    smooth = np.stack([scipy.ndimage.convolve(p, kernel, mode="reflect") for p in spectrograms.numpy()])
    spectrograms, blurred = spectrograms.numpy(), pixels.blur(spectrograms, 1.0, SEED).numpy()
    share = (blurred - spectrograms).reshape(64, -1) / (smooth - spectrograms).reshape(64, -1)
    np.testing.assert_allclose(share, np.broadcast_to(np.median(share, axis=1)[:, None], share.shape), atol=0.02)
    assert 0 <= np.median(share, axis=1).min() < 0.1 and 0.9 < np.median(share, axis=1).max() <= 1


def test_pixel_dropout_drops_its_share():
    kept = pixels.pixel_dropout(tf.ones([40, 32, 32]), 0.3, SEED).numpy()
    assert set(np.unique(kept)) == {0.0, 1.0} and kept.mean() == pytest.approx(0.7, abs=0.01)


def _spans(spectrograms, axis):
    """(start, width) of the span of zeros in each spectrogram."""
    zeros = np.all(spectrograms == 0, axis=3 - axis)
    widths = zeros.sum(axis=1)
    starts = np.argmax(zeros, axis=1)
    assert all(zeros[i, s : s + w].all() for i, (s, w) in enumerate(zip(starts, widths, strict=True)))
    return starts[widths > 0], widths


@pytest.mark.parametrize(("operation", "axis"), [(pixels.time_mask, 2), (pixels.frequency_mask, 1)])
def test_masks_are_distributed_as_those_of_tensorflow_io(operation, axis):
    try:
        files.enable("s3://anything")
    except config.InputError as error:
        pytest.skip(f"the reference is tensorflow-io, which is missing: {error}")
    import tensorflow_io as tfio

    ours = _spans(operation(tf.ones([3000, 30, 30]), 0.4, SEED).numpy(), axis)
    # theirs masks the second axis as time: [time, frequency]
    theirs = tfio.audio.time_mask if axis == 1 else tfio.audio.freq_mask
    tf.random.set_seed(1)
    try:
        mask = tf.function(lambda ones: tf.map_fn(lambda one: theirs(one, param=12), ones))
        masked = mask(tf.ones([3000, 30, 30])).numpy()
    finally:
        tf.random.set_seed(None)  # otherwise it decides the order of batches in later tests
    for mine, reference in zip(ours, _spans(masked, axis), strict=True):
        assert scipy.stats.ks_2samp(mine, reference).pvalue > 0.01


def test_noise_is_blended_with_weights_between_a_third_and_two_thirds(bytes_):
    white, black = tf.fill(tf.shape(bytes_), tf.constant(255, tf.uint8)), tf.zeros([3, 16, 24], tf.uint8)
    share = mixing.add_noise(white, black, SEED).numpy()
    assert np.ptp(share, axis=(1, 2)).max() == 0  # one weight a spectrogram
    assert 1 / 3 < share.min() < 0.4 and 0.6 < share.max() < 2 / 3


def test_each_spectrogram_gets_one_of_the_noise_chunks(bytes_):
    noise = tf.constant([40, 80, 120], tf.uint8)[:, None, None] * tf.ones([3, 16, 24], tf.uint8)
    black = tf.zeros_like(bytes_)
    blended = mixing.add_noise(black, noise, SEED).numpy()[:, 0, 0]
    weights = tf.random.stateless_uniform([64, 2], tf.random.split(SEED)[1], 1.0, 2.0).numpy()
    levels = blended / (weights[:, 1] / weights.sum(axis=1)) * 255
    assert set(np.round(levels)) == {40, 80, 120}


def test_powers_add_as_in_hand_computation():
    # dB of 80: own 0 and -20, other -10 and -40
    own, other = np.array([[[1.0, 0.75]]]), np.array([[[0.875, 0.5]]])
    power = 10 ** (8 * own) + 10 ** (8 * other) * (10 ** (8 * own)).mean() / (10 ** (8 * other)).mean() / 10**0.6
    level = np.log10(power)
    expected = (level - level.min()) / np.ptp(level)
    mixed = mixing.add_powers(tf.constant(own, tf.float32), tf.constant(other, tf.float32), (6.0, 6.0), FRONT_END, SEED)
    np.testing.assert_allclose(mixed, expected, atol=1e-5)


def test_a_very_faint_chunk_changes_nothing(spectrograms):
    lowest, highest = (f(spectrograms, axis=[1, 2], keepdims=True) for f in (tf.reduce_min, tf.reduce_max))
    scaled = (spectrograms - lowest) / (highest - lowest)
    np.testing.assert_allclose(
        mixing.add_powers(scaled, spectrograms[::-1], (200, 200), FRONT_END, SEED), scaled, atol=1e-5
    )


def test_silence_adds_nothing(spectrograms):
    silent = tf.zeros_like(spectrograms)
    for pair in ((spectrograms, silent), (silent, spectrograms)):
        np.testing.assert_array_equal(mixing.add_powers(*pair, (0, 20), FRONT_END, SEED), spectrograms)
    np.testing.assert_array_equal(mixing.add_powers(silent, silent, (0, 20), FRONT_END, SEED), silent)


def test_mixup_shares_follow_their_beta_distribution():
    share = mixing.shares(4000, 0.4, SEED)
    np.testing.assert_array_equal(mixing.blend(tf.ones([4000, 1, 1]), tf.zeros([4000, 1, 1]), share)[:, 0, 0], share)
    assert scipy.stats.kstest(share, scipy.stats.beta(0.4, 0.4).cdf).pvalue > 0.01


def test_mixup_blends_all_features_by_one_share(spectrograms):
    examples = _examples(spectrograms, [i % 4 for i in range(64)])
    numbers = tf.range(64.0)[:, None] * [1.0, np.nan]
    settings = augmentations.AugmentConfig(mixup=1.0)
    without = {name: value for name, value in examples.items() if name != "spectrogram"}
    mixed = augmentations.mix({**without, "embedding": numbers}, settings, FRONT_END, SEED)
    beside = augmentations.mix({**examples, "embedding": numbers}, settings, FRONT_END, SEED)
    np.testing.assert_array_equal(mixed["embedding"], beside["embedding"])
    assert np.isnan(mixed["embedding"][:, 1]).all() and not np.array_equal(mixed["embedding"][:, 0], numbers[:, 0])


def test_the_union_takes_the_greater_target_and_counts_if_one_chunk_is_known_to_hold_it():
    # a only, both, neither, unknown/absent, present/unknown, unknown/unknown, weak/strong,
    # and, with --background_loss_weight, background/absent, background/label, background/unknown
    targets = [[1, 1, 0, 0, 1, 0, 0.5, 0.5, 0.5, 0.5]], [[0, 1, 0, 0, 0, 0, 1, 0, 1, 0]]
    weights = [[1, 1, 1, 0, 1, 0, 1, 0.25, 0.25, 0.25]], [[1, 1, 1, 1, 0, 0, 1, 1, 1, 0]]
    a, b = (tf.constant(v, tf.float32) for v in targets)
    wa, wb = (tf.constant(v, tf.float32) for v in weights)
    target, weight = mixing.union_targets(a, wa, b, wb)
    np.testing.assert_array_equal(target, [[1, 1, 0, 0, 1, 0, 1, 0.5, 1, 0.5]])
    np.testing.assert_array_equal(weight, [[1, 1, 1, 0, 1, 0, 1, 0.25, 1, 0.25]])


EVERYTHING = augmentations.AugmentConfig(
    augment_count=30, augment_probability=1.0, flip=True, add_noise=True, background_db=(0.0, 20.0),
    **{operation.__name__: strength for operation, strength in STRENGTHS.items()},
)  # fmt: skip


def _apply(bytes_, settings, seed=SEED):
    return augmentations.apply(bytes_, bytes_[:5], settings, FRONT_END, seed)


def test_every_operation_can_be_turned_on():
    tables = set(augmentations._ON_BYTES) | set(augmentations._IN_FLOAT32)
    assert tables == {operation.__name__ for operation in STRENGTHS} | {"flip"}


@pytest.mark.parametrize("changes", [{"augment_probability": 0.0}, {"augment_count": 0}])
def test_probability_and_count_zero_are_the_identity(bytes_, changes):
    expected = frontend.dequantise(bytes_)
    # XLA multiplies by 1 / 255 instead of dividing by 255
    np.testing.assert_allclose(_apply(bytes_, dataclasses.replace(EVERYTHING, **changes)), expected, atol=1e-7)
    np.testing.assert_array_equal(_apply(bytes_, augmentations.AugmentConfig()), expected)


def test_equal_seeds_give_equal_spectrograms_eagerly_and_in_a_dataset(bytes_):
    eager = _apply(bytes_, EVERYTHING)
    dataset = tf.data.Dataset.from_tensors(bytes_).map(lambda p: _apply(p, EVERYTHING))
    np.testing.assert_allclose(next(iter(dataset)), eager, atol=1e-5)
    assert not np.array_equal(_apply(bytes_, EVERYTHING, tf.constant([3, 6])), eager)
    assert eager.numpy().min() >= 0 and eager.numpy().max() <= 1


def test_a_chunk_that_is_not_drawn_does_not_change(bytes_):
    settings = augmentations.AugmentConfig(brightness=0.5, augment_probability=0.5)
    plain, varied = frontend.dequantise(bytes_).numpy(), _apply(bytes_, settings).numpy()
    changed = np.any(np.abs(plain - varied) > 1e-6, axis=(1, 2))
    chosen = augmentations.choose(tf.constant(64), 1, settings, tf.random.split(SEED, 2)[1])[:, 0]
    np.testing.assert_array_equal(changed, chosen)


@pytest.mark.parametrize(("probability", "count"), [(0.5, 4), (0.5, 1), (1.0, 2), (0.2, 4)])
def test_choice_follows_probability_and_count(probability, count):
    settings = augmentations.AugmentConfig(augment_probability=probability, augment_count=count)
    chosen = augmentations.choose(tf.constant(20000), 4, settings, SEED).numpy()
    draws = np.random.default_rng(0).binomial(4, probability, 200000)
    assert chosen.sum(axis=1).max() <= count
    # 20 000 draws of a mean below 4: standard error below 0.01
    assert chosen.sum(axis=1).mean() == pytest.approx(np.minimum(draws, count).mean(), abs=0.03)
    np.testing.assert_allclose(chosen.mean(axis=0), chosen.mean(), atol=0.02)  # all operations are equally frequent


def _examples(spectrograms, labels):
    return {
        "spectrogram": spectrograms,
        "targets": tf.one_hot(labels, 4),
        "weights": tf.ones([len(labels), 4]),
        "label": tf.constant(labels, tf.int64),
    }


@pytest.mark.parametrize("name", ["mixup", "or_mixup"])
def test_mixing_follows_its_probability_and_its_rule_for_targets(spectrograms, name):
    labels = [i % 4 for i in range(64)]
    examples = _examples(spectrograms, labels)
    mixed = augmentations.mix(examples, augmentations.AugmentConfig(**{name: 0.5}), FRONT_END, SEED)
    changed = np.any(mixed["spectrogram"].numpy() != spectrograms.numpy(), axis=(1, 2))
    assert 20 < changed.sum() < 44  # 32 expected, standard deviation 4
    np.testing.assert_array_equal(mixed["targets"].numpy()[~changed], examples["targets"].numpy()[~changed])
    sums = mixed["targets"].numpy()[changed].sum(axis=1)
    np.testing.assert_allclose(sums, np.ones_like(sums) if name == "mixup" else np.round(sums), atol=1e-5)
    assert name == "mixup" or sums.max() == 2
    np.testing.assert_array_equal(mixed["label"], examples["label"])


def test_mixing_at_probability_zero_is_the_identity(spectrograms):
    examples = _examples(spectrograms, [0] * 64)
    assert augmentations.mix(examples, augmentations.AugmentConfig(), FRONT_END, SEED) == examples


def test_same_species_adds_the_partner_and_its_background(spectrograms):
    own, partners = _examples(spectrograms, [1] * 64), _examples(spectrograms[::-1][:60], [1] * 60)
    partners["targets"] = tf.maximum(partners["targets"], [[0.0, 0.0, 0.0, 0.5]])
    mixed = augmentations.add_same_species(
        own, partners, augmentations.AugmentConfig(same_species=1.0), FRONT_END, SEED
    )
    changed = np.any(mixed["spectrogram"].numpy() != spectrograms.numpy(), axis=(1, 2))
    np.testing.assert_array_equal(changed, np.arange(64) < 60)
    np.testing.assert_array_equal(mixed["targets"][0], [0, 1, 0, 0.5])
    none = augmentations.add_same_species(own, partners, augmentations.AugmentConfig(), FRONT_END, SEED)
    np.testing.assert_array_equal(none["spectrogram"], spectrograms)


def test_an_unlabelled_chunk_tells_little_of_a_species_that_the_labelled_one_may_hold(spectrograms):
    own, others = _examples(spectrograms, [0] * 64), _examples(spectrograms[::-1], [0] * 64)
    own["weights"] *= [1.0, 1.0, 0.0, 0.0]
    others["targets"] = tf.ones([64, 4]) * [0.0, 0.25, 0.0, 0.25]
    mixed = augmentations.add_unlabelled(own, others, 1.0, FRONT_END, SEED)
    np.testing.assert_array_equal(mixed["targets"][0], [1, 0.25, 0, 0.25])
    np.testing.assert_array_equal(mixed["weights"][0], [1, 1, 0, 0.25])


@pytest.mark.parametrize(
    "changes",
    [{"augment_probability": 2.0}, {"roll_time": -0.1}, {"gaussian_noise": -1.0}, {"warp_time": 0.5}, {"crop": 1.0},
     {"background_db": (20.0, 0.0)}, {"background_db": (20.0,)}, {"mixup_alpha": 0.0}, {"mix_db": -1.0}],
)  # fmt: skip
def test_impossible_settings_are_refused(changes):
    with pytest.raises(config.InputError, match=f"--{next(iter(changes))}"):
        dataclasses.replace(EVERYTHING, **changes)
