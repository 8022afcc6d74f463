import logging
import math

import pytest

from bird_tf.evaluation import noise, summary_lines

RECORDINGS = {
    "mlrap": 0.75, "intervals": {"mlrap": (0.7, 0.8)}, "chance_mlrap": 0.2, "mlrap_foreground": 0.8, "top1": 0.6,
    "num_recordings": 40, "num_skipped": 2, "output": "out",
}  # fmt: skip
SEGMENTS = {
    "cmap": 0.5, "auroc": 0.9, "context": "", "context_cmap": {}, "num_segments": 24, "num_recordings": 2,
    "num_skipped": 0, "false_alarms_per_hour": {"f1": 3.0}, "precision": {"f1": 0.9}, "recall": {"f1": 0.25},
    "overlap_seconds": 1.5,
}  # fmt: skip


@pytest.fixture(autouse=True)
def _log_everything(caplog):
    caplog.set_level(logging.INFO, "absl")


def test_recordings_are_told_with_their_metrics_and_false_alarms(caplog):
    rates = {"f1": {"rate": 2.0, "low": 1.0, "high": 4.0}}
    silent = {"evaluated": "NOISE", "hours": 0.5, "cmap": 0.25, "false_alarms_per_hour": rates}
    summary_lines.of_recordings({**RECORDINGS, "noise": silent, "without_prior": {"mlrap": 0.5}})
    told = "MLRAP 0.7500 (95 %: 0.7000 to 0.8000; chance 0.2000) (without the prior 0.5000), foreground 0.8000"
    assert told in caplog.text and "on 40 recordings, 2 skipped; out/report.html" in caplog.text
    assert (
        f"NOISE, 0.50 h without birds: c-mAP with it 0.2500; false alarms an hour: {noise.describe(rates)}"
        in caplog.text
    )


def test_one_class_is_not_ranked(caplog):
    summary_lines.of_recordings({**RECORDINGS, "mlrap": None})
    assert "one class, 40 recordings, 2 skipped" in caplog.text and "MLRAP" not in caplog.text


def test_segments_are_told_with_the_quality_at_each_rule(caplog):
    summary_lines.of_segments(SEGMENTS)
    assert "c-mAP 0.5000, AUROC 0.9000; 24 segments of 2 recordings, 0 skipped; chunks overlap by 1.5 s" in caplog.text
    assert "of the rule f1: precision 0.90, recall 0.25, 3.0 false alarms an hour" in caplog.text


def test_soundscapes_without_calls_have_false_alarms_only(caplog):
    nothing = {"cmap": math.nan, "auroc": math.nan, "precision": {"f1": math.nan}, "recall": {"f1": math.nan}}
    summary_lines.of_segments({**SEGMENTS, **nothing})
    assert "no calls in the truth" in caplog.text and "of the rule f1: 3.0 false alarms an hour" in caplog.text
