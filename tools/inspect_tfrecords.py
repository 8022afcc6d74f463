"""Shows what is in a records directory: counts, durations, activity, skipped recordings, and some spectrograms.

The checksum of every shard is verified. contact.png, beside the records or at --output, shows one row of spectrograms
for each class; the last row is noise.
"""

from __future__ import annotations

import collections
import dataclasses
import itertools
import os
from collections.abc import Iterator
from typing import Any

import numpy as np

from bird_tf import command_line, config, csv_files, files, next_steps, progress_bars, skips
from bird_tf.audio import axes
from bird_tf.records import manifests, schema, shard_files, verify
from bird_tf.training import recipes

_EDGES = (0.0, 0.0001, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0)


@dataclasses.dataclass(frozen=True, kw_only=True)
class InspectConfig:
    """Flags of the inspection."""

    records: str = config.option("", "records directory, as tfrecords/NAME", required=True)
    output: str = config.option("", "file for the contact sheet; empty: contact.png in the records directory")
    columns: int = config.option(8, "spectrograms in a row of the contact sheet; 0: no sheet")
    max_classes: int = config.option(30, "the most classes on the contact sheet, those with the most chunks first")

    def __post_init__(self) -> None:
        if self.columns < 0 or self.max_classes < 1:
            raise config.InputError(
                f"--columns={self.columns} --max_classes={self.max_classes}: need at least 0, and at least one class"
            )


def damaged(manifest: manifests.Manifest) -> list[str]:
    """Names of the shards whose checksum is not the one in the manifest."""
    shards = [shard for found in manifest.shards.values() for shard in found if shard.count]
    with progress_bars.start(len(shards), "shard", "verifying") as progress:
        found = []
        for shard in shards:
            if files.checksum(os.path.join(manifest.directory, shard.name)) != shard.checksum:
                found.append(shard.name)
            progress.update()
    return found


def _chunks(manifest: manifests.Manifest, split: str) -> Iterator[dict[str, Any]]:
    for batch in verify.naming_damage(shard_files.read(manifest, split, 64), manifest):
        columns = {name: value.numpy() for name, value in batch.items()}
        for i in range(len(columns["label"])):
            yield {name: column[i] for name, column in columns.items()}


def gather(
    manifest: manifests.Manifest, columns: int
) -> tuple[dict[str, list[float]], dict[str, list[dict[str, Any]]]]:
    """Reads every chunk once.

    Returns:
        {split: activity of its chunks}, and {class id, or "noise": chunks to show}, each of another recording if there
        are enough recordings.
    """
    activities: dict[str, list[float]] = {part: [] for part in manifests.SPLITS}
    shown: dict[str, list[dict[str, Any]]] = collections.defaultdict(list)
    spare: dict[str, list[dict[str, Any]]] = collections.defaultdict(list)
    for part in manifests.SPLITS:
        used = set()
        for chunk in _chunks(manifest, part):
            activities[part].append(float(chunk["activity"]))
            row = "noise" if part == "noise" else manifest.classes.class_ids[int(chunk["label"])]
            place = shown if (row, chunk["recording_id"]) not in used else spare
            used.add((row, chunk["recording_id"]))
            if len(place[row]) < columns:
                place[row].append(chunk)
    return activities, {row: [*chunks, *spare[row]][:columns] for row, chunks in shown.items()}


def table(manifest: manifests.Manifest, activities: dict[str, list[float]]) -> list[str]:
    """The lines to print."""
    front_end = manifest.front_end
    minutes = "minutes of overlapping chunks" if manifest.converter.get("overlap_seconds") else "minutes"
    lines = [
        f"{manifest.directory}: {front_end.scale}, {front_end.num_bands} x {front_end.num_frames}, "
        f"{front_end.chunk_seconds:g} s at {front_end.sample_rate_hz} Hz",
        "",
        f"{'':32}{'train':>9}{'val':>9}{'noise':>9}",
    ]
    rows: list[tuple[str, list[float]]] = [
        ("recordings", [manifest.num_recordings[part] for part in manifests.SPLITS]),
        ("chunks", [manifest.num_chunks(part) for part in manifests.SPLITS]),
        (minutes, [round(manifest.num_chunks(p) * front_end.chunk_seconds / 60, 1) for p in manifests.SPLITS]),
    ]
    for i, (class_id, name) in enumerate(zip(manifest.classes.class_ids, manifest.classes.names, strict=True)):
        label = class_id if class_id == name else f"{class_id} {name}"
        # no species is in noise, and that of recordings without a label is counted at the first class
        rows.append((label, [manifest.chunks_per_class[part][i] for part in ("train", "val")]))
    lines += [f"{name[:31]:32}" + "".join(f"{value:9}" for value in values) for name, values in rows]
    lines += ["", "each chunk holds:"]
    lines += [
        f"  {feature.name}: {' x '.join(map(str, feature.shape))} {feature.dtype}, from {feature.producer}"
        for feature in manifest.features.values()
    ]
    if mixtures := sum(manifest.num_chunks(part) for part in manifests.MIXED):
        lines.append(f"  and {mixtures} mixtures of chunks, which only --mixtures uses")
    if manifest.backbone:
        known = f"{len(manifest.backbone['classes'])} of {len(manifest.classes)} classes"
        lines.append(f"  the backbone knows {known}; its licence: {manifest.backbone.get('licence') or 'unknown'}")
    lines += ["", f"{'activity':32}{'train':>9}{'val':>9}{'noise':>9}"]
    counts = [np.histogram(activities[part], _EDGES)[0] for part in manifests.SPLITS]
    most = max(1, int(np.sum(counts, axis=0).max()))
    for i, (low, high) in enumerate(itertools.pairwise(_EDGES)):
        bar = "#" * round(20 * sum(int(count[i]) for count in counts) / most)
        lines.append(f"{f'{low:g} to {high:g}':32}" + "".join(f"{count[i]:9}" for count in counts) + "  " + bar)
    table = csv_files.read(os.path.join(manifest.directory, manifests.RECORDINGS), ("seconds",))
    durations = [row.number("seconds", 0) for row in table]
    if durations:
        quartiles = ", ".join(f"{value:.1f}" for value in np.percentile(durations, [0, 25, 50, 75, 100]))
        lines += ["", f"seconds of a recording, minimum, quartiles, maximum: {quartiles}"]
    lines += ["", f"{len(manifest.skipped)} skipped"]
    return lines + [f"  {skips.named((entry['file'], entry['reason']))}" for entry in manifest.skipped]


