"""Small sets of recordings and annotations for several test files."""

import soundfile

from bird_tf.labels import label_cells, metadata
from bird_tf.labels.formats import formats
from bird_tf.labels.layouts import reader
from bird_tf.labels.tables import rows

XML = """<?xml version='1.0' encoding='utf-8'?>
<Audio><MediaId>{media_id}</MediaId><FileName>{file}</FileName><ClassId>{label}</ClassId>{more}
<Genus>Parus</Genus><Species>{species}</Species></Audio>"""


def write_wav(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, [0.0, 0.1], 8000)


def write_text(path, text, encoding="utf-8"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode(encoding))
    return str(path)


def birdclef_set(folder, *entries):
    """Writes wav/ and xml/. An entry is (media id, file name, label, further elements)."""
    (folder / "xml").mkdir(parents=True)
    for media_id, file, label, more in entries:
        write_wav(folder / "wav" / file)
        text = XML.format(media_id=media_id, file=file, label=label, species="major", more=more)
        (folder / "xml" / f"{file.rsplit('.', 1)[0]}.xml").write_text(text, encoding="utf-8")
    return reader.SourceConfig(audio=str(folder / "wav"), metadata=str(folder / "xml"))


def annotation(start, end, label, *background, negative=False):
    return metadata.Annotation(
        start_seconds=start, end_seconds=end, label=label, background=background, negative=negative
    )


def source_of(path, text, encoding="utf-8", **options):
    """Writes a file and reads it in the format that recognises it."""
    return formats.read(write_text(path, text, encoding), rows.Options(**options))


def spans_of(source):
    """(names of the recording, start, end, species) of each row; None in place of the species of a negative."""
    assert not source.problem, source.problem
    return [
        (row.files or row.catalogue_numbers, row.start_seconds, row.end_seconds,
         None if row.labels.negative else row.labels.species)
        for row in source.rows
    ]  # fmt: skip


def whole_labels(source):
    """(names of the recording, its species) of each row."""
    assert not source.problem, source.problem
    return [(row.files or row.catalogue_numbers, row.labels.species) for row in source.rows]


NEGATIVE = label_cells.Labels(negative=True)
