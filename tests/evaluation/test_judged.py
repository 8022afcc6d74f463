import csv
import dataclasses
import json
import math
import shutil

import numpy as np
import pytest

from bird_tf import config, evaluate
from bird_tf.evaluation import judged, stored_decisions
from bird_tf.inference import ensembles
from bird_tf.labels import taxonomy, verdicts
from bird_tf.scores import decisions, stratified
from tests.conftest import settings

CLASSES = taxonomy.Taxonomy(("a", "b"), ("Avis alba", "Buteo brevis"))
COLUMNS = (*verdicts.COLUMNS, *verdicts.FURTHER_COLUMNS)


def _write_drawn(path, sizes, *rows):
    """As the page of a review saves verdicts. Rows: (class index, answer, band, its turn, and that of its class)."""
    edges = (0.0, 0.5)
    of_all = [sum(each) for each in zip(*sizes, strict=True)]
    with open(path, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow((*COLUMNS, *verdicts.LATER_COLUMNS))
        for i, (index, answer, band, *turns) in enumerate(rows):
            cells = [verdicts.sizes_cell(zip(edges, own, strict=True)) for own in (of_all, sizes[index])]
            told = (turns[0], cells[0], turns[1], cells[1])
            clip = ("x.wav", i, i + 1, CLASSES.class_ids[index], answer, "", edges[band] + 0.2, edges[band])
            writer.writerow((*clip, of_all[band], "", *told))
    return str(path)


def _write(path, rows, classes=CLASSES, scale=None):
    """Rows: (class index, answer, probability, band_lowest, band_size)."""
    with open(path, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS if scale is None else (*COLUMNS, "scale"))
        for i, (index, answer, probability, lowest, size) in enumerate(rows):
            row = ("x.wav", i, i + 1, classes.class_ids[index], answer, "", probability, lowest, size)
            writer.writerow(row if scale is None else (*row, scale))
    return str(path)


# of 10 predictions from 0.5 up, 4 judged: 3 right; of 90 below, 6 judged: 1 right
SAMPLE = [(0, "yes", 0.9, 0.5, 10), (0, "yes", 0.8, 0.5, 10), (1, "yes", 0.7, 0.5, 10), (1, "no", 0.6, 0.5, 10)]
SAMPLE += [(0, "yes", 0.4, 0.0, 90), *((1, "no", 0.1 + i / 100, 0.0, 90) for i in range(4)), (0, "other", 0.3, 0.0, 90)]


def test_bands_count_by_their_size(tmp_path):
    found = judged.read(_write(tmp_path / "v.csv", SAMPLE), CLASSES)
    low, high = found.bands()
    assert (low.size, low.judged, low.positives) == (90, 6, 1) and (high.size, high.judged, high.positives) == (
        10,
        4,
        3,
    )
    summary = judged.write(str(tmp_path), "v.csv", found, CLASSES, *[decisions.neutral(CLASSES, 1, "mean")] * 2)
    from_low, from_high = summary["bands"]
    assert from_high["precision_in_band"] == from_high["precision"] == pytest.approx(3 / 4)
    assert from_low["precision"] == pytest.approx((90 / 6 + 10 * 3 / 4) / 100)  # 22.5 right of 100
    assert from_low["recall"] == 1 and from_high["recall"] == pytest.approx(7.5 / 22.5)
    for name in ("precision_in_band", "precision", "recall"):
        assert from_high[f"{name}_lowest"] < from_high[name] < from_high[f"{name}_highest"]
    assert json.loads((tmp_path / "verdicts.json").read_text()) == summary
    with open(tmp_path / "verdict_bands.csv") as file:
        rows = list(csv.DictReader(file))
    assert [row["class_id"] for row in rows] == ["", "", "a", "a", "b", "b"]
    assert [(int(row["band_size"]), int(row["judged"])) for row in rows[2:]] == [(30, 2), (5, 2), (60, 4), (5, 2)]


def test_the_interval_of_the_recall_covers_the_truth():
    generator, covered, num_trials = np.random.default_rng(0), 0, 200
    for _ in range(num_trials):
        truths = [generator.random(size) < share for size, share in ((400, 0.1), (100, 0.7))]
        low, high = (
            stratified.Band(lowest=i, size=len(t), judged=30, positives=int(generator.permutation(t)[:30].sum()))
            for i, t in enumerate(truths)
        )
        found = stratified.recall([high], [low])
        covered += found.lowest <= truths[1].sum() / (truths[0].sum() + truths[1].sum()) <= found.highest
    assert 0.9 < covered / num_trials <= 1


def test_verdicts_of_a_band_without_answer_leave_the_recall_open():
    bands = [stratified.Band(lowest=i / 2, size=10, judged=5 * i, positives=3 * i) for i in range(2)]
    assert math.isnan(stratified.recall(bands[1:], bands[:1]).estimate)


def _numbers(bands):
    return [(band.lowest, band.size, band.judged, band.positives, band.is_known) for band in bands]


def test_a_band_without_verdict_is_unknown_and_fits_no_threshold(tmp_path, caplog):
    """The filter of the page for probabilities: 30 predictions were never looked at."""
    sizes = ([20, 4], [10, 1])
    table = _write_drawn(tmp_path / "v.csv", sizes, (0, "yes", 1, 1, 1), (0, "yes", 1, 2, 2), (1, "no", 1, 3, 1))
    found = judged.read(table, CLASSES)
    assert _numbers(found.bands()) == [(0.0, 30, 0, 0, False), (0.5, 5, 3, 2, True)]
    assert _numbers(found.bands(1)) == [(0.0, 10, 0, 0, False), (0.5, 1, 1, 0, True)]
    assert "the bands from 0 up count in is unknown" in caplog.text
    before = decisions.neutral(CLASSES, 1, "mean")
    low, high = judged.write(str(tmp_path), "v.csv", found, CLASSES, before, before)["bands"]
    assert low["recall"] is low["precision"] is high["recall"] is None and high["precision"] == pytest.approx(2 / 3)
    with pytest.raises(config.InputError, match="the bands from 0 up have none"):
        judged.refit(before, found, 0.9, "v.csv")


def test_the_sizes_of_a_class_are_those_of_the_review(tmp_path):
    """No clip of b was drawn from the lower band, where it has ten predictions."""
    rows = [(0, "yes", 0, 1, 1), (0, "no", 0, 2, 2), (1, "yes", 1, 1, 1)]
    found = judged.read(_write_drawn(tmp_path / "v.csv", ([20, 0], [10, 1]), *rows), CLASSES)
    assert _numbers(found.bands()) == [(0.0, 30, 2, 1, True), (0.5, 1, 1, 1, True)]
    assert _numbers(found.bands(0)) == [(0.0, 20, 2, 1, True)]
    assert _numbers(found.bands(1)) == [(0.0, 10, 0, 0, False), (0.5, 1, 1, 1, True)]
    assert judged.refit(decisions.neutral(CLASSES, 1, "mean"), found, 0.9, "v.csv")


def test_verdicts_on_one_species_are_no_sample_of_all(tmp_path, caplog):
    """The filter of the page for species: of 9 drawn clips, those of b alone were judged. A few may be passed over."""
    rows = [(1, "yes", 0, 4, 1), (1, "no", 0, 9, 2), (1, "unsure", 0, 8, 3)]
    found = judged.read(_write_drawn(tmp_path / "v.csv", ([20, 0], [10, 0]), *rows), CLASSES)
    assert _numbers(found.bands()) == [(0.0, 30, 2, 1, False)] and _numbers(found.bands(1)) == [(0.0, 10, 2, 1, True)]
    assert "more of their clips were passed over than judged" in caplog.text
    rows = [(1, "yes", 0, 4, 1), (1, "no", 0, 6, 2), (1, "unsure", 0, 5, 3)]
    assert judged.read(_write_drawn(tmp_path / "v.csv", ([20, 0], [10, 0]), *rows), CLASSES).open_bands == ""


def test_what_tables_of_earlier_versions_do_not_tell_is_unknown(tmp_path):
    found = judged.read(_write(tmp_path / "v.csv", [row for row in SAMPLE if row[3] == 0.5]), CLASSES)
    assert [(band.lowest, band.is_known) for band in found.bands()] == [(0.0, False), (0.5, True)]
    before = decisions.neutral(CLASSES, 1, "mean")
    low, high = judged.write(str(tmp_path), "v.csv", found, CLASSES, before, before)["bands"]
    assert low["band_size"] is low["recall"] is high["recall"] is None and high["precision"] == 0.75
    with open(tmp_path / "verdict_bands.csv") as file:
        assert [row["band_size"] for row in csv.DictReader(file)][:2] == ["", "10"]
    with pytest.raises(config.InputError, match="an earlier version wrote it, and it does not tell"):
        judged.refit(before, found, 0.9, "v.csv")


def test_verdicts_of_several_reviews_are_refused(tmp_path):
    other = (0, "yes", 0.95, 0.5, 3)
    for rows in ([*SAMPLE, other], [other, *SAMPLE]):
        with pytest.raises(config.InputError, match=r"--verdicts=.*v\.csv: its verdicts are of several reviews"):
            judged.read(_write(tmp_path / "v.csv", rows), CLASSES)


def test_a_class_id_that_a_person_changed_is_told(tmp_path):
    rows = [(0, "yes", 0, 1, 1), (1, "yes", 0, 2, 1), (1, "no", 0, 3, 2)]
    table = _write_drawn(tmp_path / "v.csv", ([20, 0], [10, 0]), *rows)
    text = (tmp_path / "v.csv").read_text()
    (tmp_path / "v.csv").write_text(text.replace("x.wav,2,3,b,", "x.wav,2,3,a,"))
    with pytest.raises(config.InputError, match="where you changed a class_id, restore it, and write other"):
        judged.read(table, CLASSES)


def test_thresholds_count_each_verdict_as_what_it_stands_for(tmp_path):
    """F1 of all from 0.4 up: 22.5 of 25 called are right. Without weights, from 0.7 up would be better."""
    before = decisions.neutral(CLASSES, 1, "mean")
    found = judged.read(_write(tmp_path / "v.csv", SAMPLE), CLASSES)
    after = judged.refit(before, found, 0.8, "v.csv")
    assert after.chunk.thresholds["f1"].tolist() == [0.4, 0.4]
    assert before.chunk.thresholds["f1"].tolist() == [0.5, 0.5] and "10 verdicts of v.csv" in after.fitted_on
    assert after.recording == before.recording


def test_a_class_with_many_verdicts_has_thresholds_of_its_own(tmp_path):
    """a is right from 0.3 up, b from 0.7 up; all predictions were judged."""
    rows = [
        (index, "yes" if probability >= edge else "no", probability, 0.0, 400)
        for index, edge in ((0, 0.3), (1, 0.7)) for probability in np.linspace(0.005, 1, 200).round(4)
    ]  # fmt: skip
    found = judged.read(_write(tmp_path / "v.csv", rows), CLASSES)
    fitted = judged.refit(decisions.neutral(CLASSES, 1, "mean"), found, 0.9, "v.csv").chunk.thresholds
    assert fitted["f1"].tolist() == [0.3, 0.7]
    assert fitted["precision"][0] <= 0.3 < 0.6 < fitted["precision"][1] <= 0.7


def test_clips_that_were_not_drawn_at_random_are_told_of_and_fit_no_threshold(tmp_path, caplog):
    rows = [(index, answer, probability, "", "") for index, answer, probability, _, _ in SAMPLE]
    found = judged.read(_write(tmp_path / "v.csv", rows), CLASSES)
    assert "not all clips were drawn at random" in caplog.text
    assert sum(band.size for band in found.bands()) == len(rows)
    with pytest.raises(config.InputError, match="review --sample"):
        judged.refit(decisions.neutral(CLASSES, 1, "mean"), found, 0.9, "v.csv")


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([(0, "unsure", 0.5, 0.5, 3)], "none of 1 rows says yes"), ([(0, "yes", "", 0.5, 3)], "have no probability"),
        ([(0, "yes", 0.9, "", ""), (0, "no", -0.2, "", "")], r"1 verdicts have similarities .* x\.wav at 1 s: -0\.2"),
    ],
)  # fmt: skip
def test_verdicts_that_say_nothing_are_refused(tmp_path, rows, message):
    with pytest.raises(config.InputError, match=message):
        judged.read(_write(tmp_path / "v.csv", rows), CLASSES)


