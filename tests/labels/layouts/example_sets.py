"""Small sets of recordings and annotations for several test files."""

import soundfile

from bird_tf.labels import metadata
from bird_tf.labels.layouts import reader

XML = """<?xml version='1.0' encoding='utf-8'?>
<Audio><MediaId>{media_id}</MediaId><FileName>{file}</FileName><ClassId>{label}</ClassId>{more}
<Genus>Parus</Genus><Species>{species}</Species></Audio>"""


def write_wav(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, [0.0, 0.1], 8000)


def birdclef_set(folder, *entries):
    """Writes wav/ and xml/. An entry is (media id, file name, label, further elements)."""
    (folder / "xml").mkdir(parents=True)
    for media_id, file, label, more in entries:
        write_wav(folder / "wav" / file)
        text = XML.format(media_id=media_id, file=file, label=label, species="major", more=more)
        (folder / "xml" / f"{file.rsplit('.', 1)[0]}.xml").write_text(text, encoding="utf-8")
    return reader.SourceConfig(audio=str(folder / "wav"), metadata=str(folder / "xml"))


def annotation(start, end, label, *background):
    return metadata.Annotation(start_seconds=start, end_seconds=end, label=label, background=background)
