import dataclasses
import functools
import html.parser
import re
import shutil
import subprocess

import numpy as np
import pytest

from bird_tf.evaluation import report
from bird_tf.labels import taxonomy

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


class _Page(html.parser.HTMLParser):
    """What a browser finds in a page: elements that stay open, words, links, and the number of each element."""

    def __init__(self, text):
        super().__init__()
        self.open, self.words, self.links, self.elements = [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.elements.append(tag)
        self.links += [value for name, value in attributes if name in ("src", "href")]
        if tag not in ("meta", "link", "img"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        pass

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)


@pytest.fixture
def text_of(tmp_path):
    """Function from an evaluation to the text of its page."""

    def write(evaluation):
        report.write(str(tmp_path / "report.html"), evaluation)
        return (tmp_path / "report.html").read_text()

    return write


def test_the_page_is_well_formed_and_needs_no_network(evaluation, text_of):
    page = _Page(text_of(evaluation))
    assert page.open == []
    assert {link.split(":", 1)[0] for link in page.links} == {"data"} and len(page.links) == 3
    text = " ".join(page.words)
    for words in ("a <b> & c", "B <b>", "<2>", "0.500", "0.400–0.610", "Mind <this>.", "training recordings"):
        assert words in text


def test_titles_are_text(evaluation, text_of):
    text = text_of(evaluation)
    assert "<h1>a &lt;b&gt; &amp; c</h1>" in text and "<title>a &lt;b&gt; &amp; c</title>" in text


def test_names_from_outside_cannot_bring_elements_or_attributes(evaluation, text_of):
    script, attribute = "<script>alert(1)</script>", "\"><img src=x onerror='alert(2)'>"
    hostile = dataclasses.replace(
        evaluation, title=script, notes=[script], classes=taxonomy.Taxonomy(("aa", "bb", "cc"), (script,) * 3),
        recording_ids=[script, attribute, script],
    )  # fmt: skip
    text = text_of(hostile)
    assert "<script>alert" not in text and "<img src=x" not in text
    harmless, page = _Page(text_of(evaluation)), _Page(text)
    assert page.elements == harmless.elements and page.open == []
    words = "".join(page.words)
    assert script in words and attribute in words


def test_numbers_carry_their_intervals(evaluation, text_of):
    text = text_of(evaluation)
    assert "mlrap<b>0.500</b><small>0.400–0.610</small>" in text and "num recordings<b>3</b></div>" in text


def test_metrics_that_are_not_defined_are_left_out(evaluation, text_of):
    nan = float("nan")
    undefined = {"headline": {"mlrap": nan, "num_recordings": 3}, "intervals": {"mlrap": (nan, nan)}}
    assert "nan" not in text_of(dataclasses.replace(evaluation, **undefined)).partition("<details")[0]


def test_columns_of_numbers_are_marked_so_that_they_sort_as_numbers(evaluation, text_of):
    table = text_of(evaluation).split("<table>")[1].split("</table>")[0]
    heads = re.findall(r"<th( class=\"number\")?>(?:<button>([^<]*)</button>)?</th>", table)
    assert [name for kind, name in heads if kind] == [
        "training", "recordings", "put first", "average precision", "f1 from", "precision from",
    ]  # fmt: skip
    assert [name for kind, name in heads if not kind] == ["species", "", "mistaken for"]
    for row in re.findall(r"<tr>(.*?)</tr>", table, re.DOTALL)[1:]:
        assert re.findall(r"<td( class=\"number\")?>", row) == [kind for kind, _ in heads]


def test_a_long_strip_keeps_its_peaks(evaluation, text_of):
    chunks = np.zeros((1000, 2))
    chunks[777, 0] = 0.9
    [example] = evaluation.examples
    text = text_of(dataclasses.replace(evaluation, examples=[dataclasses.replace(example, chunks=chunks)]))
    strips = text.split('<div class="strips">')[1]
    [box] = re.findall(r"<rect x=\"(\d+)\"[^>]* fill-opacity=\"([\d.]+)\"", strips)
    [cells, _] = re.findall(r"viewBox=\"0 0 (\d+) 1\"", strips)
    assert int(cells) <= 160 and box == (str(777 * int(cells) // 1000), "0.90")
    assert '<span class="true">B &lt;b&gt;</span>' in strips and '<span class="other">A a</span>' in strips


def test_the_page_has_no_part_for_what_is_unknown(evaluation, text_of):
    text = text_of(
        dataclasses.replace(evaluation, training_recordings=[], examples=[], held_out=evaluation.pooled, intervals={})
    )
    assert "training recordings" not in text and ">calibrated<" not in text and "Small print" not in text
    assert "fared worst" not in text and "Most confused" in text
    right = np.eye(3)[evaluation.labels]
    assert "Most confused" not in text_of(dataclasses.replace(evaluation, scores=right))


@pytest.mark.skipif(BROWSER is None, reason="no chromium or chrome on this machine to open the report in")
@pytest.mark.parametrize("width", [1280, 390])
def test_a_browser_shows_it_without_errors_or_sideways_scrolling(evaluation, tmp_path, width):
    """A script of the test, added to the page, sorts a column and writes its results into the title."""
    path = tmp_path / "report.html"
    report.write(str(path), evaluation)
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
    assert title == "B &lt;b&gt;|A a|B &lt;b&gt;|5|32|true"