def test_a_band_of_which_a_person_is_unsure_alone_is_not_passed_over(tmp_path):
    """A table of an earlier version tells the sizes of the bands of its rows alone."""
    found = judged.read(_write(tmp_path / "v.csv", [*SAMPLE, (0, "unsure", 0.95, 0.9, 3)]), CLASSES)
    assert [(band.lowest, band.size, band.judged) for band in found.bands()][1:] == [(0.5, 10, 4), (0.9, 3, 0)]
    assert math.isnan(stratified.share(found.bands()).estimate) and found.open_bands == "0.9"


def test_verdicts_that_name_the_predicted_class_as_another_one_are_refused(tmp_path):
    text = "".join(f"{','.join(row)}\n" for row in (verdicts.COLUMNS, ("x.wav", "0", "1", "a", "other")))
    (tmp_path / "v.csv").write_text(text.replace("verdict\n", "verdict,species\n").replace("other", "other,Avis alba"))
    with pytest.raises(config.InputError, match=r"--verdicts=.*v\.csv: x\.wav at 0 s: other names 'Avis alba'"):
        judged.read(str(tmp_path / "v.csv"), CLASSES)


def test_the_command_writes_tables_and_stores_thresholds_in_the_model(tmp_path, manifest, model_path):
    model = str(shutil.copytree(model_path, tmp_path / "model"))
    table = _write(tmp_path / "v.csv", SAMPLE, manifest.classes)
    told = evaluate.evaluate(
        settings(evaluate.EvaluateConfig, model=(model,), verdicts=table, output=tmp_path / "out", tune=True)
    )
    assert told["num_verdicts"] == 10 and told["tuned_on_these"]
    stored = decisions.load(f"{model}/{decisions.ASSET}", manifest.classes, 1)
    assert told["decisions_digest"] == decisions.digest(stored, manifest.classes) and told["flags"]["tune"]
    assert stored.chunk.thresholds["f1"][0] == 0.4 and stored.chunk.thresholds["f1"][2] == 0.5
    with pytest.raises(config.InputError, match="with --verdicts has no effect"):
        settings(evaluate.EvaluateConfig, model=(model,), verdicts=table, audio="x")


