import dataclasses
import functools
import html.parser
import shutil
import subprocess

import numpy as np
import pytest

from bird_tf.evaluation import examples, report
from bird_tf.labels import taxonomy
from bird_tf.scores import decisions

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
CLASSES = taxonomy.Taxonomy(("aa", "bb", "cc"), ("A a", "B <b>", "C c"))


@pytest.fixture
def results():
    scores = np.array([[0.9, 0.1, 0.0], [0.7, 0.2, 0.1], [0.1, 0.8, 0.1]])
    truth = np.array([[True, True, False], [False, True, False], [False, True, False]])
    example = examples.Example(
        index=1, seconds=3.0, species=[1, 0], chunks=np.array([[0.1, 0.7]] * 3), excerpt=(0.0, 2.0),
        spectrograms=np.random.default_rng(0).random((2, 8, 16)), mp3=b"sound",
    )  # fmt: skip
    return report.Results(
        title="a <b> & c", notes=["Mind <this>."], headline={"mlrap": 0.5, "num_recordings": 3},
        intervals={"mlrap": (0.4, 0.6)}, classes=CLASSES, recording_ids=["1", "<2>", "3"],
        labels=np.array([0, 1, 1]), truth=truth, scores=scores, probabilities=scores**2,
        training_recordings=[10, 20, 0], decisions=decisions.neutral(CLASSES, 1, "mean"), examples=[example],
    )  # fmt: skip


def test_species_are_counted_and_confusions_named(results):
    best, worst = report.per_species(results)
    assert (best.class_id, best.recordings, best.first, best.mistaken_for) == ("aa", 1, 1, "")
    assert (worst.class_id, worst.recordings, worst.first, worst.mistaken_for) == ("bb", 2, 1, "A a")
    assert (best.training_recordings, worst.training_recordings) == (10, 20)


def test_confusions_leave_out_what_is_in_the_background(results):
    assert report.confusions(results) == [(1, 0, 1)]
    heard = results.truth.copy()
    heard[1, 0] = True
    assert report.confusions(dataclasses.replace(results, truth=heard)) == []


class _Page(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.open, self.words, self.links = [], [], []

    def handle_starttag(self, tag, attributes):
        self.links += [value for name, value in attributes if name in ("src", "href")]
        if tag not in ("meta", "link", "img"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        pass

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)


def test_the_page_is_well_formed_and_needs_no_network(results, tmp_path):
    report.write(str(tmp_path / "report.html"), results)
    page = _Page()
    page.feed((tmp_path / "report.html").read_text())
    assert page.open == []
    assert {link.split(":", 1)[0] for link in page.links} == {"data"} and len(page.links) == 3
    text = " ".join(page.words)
    for words in ("a <b> & c", "B <b>", "<2>", "0.500", "0.400–0.600", "Mind <this>.", "training recordings"):
        assert words in text


def test_what_is_unknown_is_left_out(results, tmp_path):
    report.write(
        str(tmp_path / "report.html"),
        dataclasses.replace(results, training_recordings=[], examples=[], probabilities=results.scores, intervals={}),
    )
    text = (tmp_path / "report.html").read_text()
    assert "training recordings" not in text and ">calibrated<" not in text and "Small print" not in text


@pytest.mark.skipif(BROWSER is None, reason="no chromium or chrome on this machine to open the report in")
@pytest.mark.parametrize("width", [1280, 390])
def test_a_browser_shows_it_without_errors_or_sideways_scrolling(results, tmp_path, width):
    """A script of the test's own, added to the page, sorts a column and writes what it finds into the title."""
    path = tmp_path / "report.html"
    report.write(str(path), results)
    probe = """<script>
      const button = [...document.querySelectorAll("th button")].find(b => b.textContent === "put first");
      const first = () => button.closest("table").tBodies[0].rows[0].cells[0].textContent;
      const before = first(); document.querySelectorAll("th button")[0].click(); const named = first();
      document.querySelectorAll("th button")[0].click();
      document.title = [before, named, first(), document.querySelectorAll("svg").length,
        document.querySelector("img").naturalWidth, document.documentElement.scrollWidth <= innerWidth].join("|");
    </script></body>"""
    path.write_text(path.read_text().replace("</body>", probe))
    run = functools.partial(subprocess.run, capture_output=True, text=True, check=True, timeout=60)
    done = run([
        BROWSER, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}/profile",
        f"--window-size={width},900", "--virtual-time-budget=2000", "--dump-dom", path.as_uri(),
    ])  # fmt: skip
    title = done.stdout.split("<title>")[1].split("</title>")[0]
    assert title == "A a|A a|B &lt;b&gt;|5|32|true"
