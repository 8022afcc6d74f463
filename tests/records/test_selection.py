import pytest

from bird_tf.records import selection


def _chosen(counts, cap):
    """{recording_id: number of chunks that train} of one class, counted chunk by chunk."""
    selected = selection.select({i: {0: n} for i, n in counts.items()}, 1, cap)
    found = {i: sum(selected.trains(selection.order(rank, i), 0) for rank in range(n)) for i, n in counts.items()}
    assert selected.chunks_per_class == (sum(found.values()),)
    assert selected.num_recordings == sum(count > 0 for count in found.values())
    return found


@pytest.mark.parametrize("cap", [0, 100, 101])
def test_nothing_is_lost_while_the_cap_is_not_reached(cap):
    counts = {str(i): 1 for i in range(90)} | {"long": 10}
    assert _chosen(counts, cap) == counts


def test_recordings_share_a_cap_up_to_a_common_level():
    assert _chosen({"0": 2, "1": 100, "2": 100}, 12) == {"0": 2, "1": 5, "2": 5}


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("cap", [1, 7, 20, 33])
def test_an_exceeded_cap_is_used_up_and_no_recording_is_two_chunks_ahead(cap, seed):
    counts = {f"{seed}-{i}": (i * 7 + seed) % 11 for i in range(30)}
    found = _chosen(counts, cap)
    assert sum(found.values()) == cap
    cut = [found[i] for i, n in counts.items() if found[i] < n]
    assert max(found.values()) - min(cut) <= 1


def test_classes_are_capped_on_their_own():
    selected = selection.select({"1": {0: 5, 2: 1}, "2": {0: 5}, "3": {1: 0}}, 3, 4)
    assert selected.chunks_per_class == (4, 0, 1) and selected.num_recordings == 2
    assert selected.limits[1] == selected.limits[2] == selection.UNLIMITED
    assert not selected.trains(selection.NEVER, 2) and selected.trains(selection.ALWAYS, 2)
