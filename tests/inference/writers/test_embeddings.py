import numpy as np


def test_embeddings_are_written_with_their_times(tmp_path, write):
    write(embeddings=True)
    with np.load(tmp_path / "here" / "x.embeddings.npz") as stored:
        assert stored["embeddings"].shape == (4, 3) and stored["embeddings"].dtype == np.float32
        np.testing.assert_array_equal(stored["start_seconds"], [0, 1, 2, 3])
        np.testing.assert_array_equal(stored["end_seconds"], [1, 2, 3, 4])
