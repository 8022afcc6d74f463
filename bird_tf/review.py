"""Makes a page on which a person judges predictions, clip by clip, with a few keys.

The page saves verdicts.csv, which bird_tf.evaluate, bird_tf.predict --summary and the converter read.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from typing import Any

from absl import logging

from bird_tf import command_line, config, files, locks, next_steps, python_calls, skips
from bird_tf.backbones import exported
from bird_tf.inference import audio_files, provenance, result_files, score_store
from bird_tf.labels import taxonomy, verdicts
from bird_tf.reviewing import clips, page, prediction_folder

_FILES = (page.PAGE, skips.TABLE, files.SUMMARY)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ReviewConfig:
    """Flags of a review."""

    predictions: str = config.option(
        "", "folder that bird_tf.predict --format=csv wrote, or a table such as its detections.csv", required=True
    )
    audio: str = config.option("", "folder of the recordings; empty: the one that the prediction names")
    output: str = config.option("", "folder for the page", required=True)
    choice: clips.ChoiceConfig
    excerpt: page.ExcerptConfig
    verdicts: str = config.option("", "verdicts.csv of an earlier review: its clips are left out")


def review(settings: ReviewConfig) -> dict[str, Any]:
    """Writes index.html with clips/, skipped.csv and summary.json.

    Returns:
        The content of summary.json.

    Raises:
        InputError: no predictions, no such recordings, or no clip to show; or another command is at work in the output.
    """
    if os.path.realpath(settings.output) == os.path.realpath(_folder(settings)):
        raise config.InputError(f"--output={settings.output} is the folder of the prediction; name another one")
    with locks.held(settings.output, work="review", flag="--output"):
        return _review(settings)


def _folder(settings: ReviewConfig) -> str:
    """The folder of the prediction, if a table of it is named, too."""
    return settings.predictions if os.path.isdir(settings.predictions) else os.path.dirname(settings.predictions)


def _review(settings: ReviewConfig) -> dict[str, Any]:
    if not os.path.exists(settings.predictions):
        raise config.InputError(f"--predictions={settings.predictions}: no such folder or table")
    described = prediction_folder.summary(settings.predictions)
    root = settings.audio or described.audio
    if not root:
        raise config.InputError(f"{settings.predictions} names no folder of recordings; name it with --audio")
    if not os.path.isdir(root):
        raise config.InputError(f"--audio={root}: no such folder; name the folder of the recordings")
    before = verdicts.read(settings.verdicts) if settings.verdicts else []
    results = result_files.ResultFiles(settings.output, "review")
    predicted = prediction_folder.detections(settings.predictions)
    shortened, num_cut = clips.shorten(predicted, settings.excerpt.max_seconds)
    wanted = clips.of_species(shortened, settings.choice)
    left_out = _left_out(settings, root, wanted)
    others = {file for file, _ in left_out}
    audible = [clip for clip in wanted if clip.file not in others]
    # of a species of several that were asked for, nothing may be audible, which is told
    choice = clips.choose(audible, before, dataclasses.replace(settings.choice, species=()))
    if num_cut:
        logging.warning(
            "%d of %d detections are longer than %g s: only their beginning is judged; %s gives one for each chunk",
            num_cut, len(predicted), settings.excerpt.max_seconds,
            next_steps.command("predict", merge_seconds="-1"),
        )  # fmt: skip
    about = page.Page(
        title=f"Review of {os.path.basename(os.path.normpath(settings.predictions))}",
        score="probability",
        species=_species(described, predicted),
        channel=described.channel,
        scale=described.scale,
    )
    with results.writing(_FILES):
        not_cut = page.write(results, root, choice, about, settings.excerpt)
        skips.write(settings.output, left_out + not_cut)
        summary = {
            "predictions": settings.predictions, "audio": os.path.abspath(root), "num_predictions": len(predicted),
            "num_clips": len(choice.clips) - len(not_cut), "num_skipped": len(left_out + not_cut),
            "num_shortened": num_cut, "sample": settings.choice.sample, "page": results.path(page.PAGE),
            **provenance.of_command(settings), "fingerprints": list(described.fingerprints),
            "models": list(described.models), "decisions_digest": described.decisions_digest,
        }  # fmt: skip
        files.write_json(results.path(files.SUMMARY), summary)
    return summary


def _left_out(settings: ReviewConfig, root: str, predicted: Sequence[clips.Clip]) -> list[skips.Skip]:
    """(recording, reason) of those that are not there, or are others than those that were heard; each is told.

    Raises:
        InputError: none is left.
    """
    paths = {clip.file: files.below(root, clip.file) for clip in predicted}
    changed = dict.fromkeys(score_store.changed(_folder(settings), paths), audio_files.CHANGED)
    gone = {file: "no such recording" for file, path in paths.items() if not os.path.isfile(path)}
    found = [(file, f"{paths[file]}: {reason}") for file, reason in sorted((changed | gone).items())]
    if found and len(found) == len(paths):
        raise config.InputError(f"none of {len(paths)} recordings can be heard; the first: {found[0][1]}")
    for skip in found:
        skips.log(skip)
    return found


def _species(described: prediction_folder.Summary, predicted: list[clips.Clip]) -> list[tuple[str, str]]:
    """(class id, name) of all classes of the models where they still are, else of those that were predicted."""
    found = dict(sorted((clip.class_id, clip.name) for clip in predicted))
    for model in reversed(described.models):  # of different names, that of the first model counts
        path = os.path.join(model, exported.CLASSES)
        if files.exists(path):
            classes = taxonomy.load(path)
            found.update(zip(classes.class_ids, classes.names, strict=True))
    return list(found.items())


def main(settings: ReviewConfig) -> None:
    """Writes the page, and logs one line of summary."""
    summary = review(settings)
    logging.info(
        "%s: %d clips of %d predictions, %d skipped; open it in a browser",
        summary["page"], summary["num_clips"], summary["num_predictions"], summary["num_skipped"],
    )  # fmt: skip
    judge = f"open {summary['page']} in a browser, judge, and save verdicts.csv"
    if summary["sample"]:
        next_steps.log(
            judge,
            "to know how often the model is right, and to set its thresholds for chunks by it:",
            next_steps.command(
                "evaluate", model=summary["models"] or ["runs/NAME/export"], verdicts="verdicts.csv",
                output=f"{os.path.normpath(settings.output)}-judged", tune=True,
            ),
        )  # fmt: skip
        return
    next_steps.log(
        judge,
        "to learn from it, put it into LABELS, beside the labels that the model has learnt from (its records have them "
        "in recordings.csv), and old and new recordings, or links to them, into ALL; then",
        next_steps.command("convert", audio="ALL", metadata="LABELS", skip_unmatched=True, output="tfrecords/next"),
    )


def run() -> None:
    """Entry point of `bird-tf-review`."""
    command_line.run(main, ReviewConfig)


python_calls.make_callable(__name__, review, ReviewConfig)


if __name__ == "__main__":
    run()
