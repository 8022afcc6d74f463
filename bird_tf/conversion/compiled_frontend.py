"""The front-end for the converter: its band product compiled by XLA, in blocks of a few chunks, always on the CPU."""

from __future__ import annotations

import atexit
import functools
import typing
from collections.abc import Callable

import numpy as np

from bird_tf import tf
from bird_tf.audio import activity, frontend

# A block that fits into the processor's cache is fastest: of 1, 8 and 32 chunks it was 8.
BATCH_SIZE = 8

Receive = Callable[[np.ndarray, float], None]


@functools.cache
def _compiled(front_end: frontend.FrontendConfig) -> Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]]:
    # a graph that still exists when the interpreter ends prints a traceback
    atexit.register(_compiled.cache_clear)

    # XLA fuses magnitudes and products, and makes the other steps slower. All phases share one compiled function.
    bands = tf.function(lambda phase: frontend.bands(phase, front_end), autograph=False, jit_compile=True)

    def compute(samples: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        phases = [bands(phase) for phase in frontend.spectra(samples, front_end)]
        spectrograms = frontend.scaled(phases, front_end)
        return spectrograms, frontend.quantise(spectrograms)

    signature = [tf.TensorSpec([BATCH_SIZE, front_end.chunk_samples], tf.float32)]
    function = tf.function(compute, input_signature=signature, autograph=False).get_concrete_function()
    return typing.cast(Callable[..., tuple[tf.Tensor, tf.Tensor]], function)


def spectrograms(samples: np.ndarray, front_end: frontend.FrontendConfig) -> tuple[np.ndarray, np.ndarray]:
    """The front-end's spectrograms of a block, on the CPU, so that a GPU does not change the bytes.

    Args:
        samples: [BATCH_SIZE, chunk_samples] float32. The spectrogram of a chunk does not depend on its place.
        front_end: the front-end.

    Returns:
        Two [BATCH_SIZE, num_bands, num_frames] arrays: the spectrograms as float32 in [0, 1] and as uint8.
    """
    with tf.device("CPU"):
        exact, quantised = _compiled(front_end)(tf.constant(samples))
    return exact.numpy(), quantised.numpy()


class Queue:
    """Collects chunks to whole blocks, also of several recordings, and gives back their spectrograms in order."""

    def __init__(self, front_end: frontend.FrontendConfig) -> None:
        self._front_end = front_end
        self._samples = np.zeros((BATCH_SIZE, front_end.chunk_samples), np.float32)
        self._receivers: list[Receive] = []
        self._actions: list[tuple[int, Callable[[], None]]] = []  # after how many chunks

    def add(self, samples: np.ndarray, receive: Receive) -> None:
        """Adds a chunk, [chunk_samples] float32; its spectrogram as uint8 and its activity are received later."""
        self._samples[len(self._receivers)] = samples
        self._receivers.append(receive)
        if len(self._receivers) == BATCH_SIZE:
            self.finish()

    def then(self, action: Callable[[], None]) -> None:
        """Runs an action when all chunks that were added before have been received."""
        if self._receivers:
            self._actions.append((len(self._receivers), action))
        else:
            action()

    def finish(self) -> None:
        """Computes the chunks that wait, and runs the actions."""
        receivers, actions, self._receivers, self._actions = self._receivers, self._actions, [], []
        if not receivers:
            return
        exact, quantised = spectrograms(self._samples, self._front_end)
        shares = activity.active_share(exact[: len(receivers)])
        for count, receive in enumerate(receivers, 1):
            receive(quantised[count - 1], float(shares[count - 1]))
            while actions and actions[0][0] == count:
                actions.pop(0)[1]()
