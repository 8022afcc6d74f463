"""Seeded random operations on batches of spectrograms: vectorised, stateless, each the identity at strength 0.

This module decides which operation is applied to which chunk. The operations are in `geometry`, `pixels` and
`mixing`. The batches and their targets are made in `dataset`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

from bird_tf import config, tf
from bird_tf.audio import frontend
from bird_tf.input.augment import geometry, mixing, pixels


@dataclasses.dataclass(frozen=True, kw_only=True)
class AugmentConfig:
    """The operations and their strengths. A strength of 0 turns an operation off. Recipes are in configs/."""

    augment_count: int = config.option(2, "the most operations on one chunk, without same_species, mixup and or_mixup")
    augment_probability: float = config.option(0.5, "probability of each operation on a chunk, before that limit")
    roll_time: float = config.option(0.0, "roll forwards or backwards in time by up to this share of the width")
    roll_frequency: float = config.option(0.0, "roll up or down in frequency by up to this share of the height")
    flip: bool = config.option(False, "play backwards")
    crop: float = config.option(0.0, "cut off up to this share of height and width and stretch the rest")
    zoom: float = config.option(0.0, "enlarge about the centre by up to this share")
    rotation: float = config.option(0.0, "turn left or right by up to this many degrees")
    warp_time: float = config.option(0.0, "move one moment by up to this share of the width, below 0.5 (SpecAugment)")
    warp_frequency: float = config.option(0.0, "move one band by up to this share of the height, below 0.5")
    add_noise: bool = config.option(False, "blend with a chunk from the noise records, as in 2018")
    background_db: tuple[float, ...] = config.option(
        (),
        "add a chunk from the noise records at a signal-to-noise ratio in this interval, dB, as 0,30; empty: off",
    )
    gaussian_noise: float = config.option(0.0, "standard deviation of noise added to every pixel")
    brightness: float = config.option(0.0, "add up to this value to all pixels, or subtract it")
    multiplication: float = config.option(0.0, "multiply all pixels by 1 plus or minus up to this")
    mean_subtraction: float = config.option(0.0, "subtract up to this share of the mean")
    gain: float = config.option(
        0.0, "make fainter by up to this share of the range; what falls below the floor is lost"
    )
    blur: float = config.option(0.0, "blend with a smoothed copy, which has up to this share")
    pixel_dropout: float = config.option(0.0, "share of pixels set to 0")
    time_mask: float = config.option(0.0, "set up to this share of the width to 0 (blackout of 2018, SpecAugment)")
    frequency_mask: float = config.option(0.0, "set up to this share of the height to 0 (SpecAugment)")
    same_species: float = config.option(0.0, "probability that another chunk of the same species is added")
    mixup: float = config.option(0.0, "probability that a chunk and its targets are blended with another chunk (mixup)")
    mixup_alpha: float = config.option(0.4, "parameter of the Beta distribution of mixup")
    or_mixup: float = config.option(
        0.0, "probability that another chunk is added; the species of both count as present"
    )
    mix_db: float = config.option(10.0, "with same_species and or_mixup: the added chunk is fainter by up to this, dB")

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

    def refuse_without_spectrograms(self) -> None:
        """Refuses operations on spectrograms where there are none: other features can only be blended by mixup.

        Raises:
            InputError: there is one.
        """
        general = ("mixup", "mixup_alpha", "augment_count", "augment_probability")
        changed = {f"--{f.name} without spectrograms": getattr(self, f.name) != f.default
                   for f in dataclasses.fields(self) if f.name not in general}  # fmt: skip
        config.refuse_without_effect(changed)

    @property
    def needs_noise(self) -> bool:
        """Whether an operation takes chunks from the noise records."""
        return self.add_noise or bool(self.background_db)


Operation = Callable[["tf.Tensor", "tf.Tensor"], "tf.Tensor"]

# {name of the strength: operation}, in the order of application; add_noise comes between the two tables
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


def _add_background(noise: tf.Tensor, settings: AugmentConfig, front_end: frontend.FrontendConfig) -> Operation:
    """An operation that adds one of the noise chunks, [any, bands, frames] uint8, to each spectrogram."""
    ratios = settings.background_db[0], settings.background_db[1]

    def on_spectrograms(spectrograms: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        which, how = tf.unstack(tf.random.split(seed))
        drawn = mixing.draw_noise(noise, tf.shape(spectrograms)[0], which)
        return mixing.add_powers(spectrograms, frontend.dequantise(drawn), ratios, front_end, how)

    return on_spectrograms


def choose(batch_size: tf.Tensor, num_operations: int, settings: AugmentConfig, seed: tf.Tensor) -> tf.Tensor:
    """Draws the operations for each chunk.

    Each operation is drawn with `augment_probability`. If these are more than `augment_count`, that many of them are
    chosen at random.

    Returns:
        [batch, num_operations] bool.
    """
    draws = tf.random.stateless_uniform([batch_size, num_operations], seed)
    drawn = draws < settings.augment_probability
    if num_operations <= settings.augment_count:
        return drawn
    # the smallest numbers are chosen: among the drawn operations their order is random
    position = tf.argsort(tf.argsort(draws, axis=1), axis=1)
    return drawn & (position < settings.augment_count)


def apply(
    spectrograms: tf.Tensor,
    noise: tf.Tensor | None,
    settings: AugmentConfig,
    front_end: frontend.FrontendConfig,
    seed: tf.Tensor,
) -> tf.Tensor:
    """Applies to each chunk the operations that are drawn for it.

    XLA compiles the operations that only move bytes, add_noise and the conversion to float32 into one pass over
    memory. That costs less than the conversion alone without XLA; rounding differs by at most 1e-7. The other
    operations follow, each only on the chunks that it is drawn for.

    Args:
        spectrograms: [batch, bands, frames] uint8.
        noise: [any, bands, frames] uint8, noise chunks from which each operation draws one for each chunk; or None.
        settings: operations and strengths.
        front_end: made the spectrograms.
        seed: [2] int; equal seeds give equal results.

    Returns:
        [batch, bands, frames] float32 in [0, 1].
    """
    on_bytes, in_float32 = _turned_on(_ON_BYTES, settings), _turned_on(_IN_FLOAT32, settings)
    adds_noise = settings.add_noise and noise is not None
    if settings.background_db and noise is not None:
        in_float32.insert(0, _add_background(noise, settings, front_end))
    num = len(on_bytes) + int(adds_noise) + len(in_float32)
    seeds = tf.unstack(tf.random.split(seed, 1 + num))
    chosen = choose(tf.shape(spectrograms)[0], num, settings, seeds.pop())
    draws = list(zip(tf.unstack(chosen, num, axis=1), seeds, strict=True))
    first = [draws.pop() for _ in range(num - len(in_float32))]

    def to_float32(spectrograms: tf.Tensor) -> tf.Tensor:
        for operation, (drawn, how) in zip(on_bytes, first, strict=False):
            spectrograms = tf.where(drawn[:, None, None], operation(spectrograms, how), spectrograms)
        if not adds_noise:
            return frontend.dequantise(spectrograms)
        drawn, how = first[-1]
        mixture = mixing.add_noise(spectrograms, noise, how)
        return tf.where(drawn[:, None, None], mixture, frontend.dequantise(spectrograms))

    compiled = tf.function(to_float32, jit_compile=True, autograph=False) if first else to_float32
    spectrograms = compiled(spectrograms)
    for operation in in_float32:
        spectrograms = _on_rows(spectrograms, operation, *draws.pop())
    return spectrograms


def _on_rows(spectrograms: tf.Tensor, operation: Operation, chosen: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Applies an operation to the chosen ([batch] bool) spectrograms; the others stay as they are."""
    rows = tf.where(chosen)
    return tf.tensor_scatter_nd_update(spectrograms, rows, operation(tf.gather_nd(spectrograms, rows), seed))


