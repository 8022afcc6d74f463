"""about.txt: what is in the folder of a prediction, and what the columns of its tables mean."""

from __future__ import annotations

import textwrap
from collections.abc import Collection, Iterable

from bird_tf.inference import strangeness
from bird_tf.inference.writers import predictions, rows

FILE = "about.txt"

MEANINGS = {
    "recording_id": "the recording: its path below the folder that was searched; equal in all tables",
    "file": "the same; the converter looks for this name when a corrected table is used as labels",
    "start_seconds": "where it begins, seconds from the start of the recording",
    "end_seconds": "where it ends",
    "class_id": "the species, as in the training data",
    "name": "its Latin name, if the training data told it",
    "probability": "of the best chunk, from 0 to 1",
    "clock_time": "when it was by the recorder's clock; empty if unknown",
    "site": "where the recorder stood; empty if unknown",
    "latitude": "degrees; empty if unknown",
    "longitude": "degrees; empty if unknown",
    "seconds": "length of the recording",
    "best": "the class with the highest probability in the whole recording, however low; empty if all are 0",
    "present": "the classes whose probability in the whole recording reaches their threshold, separated by ;",
}
_PURPOSES = {
    "detections": "a row for each detection: a species from a start to an end",
    "recordings": "a row for each recording; then a column for each class: its probability in the recording",
    "chunks": "a row for each chunk, even without a detection; then a column for each class: its probability",
}


_UNLIKE = (
    "Another recorder or kind of sound is often noticed so; a foreign species in a recording that otherwise sounds "
    "alike is not. Listen before you trust what the model says of them."
)
_UNKNOWN = "Whether recordings sound unlike the training data is not known: this model does not tell."


def _of_places(expected: str) -> str:
    """The end of the sentence on species that cannot be where the recordings are from."""
    if expected:
        return f". Beside the sound, this counts: {expected}. A species that it excludes has no detections."
    return (
        ", and a species that does not live where you recorded can get a high probability: --species_list and "
        "--occurrence keep to those that do."
    )


def write(
    context: predictions.Context, formats: Collection[predictions.Format], models: Iterable[str], calibrated_on: str,
    unlike: str = "",
) -> str:  # fmt: skip
    """The text.

    Args:
        context: what is the same for all recordings.
        formats: of the result files.
        models: that were asked.
        calibrated_on: which recordings the probabilities were fitted on; empty if they were not.
        unlike: `strangeness.sentence` of the recordings; empty if the model does not know how its training sounded.
    """
    calibration = (
        f"Probabilities are calibrated on {calibrated_on}: of detections with 0.8, about 80 in 100 are right on "
        "recordings like those. On other recordings only their "
        "order is useful: a higher one is more probably right."
        if calibrated_on
        else "Probabilities are not calibrated: 0.8 does not mean that 80 in 100 are right, only more than 0.7. "
        "bird-tf-evaluate --tune calibrates a model."
    )
    paragraphs = [
        f"Predictions of {', '.join(models)} for the recordings in {context.root or '.'}.",
        f"The model answers only with the {len(context.classes)} species that it has learnt. Another species gets the "
        f"name of one that sounds like it{_of_places(context.expected)}",
        calibration,
        f"{unlike}. {_UNLIKE}" if unlike else _UNKNOWN,
        f"A detection is a species in a chunk of {context.front_end.chunk_seconds:g} s "
        f"{context.found_by.in_words(has_own=bool(calibrated_on))}",
    ]
    lines = [textwrap.fill(paragraph, 100) + "\n" for paragraph in paragraphs]
    lines += [f"{each.files[0]}: {each.meaning}" for each in formats]
    lines += [
        "skipped.csv: recordings that could not be read, and why",
        f"{rows.DAMAGED}, if it is there: recordings of which only a part could be read; lost_seconds is how much is "
        "missing, and note says what was noticed; the times of the rest are right",
        f"{strangeness.TABLE}, if it is there: recordings that sound unlike the training data, the strangest first; 1 "
        "is the limit of strangeness",
        "summary.json: the same in numbers, for programs",
    ]
    lines += ["scores/: what the models said, kept so that the same command need not ask them again"]
    if any(each.explained for each in formats):
        columns = {"detections": rows.DETECTIONS, "recordings": rows.recording_columns(context), "chunks": rows.CHUNKS}
        for table, own in columns.items():
            lines += ["", f"{table}: {_PURPOSES[table]}", *(f"  {column:15}{MEANINGS[column]}" for column in own)]
    return "\n".join(lines) + "\n"
