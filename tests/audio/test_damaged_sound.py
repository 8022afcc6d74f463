import numpy as np
import pytest
import soundfile

from bird_tf.audio import decode, reports
from tests import damage

RATE = 16000


@damage.counts
@pytest.mark.usefixtures("no_decoder")  # a process for each file takes minutes
@pytest.mark.parametrize("name", ["x.wav", "x.flac", "x.ogg", "x.mp3", "x.aiff", "x.au", "x.caf", "x.w64"])
def test_damaged_sound_is_read_in_part_or_refused(tmp_path, name, count):
    """No damage gives more sound than a few times the file's, and no other error than that it cannot be read."""
    path = tmp_path / name
    samples = 0.3 * np.sin(2 * np.pi * 700 * np.arange(RATE // 2) / RATE)
    soundfile.write(path, samples, RATE)

    def read():
        heard = 0
        for block in decode.blocks(str(path), RATE):
            heard += len(block)
            if heard > 600 * RATE:  # a damaged rate may stretch half a second; nobody waits for hours of it
                break
            assert np.isfinite(block).all()

    damage.check_reader(path, read, count, name="", allowed=(reports.UnreadableError,), least=0.0)
