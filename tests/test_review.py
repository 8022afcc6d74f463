import json
import logging
import pathlib
import shutil

import pytest

from bird_tf import config, csv_files, predict, review
from bird_tf.audio import decode
from bird_tf.labels import taxonomy
from tests import conftest
from tests.conftest import settings


@pytest.fixture(scope="module")
def predicted(tmp_path_factory, model_path, data):
    """A prediction with a detection for each chunk and class."""
    output = tmp_path_factory.mktemp("predicted") / "deployment"
    flags = {"min_probability": "0.001", "merge_seconds": -1.0}
    predict.predict(settings(predict.PredictConfig, model=[model_path], audio=data / "wav", output=output, **flags))
    return output


def _review(tmp_path, predicted, **flags):
    return review.review(
        settings(review.ReviewConfig, **{"predictions": predicted, "output": tmp_path / "page", **flags})
    )


def test_a_prediction_becomes_a_page(tmp_path, predicted, manifest):
    summary = _review(tmp_path, predicted, num_clips=5, sample=True)
    assert summary["num_clips"] == 5 < summary["num_predictions"] and summary["num_skipped"] == 0
    assert json.loads((tmp_path / "page" / "summary.json").read_text()) == summary
    before = json.loads((predicted / "summary.json").read_text())
    assert all(before[name] == summary[name] for name in ("fingerprints", "decisions_digest", "versions"))
    assert summary["flags"]["num_clips"] == 5
    text = (tmp_path / "page" / "index.html").read_text()
    assert "Review of deployment" in text
    # verdicts tell what the probabilities are of
    assert f'"scale": {json.dumps(json.loads((predicted / "summary.json").read_text())["scale"])}' in text
    # all classes of the model can be named, also those that were not predicted
    assert all(json.dumps(class_id) in text for class_id in manifest.classes.class_ids)


def test_a_sample_is_for_judging_the_model(tmp_path, predicted, caplog):
    for sample, words in ((True, ["evaluate", "--verdicts=verdicts.csv"]), (False, ["convert", "--metadata=LABELS"])):
        caplog.clear()
        flags = {"predictions": predicted, "output": tmp_path / f"page{sample}", "num_clips": 2, "sample": sample}
        with caplog.at_level(logging.INFO, "absl"):
            review.main(settings(review.ReviewConfig, **flags))
        assert all(word.replace("convert", "make_tfrecords") in caplog.text for word in words)


def test_all_classes_of_an_ensemble_can_be_named(tmp_path, predicted, model_path, data):
    shutil.copytree(predicted, tmp_path / "out")
    (tmp_path / "second" / "assets").mkdir(parents=True)
    further = taxonomy.Taxonomy(("strang", "ascend"), ("Strangus novus", "Another name"))
    taxonomy.save(str(tmp_path / "second" / "assets" / "classes.csv"), further)
    path = tmp_path / "out" / "summary.json"
    told = {**json.loads(path.read_text()), "models": [model_path, str(tmp_path / "second")]}
    path.write_text(json.dumps(told))
    _review(tmp_path, tmp_path / "out", num_clips=1)
    text = (tmp_path / "page" / "index.html").read_text()
    assert '["strang", "Strangus novus"]' in text and "Another name" not in text


def test_its_clips_are_no_recordings_of_the_folder_above_it(tmp_path, predicted, data, caplog):
    _review(tmp_path, predicted, num_clips=5)
    shutil.copytree(data / "wav", tmp_path / "wav")
    found = decode.find(str(tmp_path))
    assert found == decode.find(str(tmp_path / "wav")) and "5 clips that review or search has cut" in caplog.text
    assert len(decode.find(str(tmp_path / "page"))) == len(decode.find(str(tmp_path / "page" / "clips"))) == 5