def _short(recording_id: str) -> str:
    """At most 20 letters of an id, of both ends: at either may be what tells recordings apart."""
    return recording_id if len(recording_id) <= 20 else f"{recording_id[:10]}…{recording_id[-9:]}"


def contact_sheet(path: str, manifest: manifests.Manifest, shown: dict[str, list[dict[str, Any]]], rows: int) -> None:
    """Draws the chunks that `gather` has chosen."""
    import matplotlib.figure

    names = dict(zip(manifest.classes.class_ids, manifest.classes.names, strict=True))
    counts = dict(zip(manifest.classes.class_ids, manifest.chunks_per_class["train"], strict=True))
    ids = sorted((row for row in shown if row != "noise"), key=lambda row: (-counts[row], row))[:rows]
    ids += ["noise"] if "noise" in shown else []
    width = max(len(shown[row]) for row in ids)
    figure = matplotlib.figure.Figure(figsize=(2.2 * width, 1.5 * len(ids)))
    grid = figure.subplots(len(ids), width, squeeze=False)
    figure.subplots_adjust(left=0, right=1, bottom=0, top=1, wspace=0.05, hspace=0.35)
    for row, cells in zip(ids, grid, strict=True):
        name = names.get(row, row).replace(" ", "\n") + ("" if names.get(row, row) == row else f"\n({row})")
        cells[0].set_ylabel(name, rotation=0, ha="right", va="center", fontsize=9, parse_math=False)
        for cell, chunk in itertools.zip_longest(cells, shown[row]):
            if chunk is None:
                cell.axis("off")
                continue
            cell.imshow(chunk[schema.SPECTROGRAM], cmap="magma", vmin=0, vmax=255, aspect="auto")
            axes.mark(cell, manifest.front_end, frequencies=cell is cells[0], seconds=row == ids[-1])
            recording = _short(chunk["recording_id"].decode())
            about = f"{recording}, from {chunk['start_seconds']:g} s, activity {chunk['activity']:.3f}"
            cell.set_title(about, fontsize=6, pad=2, parse_math=False)
    with files.replacing(path) as temporary:  # tight: as large as the longest name needs
        figure.savefig(temporary, dpi=110, format="png", bbox_inches="tight", pad_inches=0.1)


def main(settings: InspectConfig) -> None:
    """Prints the tables and draws the contact sheet.

    Raises:
        InputError: there are no records, or they are damaged.
    """
    manifest = manifests.load(settings.records)
    has_spectrograms = schema.SPECTROGRAM in manifest.features
    config.refuse_without_effect({
        "--output with --columns=0": settings.output and not settings.columns,
        f"--output for {settings.records}, which have no spectrograms,": settings.output and not has_spectrograms,
    })  # fmt: skip
    bad = damaged(manifest)
    if bad:
        raise config.InputError(f"{settings.records}: damaged: {', '.join(bad)}; copy them again or convert again")
    activities, shown = gather(manifest, max(1, settings.columns))
    print("\n".join(table(manifest, activities)))
    print("all checksums are right")
    if settings.columns and shown and has_spectrograms:
        path = settings.output or os.path.join(settings.records, manifests.CONTACT_SHEET)
        contact_sheet(path, manifest, shown, settings.max_classes)
        print(f"spectrograms: {path}")
    name = os.path.basename(os.path.normpath(settings.records))
    run_dir, recipe = os.path.join("runs", name), recipes.for_records(manifest)
    follows = next_steps.command("train", records=settings.records, run_dir=run_dir, flagfile=recipe)
    print(f"next:\n  {follows}")


def run() -> None:
    """Entry point of `bird-tf-inspect`."""
    command_line.run(main, InspectConfig)


if __name__ == "__main__":
    run()