Examples = dict[str, "tf.Tensor"]
# what tells where an example is from; that of a mixture is of its first chunk
_DESCRIBING = ("label", "recording_id")


def add_same_species(
    examples: Examples, partners: Examples, settings: AugmentConfig, front_end: frontend.FrontendConfig, seed: tf.Tensor
) -> Examples:
    """Adds to each chunk its partner, a chunk of the same species, with probability `same_species`.

    Args:
        examples: "spectrogram" [batch, bands, frames] float32 in [0, 1]; "targets", "weights" [batch, classes] float32.
        partners: the same for the partners of the first chunks; chunks without a partner stay as they are.
        settings: probability, and `mix_db`.
        front_end: made the spectrograms.
        seed: [2] int.

    Returns:
        As `examples`. The targets follow `mixing.union_targets`, since both chunks may hold background species.
    """
    drawn, how = tf.unstack(tf.random.split(seed))
    rows = _drawn_rows(partners, settings.same_species, drawn)
    return _update(examples, rows, _add(_take(examples, rows), _take(partners, rows), settings, front_end, how))


def mix(examples: Examples, settings: AugmentConfig, front_end: frontend.FrontendConfig, seed: tf.Tensor) -> Examples:
    """Mixes chunks of a batch with each other: mixup and OR-mixup.

    Mixup blends all features of the chunks. OR-mixup adds spectrograms, and leaves other features as they are. The
    other chunk is a random number of places further on in the batch, the same number for the whole batch. Mixup
    blends the targets like the spectrograms; a species counts only if it counts in both chunks. The targets of
    OR-mixup follow `mixing.union_targets`. Arguments and result are those of `add_same_species`.
    """
    operations = ((settings.mixup, _blend), (settings.or_mixup, _add))
    for part, (probability, operation) in zip(tf.unstack(tf.random.split(seed)), operations, strict=True):
        if probability:
            drawn, places, how = tf.unstack(tf.random.split(part, 3))
            rows = _drawn_rows(examples, probability, drawn)
            size = tf.shape(examples["targets"], out_type=tf.int64)[0]
            distance = tf.random.stateless_uniform([], places, 1, tf.maximum(size, 2), tf.int64)
            others = _take(examples, tf.math.floormod(rows + distance, size))
            examples = _update(examples, rows, operation(_take(examples, rows), others, settings, front_end, how))
    return examples