def test_what_was_judged_before_is_not_asked_again(tmp_path, predicted):
    [head, *rows] = (predicted / "detections.csv").read_text().splitlines()
    file, start, end, class_id = (
        head.split(",").index(c) for c in ("file", "start_seconds", "end_seconds", "class_id")
    )
    judged = [",".join([row.split(",")[i] for i in (file, start, end, class_id)] + ["yes"]) for row in rows[:-2]]
    (tmp_path / "verdicts.csv").write_text(
        "\n".join(["file,start_seconds,end_seconds,class_id,verdict", *judged]) + "\n"
    )
    assert _review(tmp_path, predicted, verdicts=tmp_path / "verdicts.csv", num_clips=0)["num_clips"] == 2 < len(rows)


def test_the_folder_of_the_prediction_is_no_place_for_the_page(tmp_path, predicted):
    with pytest.raises(config.InputError, match="is the folder of the prediction"):
        _review(tmp_path, predicted, output=predicted)


def test_the_folder_of_the_prediction_is_known_by_a_link_and_by_a_table_too(tmp_path, predicted):
    (tmp_path / "link").symlink_to(predicted)
    for flags in ({"output": tmp_path / "link"}, {"predictions": predicted / "detections.csv", "output": predicted}):
        with pytest.raises(config.InputError, match="is the folder of the prediction"):
            _review(tmp_path, **{"predicted": predicted, **flags})


def test_recordings_that_were_replaced_or_removed_are_left_out_before_clips_are_chosen(
    tmp_path, model_path, data, caplog
):
    (tmp_path / "audio").mkdir()
    a, b, c = (pathlib.Path(shutil.copy(p, tmp_path / "audio")) for p in sorted((data / "wav").iterdir())[:3])
    flags = {"min_probability": "0.001", "merge_seconds": -1.0, "output": tmp_path / "out"}
    predict.predict(settings(predict.PredictConfig, model=[model_path], audio=tmp_path / "audio", **flags))
    shutil.copy(b, a)
    b.unlink()
    summary = _review(tmp_path, tmp_path / "out", num_clips=3)
    assert (summary["num_clips"], summary["num_skipped"]) == (3, 2)
    skipped = {row["file"]: row["reason"] for row in conftest.table(tmp_path / "page" / "skipped.csv")}
    assert "changed since the prediction" in skipped[a.name] and "no such recording" in skipped[b.name]
    assert len([message for message in caplog.messages if message.startswith("skipped: ")]) == len(skipped) == 2
    rows = conftest.table(tmp_path / "out" / "detections.csv")
    first, other = list(dict.fromkeys(row["class_id"] for row in rows))[:2]
    of_one = [row for row in rows if (row["class_id"] == first) == (row["file"] == b.name)]
    csv_files.write(str(tmp_path / "some.csv"), [*rows[0]], [[*row.values()] for row in of_one])
    with pytest.raises(config.InputError, match=r"none of 1 recordings can be heard; the first: .*no such recording"):
        _review(tmp_path, tmp_path / "some.csv", audio=tmp_path / "audio", species=[first])
    assert _review(tmp_path, tmp_path / "some.csv", audio=tmp_path / "audio", species=[other])["num_skipped"] == 0
    c.unlink()
    with pytest.raises(config.InputError, match=r"none of 3 recordings can be heard; the first: .* changed since"):
        _review(tmp_path, tmp_path / "out")


def test_predictions_that_are_not_there_are_named(tmp_path):
    with pytest.raises(config.InputError, match=r"--predictions=.*nope: no such folder or table"):
        _review(tmp_path, tmp_path / "nope")


def test_moved_recordings_must_be_named(tmp_path, predicted):
    with pytest.raises(config.InputError, match="no such folder"):
        _review(tmp_path, predicted, audio=tmp_path / "gone")
    shutil.copy(predicted / "detections.csv", tmp_path)
    with pytest.raises(config.InputError, match=r"detections\.csv names no folder of recordings; name it with --audio"):
        _review(tmp_path, tmp_path / "detections.csv")


def test_a_table_of_a_prediction_is_reviewed_as_its_folder(tmp_path, predicted):
    of_folder, of_table = (_review(tmp_path, path) for path in (predicted, predicted / "detections.csv"))
    for name in ("audio", "num_clips", "fingerprints", "decisions_digest"):
        assert of_folder[name] == of_table[name]
