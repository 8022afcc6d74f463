"""Seeded random operations on batches of spectrograms: vectorised, stateless, each the identity at strength 0.

Here: which operation meets which chunk. The operations are in `geometry`, `pixels` and `mixing`. Which chunks meet in
a batch, and what they are to be recognised as, belongs to `dataset`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

from bird_tf import config, tf
from bird_tf.audio import frontend
from bird_tf.input.augment import geometry, mixing, pixels


@dataclasses.dataclass(frozen=True, kw_only=True)
class AugmentConfig:
    """How training chunks are varied. A strength of 0 turns an operation off; recipes are in configs/."""

    augment_count: int = config.option(2, "the most operations on one chunk, mixing of species not counted")
    augment_probability: float = config.option(0.5, "probability that an operation is tried on a chunk")
    roll_time: float = config.option(0.0, "roll in time by up to this share of the width, either way")
    roll_frequency: float = config.option(0.0, "roll in frequency by up to this share of the height, either way")
    flip: bool = config.option(False, "play backwards")
    crop: float = config.option(0.0, "cut up to this share off height and width and stretch the rest")
    zoom: float = config.option(0.0, "enlarge about the centre by up to this share")
    rotation: float = config.option(0.0, "turn by up to this many degrees, either way")
    warp_time: float = config.option(0.0, "move one moment by up to this share of the width, below 0.5 (SpecAugment)")
    warp_frequency: float = config.option(0.0, "move one band by up to this share of the height, below 0.5")
    add_noise: bool = config.option(False, "blend with a chunk from the noise records, as in 2018")
    background_db: tuple[float, ...] = config.option(
        (), "add a chunk from the noise records at a signal-to-noise ratio in this interval, dB, as 0,30; empty: off"
    )
    gaussian_noise: float = config.option(0.0, "standard deviation of noise added to every pixel")
    brightness: float = config.option(0.0, "add up to this to all pixels, either way")
    multiplication: float = config.option(0.0, "multiply all pixels by 1 plus or minus up to this")
    mean_subtraction: float = config.option(0.0, "subtract up to this share of the mean")
    gain: float = config.option(0.0, "make fainter by up to this share of the range, the floor staying")
    blur: float = config.option(0.0, "blend with the smoothed spectrogram by up to this share")
    pixel_dropout: float = config.option(0.0, "share of pixels set to 0")
    time_mask: float = config.option(0.0, "black out up to this share of the width (2018's blackout, SpecAugment)")
    frequency_mask: float = config.option(0.0, "black out up to this share of the height (SpecAugment)")
    same_species: float = config.option(0.0, "probability that another chunk of the same species is added")
    mixup: float = config.option(0.0, "probability that a chunk and its targets are blended with another's (mixup)")
    mixup_alpha: float = config.option(0.4, "of mixup's Beta distribution")
    or_mixup: float = config.option(0.0, "probability that another chunk is added, the species of both being present")
    mix_db: float = config.option(10.0, "same_species, or_mixup: the added chunk is fainter by up to this, dB")

    def __post_init__(self) -> None:
        probabilities = ("augment_probability", "same_species", "mixup", "or_mixup", "pixel_dropout")
        shares = ("roll_time", "roll_frequency", "time_mask", "frequency_mask", "blur", "multiplication")
        self._refuse((*probabilities, *shares), lambda value: 0 <= value <= 1, "in [0, 1]")
        self._refuse(("crop", "gain"), lambda value: 0 <= value < 1, "in [0, 1)")
        self._refuse(("warp_time", "warp_frequency"), lambda value: 0 <= value < 0.5, "in [0, 0.5)")
        unlimited = ("augment_count", "zoom", "rotation", "gaussian_noise", "brightness", "mean_subtraction", "mix_db")
        self._refuse(unlimited, lambda value: value >= 0, "of at least 0")
        self._refuse(("mixup_alpha",), lambda value: value > 0, "above 0")
        if self.background_db and (len(self.background_db) != 2 or self.background_db[0] > self.background_db[1]):
            given = ",".join(map(str, self.background_db))
            raise config.InputError(f"--background_db={given}: need two values, the lower one first")

    def _refuse(self, names: tuple[str, ...], fits: Callable[[float], bool], needed: str) -> None:
        for name in names:
            if not fits(getattr(self, name)):
                raise config.InputError(f"--{name}={getattr(self, name)}: need a value {needed}")

    @property
    def needs_noise(self) -> bool:
        """Whether an operation takes chunks from the noise records."""
        return self.add_noise or bool(self.background_db)


Operation = Callable[["tf.Tensor", "tf.Tensor"], "tf.Tensor"]

# in the order in which a chunk undergoes them, noise between the two tables, by the name of the strength
_ON_BYTES = {
    "roll_time": geometry.roll_time,
    "roll_frequency": geometry.roll_frequency,
    "flip": geometry.flip,
}
_IN_FLOAT32 = {
    "crop": geometry.crop,
    "zoom": geometry.zoom,
    "rotation": geometry.rotation,
    "warp_time": geometry.warp_time,
    "warp_frequency": geometry.warp_frequency,
    "gaussian_noise": pixels.gaussian_noise,
    "brightness": pixels.brightness,
    "multiplication": pixels.multiplication,
    "mean_subtraction": pixels.mean_subtraction,
    "gain": pixels.gain,
    "blur": pixels.blur,
    "pixel_dropout": pixels.pixel_dropout,
    "time_mask": pixels.time_mask,
    "frequency_mask": pixels.frequency_mask,
}


def _turned_on(table: Mapping[str, Callable[..., tf.Tensor]], settings: AugmentConfig) -> list[Operation]:
    def with_strength(function: Callable[..., tf.Tensor], strength: float) -> Operation:
        return lambda spectrograms, seed: function(spectrograms, strength, seed)

    strengths = {name: getattr(settings, name) for name in table}
    return [with_strength(table[name], strength) for name, strength in strengths.items() if strength]


def _add_background(noise: tf.Tensor, settings: AugmentConfig, range_db: float) -> Operation:
    """Adds to each spectrogram one of the noise chunks, [any, bands, frames] uint8."""
    ratios = settings.background_db[0], settings.background_db[1]

    def on_spectrograms(spectrograms: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        which, how = tf.unstack(tf.random.split(seed))
        drawn = mixing.draw(noise, tf.shape(spectrograms)[0], which)
        return mixing.add_powers(spectrograms, frontend.dequantise(drawn), ratios, range_db, how)

    return on_spectrograms


def choose(batch_size: tf.Tensor, num_operations: int, settings: AugmentConfig, seed: tf.Tensor) -> tf.Tensor:
    """Which operations each chunk undergoes.

    Each operation is tried with `augment_probability`; where more than `augment_count` succeed, that many of them
    drawn at random stay.

    Returns:
        [batch, num_operations] bool.
    """
    draws = tf.random.stateless_uniform([batch_size, num_operations], seed)
    tried = draws < settings.augment_probability
    if num_operations <= settings.augment_count:
        return tried
    # of those that succeed the smallest draws stay: given success they are as good as a random order
    position = tf.argsort(tf.argsort(draws, axis=1), axis=1)
    return tried & (position < settings.augment_count)


def apply(
    spectrograms: tf.Tensor, noise: tf.Tensor | None, settings: AugmentConfig, range_db: float, seed: tf.Tensor
) -> tf.Tensor:
    """Applies to each chunk the operations drawn for it.

    What only moves bytes, noise addition and the step to float32 are compiled by XLA into one pass over memory, which
    costs less than the step alone without it, and rounds to within 1e-7 of it. What computes follows for those
    chunks only that it is drawn for.

    Args:
        spectrograms: [batch, bands, frames] uint8.
        noise: [any, bands, frames] uint8, noise chunks of which each operation draws one for each chunk, or None.
        settings: operations and strengths.
        range_db: what the pixels' range stands for, dB.
        seed: [2] int; equal seeds give equal results.

    Returns:
        [batch, bands, frames] float32 in [0, 1].
    """
    on_bytes, in_float32 = _turned_on(_ON_BYTES, settings), _turned_on(_IN_FLOAT32, settings)
    blended = settings.add_noise and noise is not None
    if settings.background_db and noise is not None:
        in_float32.insert(0, _add_background(noise, settings, range_db))
    num = len(on_bytes) + int(blended) + len(in_float32)
    seeds = tf.unstack(tf.random.split(seed, 1 + num))
    chosen = choose(tf.shape(spectrograms)[0], num, settings, seeds.pop())
    draws = list(zip(tf.unstack(chosen, num, axis=1), seeds, strict=True))
    first = [draws.pop() for _ in range(num - len(in_float32))]

    def to_float32(spectrograms: tf.Tensor) -> tf.Tensor:
        for operation, (drawn, how) in zip(on_bytes, first, strict=False):
            spectrograms = tf.where(drawn[:, None, None], operation(spectrograms, how), spectrograms)
        if not blended:
            return frontend.dequantise(spectrograms)
        drawn, how = first[-1]
        mixture = mixing.add_noise(spectrograms, noise, how)
        return tf.where(drawn[:, None, None], mixture, frontend.dequantise(spectrograms))

    compiled = tf.function(to_float32, jit_compile=True) if first else to_float32
    spectrograms = compiled(spectrograms)
    for operation in in_float32:
        spectrograms = _on_rows(spectrograms, operation, *draws.pop())
    return spectrograms


def _on_rows(spectrograms: tf.Tensor, operation: Operation, chosen: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """The spectrograms, those chosen ([batch] bool) replaced by what the operation makes of them."""
    rows = tf.where(chosen)
    return tf.tensor_scatter_nd_update(spectrograms, rows, operation(tf.gather_nd(spectrograms, rows), seed))


Examples = dict[str, "tf.Tensor"]


def add_same_species(
    examples: Examples, partners: Examples, settings: AugmentConfig, range_db: float, seed: tf.Tensor
) -> Examples:
    """Adds its partner, a chunk of the same species, to each chunk with probability `same_species`.

    Args:
        examples: "spectrogram" [batch, bands, frames] float32 in [0, 1]; "targets", "weights" [batch, classes] float32.
        partners: of the same form, for the first so many chunks; the rest of the batch stays.
        settings: probability, and `mix_db`.
        range_db: what the pixels' range stands for, dB.
        seed: [2] int.

    Returns:
        As `examples`; the targets follow `mixing.either`, since both may hold background species.
    """
    drawn, how = tf.unstack(tf.random.split(seed))
    rows = _drawn_rows(partners, settings.same_species, drawn)
    return _update(examples, rows, _added(_take(examples, rows), _take(partners, rows), settings, range_db, how))


def mix(examples: Examples, settings: AugmentConfig, range_db: float, seed: tf.Tensor) -> Examples:
    """Mixes chunks of a batch with each other: mixup and OR-mixup.

    The other chunk is the one that stands a random number of places, the same for the whole batch, further on.
    Targets: mixup blends them as it does the spectrograms, and knows of a species only what both chunks know;
    OR-mixup takes the greater one, by `mixing.either`. Arguments and result as of `add_same_species`.
    """
    operations = ((settings.mixup, _blended), (settings.or_mixup, _added))
    for part, (probability, operation) in zip(tf.unstack(tf.random.split(seed)), operations, strict=True):
        if probability:
            drawn, places, how = tf.unstack(tf.random.split(part, 3))
            rows = _drawn_rows(examples, probability, drawn)
            size = tf.shape(examples["spectrogram"], out_type=tf.int64)[0]
            further = tf.random.stateless_uniform([], places, 1, tf.maximum(size, 2), tf.int64)
            others = _take(examples, tf.math.floormod(rows + further, size))
            examples = _update(examples, rows, operation(_take(examples, rows), others, settings, range_db, how))
    return examples


def _added(own: Examples, others: Examples, settings: AugmentConfig, range_db: float, seed: tf.Tensor) -> Examples:
    targets, weights = mixing.union_targets(own["targets"], own["weights"], others["targets"], others["weights"])
    mixture = mixing.add_powers(own["spectrogram"], others["spectrogram"], (0.0, settings.mix_db), range_db, seed)
    return {"spectrogram": mixture, "targets": targets, "weights": weights}


def _blended(own: Examples, others: Examples, settings: AugmentConfig, range_db: float, seed: tf.Tensor) -> Examples:
    del range_db
    mixture, share = mixing.blend(own["spectrogram"], others["spectrogram"], settings.mixup_alpha, seed)
    return {
        "spectrogram": mixture,
        "targets": others["targets"] + share * (own["targets"] - others["targets"]),
        "weights": tf.minimum(own["weights"], others["weights"]),
    }


def _drawn_rows(examples: Examples, probability: float, seed: tf.Tensor) -> tf.Tensor:
    """Rows of a batch, each with `probability`. Returns [drawn, 1] int64."""
    return tf.where(tf.random.stateless_uniform(tf.shape(examples["spectrogram"])[:1], seed) < probability)


def _take(examples: Examples, rows: tf.Tensor) -> Examples:
    return {name: tf.gather_nd(examples[name], rows) for name in ("spectrogram", "targets", "weights")}


def _update(examples: Examples, rows: tf.Tensor, changed: Examples) -> Examples:
    updated = {name: tf.tensor_scatter_nd_update(examples[name], rows, value) for name, value in changed.items()}
    return {**examples, **updated}