def add_unlabelled(
    examples: Examples, others: Examples, share: float, front_end: frontend.FrontendConfig, seed: tf.Tensor
) -> Examples:
    """Adds an unlabelled chunk to each labelled one, with probability `share`, at equal mean power.

    Each chunk of the records is scaled to its own peak, and so are both here. Chunks without a call stay as they are.

    Args:
        examples: as of `add_same_species`, with "label" [batch] int64, -1 for no-call.
        others: "spectrogram", "targets" and "weights" of the unlabelled chunks, at least as many.
        share: in (0, 1].
        front_end: made the spectrograms.
        seed: [2] int.

    Returns:
        As `examples`. The targets follow `mixing.union_targets`; a pseudo-label of a species that does not count in the
        labelled chunk counts as much as it is sure.
    """
    drawn, how = tf.unstack(tf.random.split(seed))
    chosen = tf.random.stateless_uniform(tf.shape(examples["label"]), drawn) < share
    rows = tf.where(chosen & (examples["label"] >= 0))
    own, added = _take(examples, rows), _take(others, rows)
    targets, weights = mixing.union_targets(own["targets"], own["weights"], added["targets"], added["weights"])
    # of a species that the labelled chunk may hold, a low pseudo-label does not say that it is absent
    weights = tf.where(own["weights"] > 0, weights, tf.minimum(weights, added["targets"]))
    mixture = mixing.add_powers(own["spectrogram"], added["spectrogram"], (0.0, 0.0), front_end, how)
    return _update(examples, rows, {"spectrogram": mixture, "targets": targets, "weights": weights})


def _add(
    own: Examples, others: Examples, settings: AugmentConfig, front_end: frontend.FrontendConfig, seed: tf.Tensor
) -> Examples:
    """Adds the powers of two chunks (OR-mixup, same_species)."""
    targets, weights = mixing.union_targets(own["targets"], own["weights"], others["targets"], others["weights"])
    mixture = mixing.add_powers(own["spectrogram"], others["spectrogram"], (0.0, settings.mix_db), front_end, seed)
    return {**own, "spectrogram": mixture, "targets": targets, "weights": weights}


def _blend(
    own: Examples, others: Examples, settings: AugmentConfig, front_end: frontend.FrontendConfig, seed: tf.Tensor
) -> Examples:
    """Blends two chunks (mixup)."""
    del front_end
    share = mixing.shares(tf.shape(own["targets"])[0], settings.mixup_alpha, seed)
    blended = {name: mixing.blend(own[name], others[name], share) for name in own if name != "weights"}
    return {**blended, "weights": tf.minimum(own["weights"], others["weights"])}


def _drawn_rows(examples: Examples, probability: float, seed: tf.Tensor) -> tf.Tensor:
    """Draws rows of a batch, each with `probability`. Returns [drawn, 1] int64."""
    return tf.where(tf.random.stateless_uniform(tf.shape(examples["targets"])[:1], seed) < probability)


def _take(examples: Examples, rows: tf.Tensor) -> Examples:
    return {name: tf.gather_nd(tensor, rows) for name, tensor in examples.items() if name not in _DESCRIBING}


def _update(examples: Examples, rows: tf.Tensor, changed: Examples) -> Examples:
    updated = {name: tf.tensor_scatter_nd_update(examples[name], rows, value) for name, value in changed.items()}
    return {**examples, **updated}
