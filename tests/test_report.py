import html.parser

import numpy as np
import pytest

from bird_tf import report, taxonomy


@pytest.fixture
def results():
    scores = np.array([[0.9, 0.1, 0.0], [0.7, 0.2, 0.1], [0.1, 0.8, 0.1]])
    truth = np.array([[True, True, False], [False, True, False], [False, True, False]])
    return report.Results(
        title="a <b> & c", headline={"mlrap": 0.5, "num_recordings": 3},
        classes=taxonomy.Taxonomy(("aa", "bb", "cc"), ("A a", "B <b>", "C c")), recording_ids=["1", "<2>", "3"],
        labels=np.array([0, 1, 1]), truth=truth, scores=scores,
    )  # fmt: skip


def test_species_are_counted_and_confusions_named(results):
    best, worst = report.per_species(results)
    assert (best.class_id, best.recordings, best.first, best.mistaken_for) == ("aa", 1, 1, "")
    assert (worst.class_id, worst.recordings, worst.first, worst.mistaken_for) == ("bb", 2, 1, "A a")


class _Page(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.open, self.words, self.links = [], [], []

    def handle_starttag(self, tag, attributes):
        self.links += [value for name, value in attributes if name in ("src", "href")]
        if tag not in ("meta",):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)


def test_the_page_is_well_formed_and_needs_no_network(results, tmp_path):
    report.write(str(tmp_path / "report.html"), results)
    page = _Page()
    page.feed((tmp_path / "report.html").read_text())
    assert page.open == [] and page.links == []
    text = " ".join(page.words)
    for words in ("a <b> & c", "B <b>", "<2>", "0.500"):
        assert words in text
