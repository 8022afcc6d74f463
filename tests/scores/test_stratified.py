import math

import numpy as np
import pytest

from bird_tf.scores import stratified


def _band(size, judged, positives, lowest=0.0):
    return stratified.Band(lowest=lowest, size=size, judged=judged, positives=positives)


def test_one_large_band_has_wilsons_interval():
    """8 of 10: 0.4902 to 0.9433, as in statsmodels' proportion_confint(8, 10, method="wilson")."""
    found = stratified.share([_band(10**9, 10, 8)])
    assert found.estimate == 0.8
    assert (found.lowest, found.highest) == pytest.approx((0.4902, 0.9433), abs=1e-4)


def test_bands_count_by_their_size():
    found = stratified.share([_band(900, 10, 0), _band(100, 10, 10), _band(0, 0, 0)])
    assert found.estimate == pytest.approx(0.1) and found.lowest < 0.1 < found.highest


def test_nothing_is_said_while_a_band_is_without_verdict():
    for bands in ([], [_band(5, 0, 0)], [_band(5, 2, 1), _band(5, 0, 0)]):
        assert math.isnan(stratified.share(bands).estimate)


def test_where_all_were_judged_the_share_is_known():
    found = stratified.share([_band(4, 4, 1), _band(4, 4, 4)])
    assert (found.lowest, found.estimate, found.highest) == (0.625, 0.625, 0.625)


@pytest.mark.parametrize("shares", [(0.1, 0.5, 0.9), (0.3, 0.6, 0.95), (0.5, 0.8, 0.99)])
@pytest.mark.parametrize("judged", [10, 40])
def test_the_interval_covers_the_truth_about_as_often_as_it_says(shares, judged):
    """Counts are whole numbers, so that no interval of shares covers exactly 95 % (Brown, Cai and DasGupta 2001)."""
    generator = np.random.default_rng(1)
    sizes = np.array([2000, 500, 100])
    positives = np.round(sizes * shares).astype(int)
    covered = 0
    for _ in range(1000):
        drawn = generator.hypergeometric(positives, sizes - positives, judged)
        rows = zip(sizes.tolist(), drawn.tolist(), strict=True)
        found = stratified.share([_band(size, judged, right) for size, right in rows])
        covered += found.lowest <= positives.sum() / sizes.sum() <= found.highest
    assert 0.9 <= covered / 1000 <= 0.99
