import numpy as np
import pytest

from bird_tf.audio import decode
from bird_tf.inference import ensembles, saved_model, units


def _divide(seconds, batch_size=4):
    return units.divide([(str(i), f"{i}.wav") for i in range(len(seconds))], seconds, 1.0, batch_size)


def test_units_hold_neighbours_in_order_and_each_recording_once():
    seconds = [0.0, 3.0, 100.0, *[1.0] * 50, 7.5]
    found = _divide(seconds)
    assert [i for unit in found for i, _ in unit.recordings] == [str(i) for i in range(len(seconds))]
    assert [s for unit in found for s in unit.seconds] == seconds
    assert _divide([]) == []


def test_a_unit_ends_when_its_last_batch_is_nearly_full_or_when_it_is_large():
    assert [len(unit.recordings) for unit in _divide([1.0] * 40)] == [16, 16, 8]
    assert [len(unit.recordings) for unit in _divide([9.0] * 8)] == [3, 3, 2]  # 27 chunks: 3 in the last batch
    assert [len(unit.recordings) for unit in _divide([17.0, 16.0])] == [2]  # 17 would leave 3 of 4 places empty
    assert [len(unit.recordings) for unit in _divide([33.0, 1.0])] == [1, 1]  # more than 8 batches end it anyhow


@pytest.mark.parametrize("batch_size", [1, 16])
def test_units_grow_with_the_batch(batch_size):
    for unit in _divide([1.0] * 999, batch_size)[:-1]:
        assert 3.75 * batch_size <= len(unit.recordings) <= 8 * batch_size


def test_a_unit_can_be_scored_one_recording_at_a_time():
    [unit] = _divide([1.0, 2.0])
    assert [alone.recordings + alone.seconds for alone in unit.alone()] == [
        (("0", "0.wav"), 1.0),
        (("1", "1.wav"), 2.0),
    ]


def test_a_recording_comes_as_soon_as_it_is_complete(model_path, data, monkeypatch):
    """The last one, of which the batch is not full, comes after the last call."""
    calls, predict = [], saved_model.Model.predict_samples

    def counted(self, samples, **values):
        calls.append(len(samples))
        return predict(self, samples, **values)

    monkeypatch.setattr(saved_model.Model, "predict_samples", counted)
    paths = [str(path) for path in sorted((data / "wav").iterdir())[:4]]
    unit = units.Unit(recordings=tuple((path, path) for path in paths), seconds=(4.0,) * 4)
    with units.Batches(1) as batches:
        stream = units.score(
            unit, ensembles.Ensemble([model_path], batch_size=2), decode.ChunkingConfig(), embeddings=False,
            batches=batches,
        )  # fmt: skip
        first = next(stream)
        before = len(calls)
        rest = list(stream)
    assert [scored.path for scored in [first, *rest]] == paths
    assert before < len(calls) and sum(calls) == sum(len(s.scores.probabilities) for s in [first, *rest])


def test_what_is_stopped_ends_with_an_error():
    with units.Batches(1) as batches:
        batches.stopped.set()
        with pytest.raises(units.StoppedError):
            batches.submit(lambda _: [], np.zeros((1, 1), np.float32)).result()
