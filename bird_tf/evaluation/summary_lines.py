"""The lines in which a command tells what an evaluation found, from its summary."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from typing import Any

from absl import logging

from bird_tf.evaluation import noise, report


def of_recordings(summary: Mapping[str, Any]) -> None:
    """Logs what recordings say in one line, and the false alarms in another."""
    if summary["mlrap"] is None:
        logging.info(
            "one class, %d recordings, %d skipped; it is judged by --noise_audio=DIR, recordings without it: average "
            "precision and false alarms; %s",
            summary["num_recordings"], summary["num_skipped"], os.path.join(summary["output"], report.PAGE),
        )  # fmt: skip
    else:
        _ranking(summary)
    if "noise" in summary:
        logging.info(
            "%s, %.2f h without birds: c-mAP with it %.4f; false alarms an hour: %s",
            summary["noise"]["evaluated"], summary["noise"]["hours"], summary["noise"]["cmap"],
            noise.describe(summary["noise"]["false_alarms_per_hour"]),
        )  # fmt: skip


def _ranking(summary: Mapping[str, Any]) -> None:
    low, high = summary["intervals"]["mlrap"]
    logging.info(
        "MLRAP %.4f (95 %%: %.4f to %.4f; chance %.4f)%s, foreground %.4f, top-1 %.4f on %d recordings, %d skipped; %s",
        summary["mlrap"], low, high, summary["chance_mlrap"], _without_prior(summary, "mlrap"),
        summary["mlrap_foreground"], summary["top1"], summary["num_recordings"], summary["num_skipped"],
        os.path.join(summary["output"], report.PAGE),
    )  # fmt: skip


def of_segments(summary: Mapping[str, Any]) -> None:
    """Logs what segments of soundscapes say."""
    quality = "no calls in the truth, so nothing to find"
    if not math.isnan(summary["cmap"]):
        without = _without_prior(summary, "cmap")
        quality = f"c-mAP {summary['cmap']:.4f}, AUROC {summary['auroc']:.4f}{without}"
    if summary["context_cmap"]:
        logging.info(
            "context of the chunks: %s; c-mAP with it %.4f, without %.4f",
            summary["context"] or "none", summary["context_cmap"][summary["context"] or "none"],
            summary["context_cmap"]["none"],
        )  # fmt: skip
    logging.info(
        "%s; %d segments of %d recordings, %d skipped; chunks overlap by %g s",
        quality, summary["num_segments"], summary["num_recordings"], summary["num_skipped"],
        summary["overlap_seconds"],
    )  # fmt: skip
    for rule, rate in summary["false_alarms_per_hour"].items():
        precision, recall = summary["precision"][rule], summary["recall"][rule]
        found = "" if math.isnan(precision + recall) else f"precision {precision:.2f}, recall {recall:.2f}, "
        logging.info("at the thresholds of the rule %s: %s%.1f false alarms an hour", rule, found, rate)


def _without_prior(summary: Mapping[str, Any], name: str) -> str:
    """The metric of the scores without place and time, for the summary line."""
    return f" (without the prior {summary['without_prior'][name]:.4f})" if "without_prior" in summary else ""