def test_thresholds_are_not_fitted_to_probabilities_of_another_scale(tmp_path, manifest, model_path, caplog):
    model = str(shutil.copytree(model_path, tmp_path / "model"))
    ensemble = ensembles.Ensemble([model])
    scale = ensemble.scale

    def check(own, *, tunes):
        caplog.clear()
        found = judged.read(_write(tmp_path / "v.csv", SAMPLE, scale=own), CLASSES)
        judged.check_scale(found, scale, "v.csv", tunes=tunes)
        return caplog.text

    assert not check(scale, tunes=True) and not check("", tunes=False)
    assert "does not say of 10 of 10 verdicts" in check("", tunes=True)
    assert "v.csv: probabilities were combined with a list" in check(f"{scale} a list", tunes=True)
    assert "10 of 10 verdicts are on predictions of another model" in check("another", tunes=False)
    with pytest.raises(config.InputError, match="so --tune needs verdicts on new predictions"):
        check("another", tunes=True)

    # a calibration changes the scale, thresholds do not
    chunk = ensemble.decisions.chunk
    other = {rule: least / 2 for rule, least in chunk.thresholds.items()}
    for fitted, is_same in (({"thresholds": other}, True), ({"slope": 2.0}, False)):
        chunk = dataclasses.replace(chunk, **fitted)
        ensemble.decisions = dataclasses.replace(ensemble.decisions, chunk=chunk)
        stored_decisions.store(ensemble, str(tmp_path), [model])
        assert (ensembles.Ensemble([model]).scale == scale) == is_same


def test_a_calibration_is_not_replaced_by_none(tmp_path):
    for values in ({"verdicts": "v.csv"}, {"audio": "a", "segments": "s.csv"}):
        with pytest.raises(config.InputError, match="--decisions=none with --tune"):
            settings(evaluate.EvaluateConfig, model=("m",), tune=True, decisions="none", **values)
