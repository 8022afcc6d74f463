import math
import pathlib

import pytest

from bird_tf.selftraining import gate, rounds
from tests import conftest


def _round(folder, cmap, mlrap=math.nan):
    quality = gate.Quality(cmap=cmap, auroc=0.5, mlrap=mlrap)
    return rounds.Round(
        run_dir=str(folder), models=(f"{folder}/export",), row={"run_dir": str(folder)}, quality=quality
    )


def test_the_table_tells_the_metrics_and_leaves_out_what_is_unknown(tmp_path):
    done = [_round("", 0.5, 0.75), _round("round-1", 0.123456)]
    rounds.write_table(str(tmp_path), done)
    rows = conftest.table(tmp_path / rounds.TABLE)
    assert [(row["round"], row["cmap"], row["mlrap"]) for row in rows] == [("0", "0.5", "0.75"), ("1", "0.1235", "")]
    assert rounds.in_words(done[0].row) == "c-mAP 0.5000, MLRAP 0.7500"
    assert rounds.in_words({"cmap": None, "mlrap": None}) == "not judged"


def test_the_best_round_is_kept_and_without_a_gate_the_last_one():
    assert rounds.best([_round("", 0.5), _round("a", 0.6), _round("b", 0.55)]) == 1
    without = [rounds.Round(run_dir="", models=(), row={}, quality=None)] * 3
    assert rounds.best(without) == 2


@pytest.mark.parametrize("validated", [False, True])
def test_the_model_of_the_round_that_won_is_copied_with_that_from_before_its_refit(tmp_path, validated):
    won = tmp_path / "round-1"
    for name in ("export", *["validated/export"] * validated):
        (won / name).mkdir(parents=True)
        (won / name / "model").write_text(name)
    assert rounds.take(str(tmp_path), _round(won, 0.5)) == str(tmp_path / "export")
    assert (tmp_path / "export" / "model").read_text() == "export"
    assert (tmp_path / "validated").exists() == validated


def test_several_teachers_that_were_not_beaten_stay_where_they_are(tmp_path):
    kept = rounds.Round(run_dir="", models=("a/export", "b/export"), row={}, quality=None)
    assert rounds.take(str(tmp_path), kept) == "" and not list(tmp_path.iterdir())


@pytest.mark.parametrize("refitted", [False, True])
def test_a_teacher_that_was_not_beaten_is_kept_as_it_was_asked_for(tmp_path, refitted):
    asked, judged = tmp_path / "t" / "export", tmp_path / "t" / ("validated/export" if refitted else "export")
    for folder in {asked, judged}:
        folder.mkdir(parents=True)
        (folder / "model").write_text(str(folder))
    kept = rounds.Round(run_dir="", models=(str(judged),), row={}, quality=None, asked=(str(asked),))
    assert rounds.take(str(tmp_path / "run"), kept) == str(tmp_path / "run" / "export")
    assert (tmp_path / "run" / "export" / "model").read_text() == str(asked)
    assert (tmp_path / "run" / "validated").exists() == refitted
    if refitted:
        assert (tmp_path / "run" / "validated" / "export" / "model").read_text() == str(judged)


def test_a_repeated_command_leaves_the_tuning_of_its_model(model_path, attention_model_path, tmp_path):
    def kept(path):
        return rounds.Round(run_dir="", models=(path,), row={}, quality=None)

    export = pathlib.Path(rounds.take(str(tmp_path), kept(model_path)))
    (export / "decisions.json").touch()
    rounds.take(str(tmp_path), kept(model_path))
    assert (export / "decisions.json").exists()
    rounds.take(str(tmp_path), kept(attention_model_path))  # another round has won
    assert not (export / "decisions.json").exists()
    (export / "assets" / "classes.csv").write_text("damaged")
    rounds.take(str(tmp_path), kept(attention_model_path))
    assert rounds.exported.fingerprint(str(export)) == rounds.exported.fingerprint(attention_model_path)
