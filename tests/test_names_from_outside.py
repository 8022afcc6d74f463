"""Hostile names of classes, species, recordings and folders, from the recordings to the pages: they stay names."""

import csv
import importlib.util
import os
import pathlib
import shutil

import pytest

from bird_tf import config, convert, csv_files, evaluate, predict, review, search, submission, train
from bird_tf.records import recordings_table
from bird_tf.reviewing import page
from tests import browser
from tests.conftest import SMALL, settings, train_settings

pytestmark = pytest.mark.slow  # it converts, trains, predicts and reviews

RUNS = "document.title='ran'"
CLASSES = (
    '=HYPERLINK("http://x")', f"<script>{RUNS}</script>", f'"><img src=x onerror="{RUNS}">', "../../outside", "@x",
    "x" * 180, "\u202egnp.exe", "a`b'c&lt", "${7*7} {{7*7}}",
)  # fmt: skip
CLASS_IDS = {name.replace("\u202e", "") for name in CLASSES}  # signs that nobody sees are no part of a label
FOLDERS = ("a\nb", f"<img src=x onerror={RUNS}>", "=1+1", "\u202egnp", "'; $(touch ran) &", "y" * 240)
FILES = ("=1+{}.wav", f"<script>{RUNS}<script>{{}}.wav", "a..{}.wav", "$(touch ran){}.wav", "z" * 230 + "{}.wav")
# no table of labels can name these; they are predicted
FURTHER_FILES = ("\x1b[31m.wav", "a\rb\tc.wav", "a\n12:00:00 done.wav", "\u202evaw.wav")
FORMATS = "csv,csv_each,raven,raven_combined,audacity,kaleidoscope"


@pytest.fixture(scope="module")
def hostile(data, tmp_path_factory):
    """Recordings of such names, and a table of their labels."""
    root = tmp_path_factory.mktemp("names")
    sources = sorted((data / "wav").iterdir())
    with open(root / "labels.csv", "w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["filename", "label", "scientific_name", "author"])
        for number, source in enumerate(sources):
            kind = number // 2
            path = root / "audio" / FOLDERS[kind % len(FOLDERS)] / FILES[number % len(FILES)].format(number)
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, path)
            table.writerow([path.name, CLASSES[kind], CLASSES[kind], "=1+1"])
    return root


@pytest.fixture(scope="module")
def records(hostile):
    return convert.convert(
        settings(
            convert.ConvertConfig, audio=hostile / "audio", metadata=hostile / "labels.csv",
            output=hostile / "out" / "records", workers=1, val_share=0.3, group_by="recording",
            signal_threshold=0.001, **SMALL,
        )
    )  # fmt: skip


def _cells(path):
    with open(path, newline="", encoding="utf-8-sig") as file:
        return [cell for row in csv.reader(file) for cell in row]


@pytest.fixture(scope="module", autouse=True)
def _without_pictures():
    """Here they are drawn: they hold names."""


@pytest.fixture(scope="module")
def outputs(hostile, records):
    """The folder of what all commands made of them."""
    out = hostile / "out"
    train.train(train_settings(records, out / "run", epochs=1, add_noise=False))
    model = [str(out / "run" / "export")]
    evaluate.evaluate(settings(evaluate.EvaluateConfig, model=model, records=records.directory))
    example = next((hostile / "audio").rglob("*.wav"))
    for name in FURTHER_FILES:
        shutil.copy(example, hostile / "audio" / name)
    predict.predict(
        settings(
            predict.PredictConfig, model=model, audio=hostile / "audio", output=out / "predictions", format=FORMATS,
            min_probability="0", summary=True, embeddings=True,
        )
    )  # fmt: skip
    review.review(settings(review.ReviewConfig, predictions=out / "predictions", output=out / "review", num_clips=30))
    query = min((hostile / "audio").rglob("<script>*.wav"))
    search.search(
        settings(
            search.SearchConfig, query=query, embeddings=out / "predictions", output=out / "search", at=0.0,
            species=CLASSES[1],
        )
    )  # fmt: skip
    return out


def test_names_stay_names_from_recordings_to_pages(hostile, records, outputs):
    assert set(records.classes.class_ids) == CLASS_IDS
    read = recordings_table.read(records.directory, with_unused=True)
    paths = {os.path.relpath(path, hostile / "audio") for path in (hostile / "audio").rglob("*.wav")}
    assert {r.path for r in read} == paths - {*FURTHER_FILES}

    # nothing but the outputs is there, and in them nothing that a name could have put elsewhere
    assert {path.name for path in hostile.iterdir()} == {"audio", "labels.csv", "out"}
    assert {path.name for path in outputs.iterdir()} == {"records", "run", "predictions", "review", "search"}
    files = {name for path in paths for name in os.path.split(path)}
    tables = [path for path in outputs.rglob("*.csv") if path.stat().st_size]
    assert len(tables) > 10
    for path in tables:  # no cell is a formula to a spreadsheet program, and each file is read as it was written
        for cell in _cells(path):
            if path.name == "kaleidoscope.csv" and cell in files:
                continue  # Kaleidoscope opens the files
            assert cell[:1] not in "=+@\t\r" or not cell[1:], (path, cell)
    detections = list(csv_files.read(str(outputs / "predictions" / "detections.csv"), ("file", "class_id")))
    assert {row.cells["file"] for row in detections} == paths
    assert {row.cells["class_id"] for row in detections} <= CLASS_IDS
    events = b"".join(path.read_bytes() for path in (outputs / "run" / "logs").iterdir() if path.is_file())
    assert b"<script>" not in events


@pytest.mark.skipif(
    browser.PATH is None or importlib.util.find_spec("tornado") is None, reason="no browser is installed"
)
def test_no_name_runs_in_a_browser(outputs, tmp_path):
    pages = [*outputs.rglob("*.html")]
    assert sorted(path.name for path in pages) == [page.PAGE, page.PAGE, "report.html", "summary.html"]
    with browser.started(tmp_path) as tab:
        for path in pages:
            tab.open(pathlib.Path(path).as_uri())
            assert tab.evaluate("document.title") != "ran"
            assert tab.evaluate("document.querySelectorAll('img[src=x]').length") == 0
            assert tab.evaluate("document.querySelectorAll('body script script').length") == 0
            assert not [e for e in tab.errors if "exceptionDetails" in e]
            text = tab.evaluate("document.body.innerText")
            assert "<script>" in text or "<img" in text, path


@pytest.mark.parametrize(
    ("task", "message"),
    [("kaggle", "a sign that nobody sees; rename the recording"), ("monophone", "MediaId|class id")],
)
def test_runs_refuse_names_that_they_cannot_hold(hostile, outputs, tmp_path, task, message):
    flags = {"audio": hostile / "audio", "output": tmp_path / "run.csv"}
    model = str(outputs / "run" / "export")
    with pytest.raises(config.InputError, match=message):
        submission.write_run(settings(submission.SubmissionConfig, task=task, model=[model], **flags))
    assert not (tmp_path / "run.csv").exists()
