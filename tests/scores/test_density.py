import numpy as np
import pytest
import scipy.stats

from bird_tf.scores import density


@pytest.mark.parametrize(("num_chunks", "sizes"), [(16, [8, 4, 2, 2]), (1000, [500, 250, 125, 125]), (1, [0, 1, 0, 0])])
def test_each_bin_halves_what_is_left_of_the_chunks(num_chunks, sizes):
    scores = np.random.default_rng(0).permutation(num_chunks) / num_chunks
    of_chunk = density.bins(scores)
    assert np.bincount(of_chunk, minlength=4).tolist() == sizes
    assert np.all(np.diff(of_chunk[np.argsort(scores)]) >= 0)


def test_equal_scores_are_divided_too():
    assert np.bincount(density.bins(np.zeros(16))).tolist() == [8, 4, 2, 2]


def test_one_bin_of_verdicts_gives_the_interval_of_the_beta_distribution():
    found = density.estimate(np.full(100_000, 0.1), {chunk: chunk < 4 for chunk in range(10)}, (0.0,))
    assert found.estimate == pytest.approx(0.4)
    assert (found.lowest, found.highest) == pytest.approx(scipy.stats.beta(4.5, 6.5).ppf([0.025, 0.975]), abs=0.01)
    none = density.estimate(np.full(100_000, 0.1), {chunk: False for chunk in range(10)}, (0.0,))
    assert none.estimate == none.lowest == 0 and 0.1 < none.highest < 0.3


def test_where_every_chunk_was_judged_the_density_is_counted():
    found = density.estimate(np.arange(16.0), {chunk: chunk >= 8 for chunk in range(16)})
    assert found.positives.tolist() == [0, 4, 2, 2] and found.verdicts.tolist() == [8, 4, 2, 2]
    assert found.estimate == found.lowest == found.highest == 0.5
    silent = density.estimate(np.arange(1.0, 45.0), {chunk: False for chunk in range(44)}, (0.0, 22.0))
    assert silent.estimate == silent.lowest == silent.highest == 0


def test_a_bin_without_verdicts_gives_no_estimate_and_a_wide_interval():
    scores = np.arange(1600.0)
    found = density.estimate(scores, {chunk: True for chunk in range(1200, 1600, 4)})
    assert np.isnan(found.estimate) and found.lowest < 0.3 and found.highest > 0.9


def test_the_bands_of_a_review_are_the_bins():
    scores = np.array([0.0, 0.05, 0.1, 0.3, 0.5, 1.0])
    assert density.bands(scores, (0.0, 0.1, 0.5)).tolist() == [0, 0, 1, 1, 2, 2]
    found = density.estimate(scores, {0: False, 3: True, 4: True, 5: False}, (0.0, 0.1, 0.5))
    assert found.verdicts.tolist() == [1, 1, 2] and found.positives.tolist() == [0, 1, 1]
    assert found.estimate == pytest.approx((0.0 + 1.0 + 0.5) / 3)


def test_intervals_hold_the_true_density():
    """Of 200 surveys, about 95 % of the intervals hold the share of chunks that have the class."""
    generator, held, size = np.random.default_rng(1), 0, 4000
    for seed in range(200):
        truth = generator.random(size) < 0.15
        scores = generator.normal(size=size) + 2 * truth
        of_chunk = density.bins(scores)
        checked = np.concatenate([generator.choice(np.flatnonzero(of_chunk == b), 25, replace=False) for b in range(4)])
        found = density.estimate(scores, {int(chunk): bool(truth[chunk]) for chunk in checked}, seed=seed)
        held += found.lowest <= truth.mean() <= found.highest
    assert 180 <= held <= 200
