from bird_tf.conversion import sharding
from bird_tf.labels import metadata


def _recordings(lengths):
    made = [metadata.Recording(recording_id=str(i), path="", label="a") for i in range(len(lengths))]
    return made, {str(i): float(length) for i, length in enumerate(lengths)}


def test_shards_are_balanced_by_length():
    recordings, seconds = _recordings([60, 5, 5, 30, 30, 10, 20, 20])
    groups = sharding.balance_shards(recordings, seconds, 60)
    assert [sum(seconds[r.recording_id] for r in group) for group in groups] == [60, 60, 60]
    assert sorted(r.recording_id for group in groups for r in group) == sorted(seconds)


def test_there_are_no_more_shards_than_recordings():
    recordings, seconds = _recordings([1000, 0])
    assert len(sharding.balance_shards(recordings, seconds, 1)) == 2
    assert sharding.balance_shards([], {}, 1) == []
