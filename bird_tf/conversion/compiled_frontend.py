"""The front-end compiled by XLA for the converter, in blocks of a few chunks, always on the CPU."""

from __future__ import annotations

import atexit
import functools
import typing
from collections.abc import Callable

import numpy as np

from bird_tf import tf
from bird_tf.audio import frontend

# A block that fits into the processor's cache is fastest: of 1, 8 and 32 chunks it was 8.
BATCH_SIZE = 8


@functools.cache
def _compiled(front_end: frontend.FrontendConfig, count: int) -> Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]]:
    # a graph that still exists when the interpreter ends prints a traceback
    atexit.register(_compiled.cache_clear)

    # XLA fuses magnitudes and products, and makes the other steps slower. All phases share one compiled function.
    bands = tf.function(lambda phase: frontend.bands(phase, front_end), autograph=False, jit_compile=True)

    def compute(samples: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        phases = [bands(phase) for phase in frontend.spectra(samples, front_end)]
        spectrograms = frontend.scaled(phases, front_end)
        return spectrograms, frontend.quantise(spectrograms)

    signature = [tf.TensorSpec([count, front_end.chunk_samples], tf.float32)]
    function = tf.function(compute, input_signature=signature, autograph=False).get_concrete_function()
    return typing.cast(Callable[..., tuple[tf.Tensor, tf.Tensor]], function)


def spectrograms(samples: np.ndarray, front_end: frontend.FrontendConfig) -> tuple[np.ndarray, np.ndarray]:
    """The front-end's spectrograms of up to 8 chunks, on the CPU, so that a GPU does not change the bytes.

    Args:
        samples: [1 … 8, chunk_samples] float32.
        front_end: the front-end.

    Returns:
        Two [chunks, num_bands, num_frames] arrays: the spectrograms as float32 in [0, 1] and as uint8.
    """
    count = len(samples)
    # the last chunks of a recording are padded to half a block or a whole block
    size = BATCH_SIZE if count > BATCH_SIZE // 2 else BATCH_SIZE // 2
    if count < size:
        samples = np.pad(samples, ((0, size - count), (0, 0)))
    with tf.device("CPU"):
        exact, quantised = _compiled(front_end, size)(tf.constant(samples))
    return exact.numpy()[:count], quantised.numpy()[:count]
