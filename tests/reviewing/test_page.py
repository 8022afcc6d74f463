import csv
import importlib.util
import io
import json
import os
import re

import numpy as np
import pytest
import soundfile

from bird_tf import config
from bird_tf.inference import result_files
from bird_tf.labels import verdicts
from bird_tf.reviewing import clips, page
from bird_tf.scores import stratified
from tests import browser

HOSTILE = "</script><script>document.title='run'</script><img src=x onerror=\"document.title='run'\">"
FORMULA = '=cmd|"x"'


@pytest.fixture
def audio(tmp_path):
    folder = tmp_path / "audio" / "s ä"
    folder.mkdir(parents=True)
    soundfile.write(folder / "x.wav", np.random.default_rng(0).normal(0, 0.1, 8 * 16000), 16000)
    return tmp_path / "audio"


def _clip(start, score, class_id="a", name="Avis alba", **values):
    return clips.Clip(
        file="s ä/x.wav",
        start_seconds=start,
        end_seconds=start + 1,
        class_id=class_id,
        name=name,
        score=score,
        **values,
    )


def _choice(found, sizes=None):
    return clips.Choice(clips=found, edges=(0.0, 0.5), sizes=sizes or {})


def _write(tmp_path, audio, choice, score="probability", **excerpt):
    about = page.Page(title="Review of <b>", score=score, species=[("a", "Avis alba"), ("b", HOSTILE)])
    settings = page.ExcerptConfig(**excerpt)
    results = result_files.ResultFiles(str(tmp_path / "page"), "review")
    with results.writing():
        return page.write(results, str(audio), choice, about, settings)


def _content(tmp_path):
    text = (tmp_path / "page" / "index.html").read_text()
    return json.loads(text.split('id="content">')[1].split("</script>")[0])


def test_each_clip_has_sound_and_picture_with_its_surroundings(tmp_path, audio):
    assert _write(tmp_path, audio, _choice([_clip(0.0, 0.2), _clip(5.0, 0.7)]), context_seconds=0.5) == []
    content = _content(tmp_path)
    for entry, (start, end) in zip(content["clips"], [(0.0, 1.5), (4.5, 6.5)], strict=True):
        assert (tmp_path / "page" / "clips" / f"{entry[0]}.webp").stat().st_size > 100
        seconds = soundfile.info(tmp_path / "page" / "clips" / f"{entry[0]}.mp3").duration
        assert entry[9:11] == [start, end] and seconds == pytest.approx(end - start, abs=0.2)
    assert [entry[-1] for entry in content["clips"]] == [0, 1]


def test_clips_are_kept_and_those_of_an_earlier_page_go(tmp_path, audio):
    _write(tmp_path, audio, _choice([_clip(0.0, 0.2), _clip(5.0, 0.7)]))
    folder = tmp_path / "page" / "clips"
    before = {name: os.stat(folder / name).st_mtime_ns for name in os.listdir(folder)}
    (folder / "mine.txt").write_text("")
    _write(tmp_path, audio, _choice([_clip(5.0, 0.7)]))
    after = {name: os.stat(folder / name).st_mtime_ns for name in os.listdir(folder) if name != "mine.txt"}
    assert len(before) == 4 and len(after) == 2 and after.items() <= before.items()


def test_a_persons_own_files_are_no_clips_of_a_page(tmp_path, audio):
    folder = tmp_path / "page" / "clips"
    folder.mkdir(parents=True)
    (folder / "dawn.mp3").write_text("mine")
    (folder / f"{'a' * 16}.mp3").write_text("mine")
    _write(tmp_path, audio, _choice([_clip(0.0, 0.2)]))
    _write(tmp_path, audio, _choice([_clip(1.0, 0.2)]))
    assert len(list(folder.iterdir())) == 4
    (tmp_path / "foreign" / "page").mkdir(parents=True)
    (tmp_path / "foreign" / "page" / "index.html").write_text("mine")
    with pytest.raises(config.InputError, match=r"index\.html is there already, and is not of a review; move it, or"):
        _write(tmp_path / "foreign", audio, _choice([_clip(0.0, 0.2)]))
    assert (tmp_path / "foreign" / "page" / "index.html").read_text() == "mine"


def test_clips_that_cannot_be_cut_are_told(tmp_path, audio):
    gone = clips.Clip(file="../gone.wav", start_seconds=0.0, end_seconds=1.0, class_id="a", name="A", score=0.5)
    late = _clip(100.0, 0.5)
    skipped = _write(tmp_path, audio, _choice([gone, late, _clip(1.0, 0.5)]))
    assert [file for file, _ in skipped] == ["../gone.wav", "s ä/x.wav"]
    assert "no such recording" in skipped[0][1] and "ends before" in skipped[1][1]
    with pytest.raises(config.InputError, match="none of 1 clips"):
        _write(tmp_path, audio, _choice([gone]))


def test_names_from_outside_are_text(tmp_path, audio):
    _write(tmp_path, audio, _choice([_clip(0.0, 0.2, "b", HOSTILE, site=HOSTILE)]))
    text = (tmp_path / "page" / "index.html").read_text()
    assert "<title>Review of &lt;b&gt;</title>" in text and text.count("</script>") == 2 and "<img src=x" not in text


@pytest.fixture
def tab(tmp_path):
    """A browser."""
    if browser.PATH is None or importlib.util.find_spec("tornado") is None:
        pytest.skip("needs chromium or chrome, and tornado, to open the page in")
    (tmp_path / "browser").mkdir()
    with browser.started(tmp_path / "browser") as started:
        yield started


def _open(tab, tmp_path, width=1280):
    tab.open((tmp_path / "page" / "index.html").as_uri(), width)
    tab.wait_for("document.getElementById('spectrogram').naturalWidth > 0")


def _saved(tab, tmp_path):
    """What the key W saves."""
    path = tmp_path / "browser" / "verdicts.csv"
    path.unlink(missing_ok=True)
    tab.press("w")
    tab.wait_for("new Promise(done => setTimeout(() => done(true), 300))")
    return path, verdicts.read(str(path))


@pytest.mark.parametrize("width", [1280, 390])
def test_a_person_judges_with_keys_alone_and_verdicts_survive_a_reload(tmp_path, audio, tab, width):
    found = [_clip(float(i), i / 10, "b" if i == 3 else "a", FORMULA if i == 3 else "Avis alba") for i in range(6)]
    sizes = {"a": [40, 10], "b": [1, 0]}
    _write(tmp_path, audio, _choice(found, sizes))
    _open(tab, tmp_path, width)
    for key in "yno":
        tab.press(key)
    for key in "a, b":
        tab.press(key)
    tab.press("Enter", "\r")
    assert tab.evaluate("document.getElementById('unlisted').textContent").startswith("“a, b” is none of the list")
    tab.press("Enter", "\r")
    tab.wait_for("!document.getElementById('naming').open")
    for key in "usyzy":  # clip 4 is skipped; clip 5 judged, undone, judged
        tab.press(key)
    assert tab.evaluate("document.getElementById('progress').textContent") == "5 of 6 judged"
    assert tab.evaluate("document.documentElement.scrollWidth <= innerWidth")
    tab.wait_for("document.getElementById('sound').duration > 1")  # it can be decoded
    _open(tab, tmp_path, width)
    assert tab.evaluate("document.getElementById('progress').textContent") == "5 of 6 judged"
    path, saved = _saved(tab, tmp_path)
    assert [v.answer for v in saved] == ["yes", "no", "other", "unsure", "yes"]
    assert [v.start_seconds for v in saved] == [0, 1, 2, 3, 5] and saved[2].species == "a, b"
    assert {v.file for v in saved} == {"s ä/x.wav"} and saved[1].probability == 0.1
    assert (saved[0].band_lowest, saved[0].band_size, saved[4].band_lowest, saved[4].band_size) == (0.0, 41, 0.5, 10)
    # another browser loads them
    tab.evaluate("localStorage.clear(); verdicts.clear(); filter()")
    tab.evaluate(f"load({json.dumps(path.read_text())})")
    assert _saved(tab, tmp_path)[1] == saved
    # and as a spreadsheet program saves them
    rows = list(csv.reader(io.StringIO(path.read_text())))
    semicolons = "\r\n".join(";".join(re.sub(r"^(\d+)\.(\d+)$", r"\1,\2", cell) for cell in row) for row in rows)
    tab.evaluate("localStorage.clear(); verdicts.clear(); filter()")
    tab.evaluate(f"load({json.dumps(semicolons)})")
    assert _saved(tab, tmp_path)[1] == saved
    # with rows that a person has spoilt: those without text are none, and one that is cut is told
    spoilt = path.read_text().replace(",yes,", ", YES,") + ",,,,\nx.wav,1.0\nx.wav,1.0,2.0,a,skip\n"
    tab.evaluate("localStorage.clear(); verdicts.clear(); filter()")
    tab.evaluate(f"load({json.dumps(spoilt)})")
    assert tab.evaluate("at('warning').textContent").startswith("1 of 7 verdicts are about other clips")
    assert _saved(tab, tmp_path)[1] == saved
    # of a second person, with the keys of the page as answers; what it changes is told
    first = path.read_text()
    head = first.partition("\n")[0]
    joined = (first + head + "\n").replace(head, head.title())
    other = joined.replace(",yes,", ",n,", 1).replace(",no,", ",N,").replace(",unsure,", ",perhaps,")
    tab.evaluate(f"load({json.dumps(other)})")
    assert tab.evaluate("at('warning').textContent") == (
        "1 rows say something else than yes, no, other, unsure or skip. "
        "1 verdicts differ from those that were here before: those of the file count now."
    )
    assert [v.answer for v in _saved(tab, tmp_path)[1]] == ["no", "no", "other", "unsure", "yes"]
    tab.evaluate(f"load({json.dumps(first)})")
    # a listed species is saved by its id, whatever of the two is typed, and the predicted one as yes
    for index in (3, 4):
        tab.evaluate(f"show(clips[{index}])")
        for key in "oAVIS alba":
            tab.press(key)
        tab.press("Enter", "\r")
        tab.wait_for("!document.getElementById('naming').open")
    assert [(v.answer, v.species) for v in _saved(tab, tmp_path)[1]][3:5] == [("other", "a"), ("yes", "")]
    # a filter keeps the keys until Esc
    tab.evaluate("document.getElementById('by-verdict').focus()")
    tab.press("Escape")
    assert tab.evaluate("document.activeElement === document.body")
    tab.press("z")
    assert tab.evaluate("verdicts.has(4)") is False
    tab.press("z")
    assert tab.evaluate("verdicts.get(3).answer") == "unsure"
    # the page and Python estimate the same: two of three are right below, and one of one above
    expected = stratified.share([
        stratified.Band(lowest=0.0, size=41, judged=3, positives=1),
        stratified.Band(lowest=0.5, size=10, judged=1, positives=1),
    ])  # fmt: skip
    row = tab.evaluate("[...document.querySelectorAll('#estimates tbody tr')].at(-1).innerText").split("\t")
    assert row[:5] == [
        "0", "3 of 41", "1", f"{expected.estimate:.2f}", f"{expected.lowest:.2f}–{expected.highest:.2f}",
    ]  # fmt: skip
    # the table tells the turn of each clip, and the sizes of all bands: of all classes and of its own
    assert [(v.band_turn, v.class_turn) for v in saved] == [(1, 1), (2, 2), (3, 3), (4, 1), (1, 1)]
    assert saved[3].band_sizes == ((0.0, 41), (0.5, 10)) and saved[3].class_sizes == ((0.0, 1), (0.5, 0))
    assert saved[0].class_sizes == ((0.0, 40), (0.5, 10))
    assert tab.errors == []


def test_clips_of_one_species_are_no_sample_of_all(tmp_path, audio, tab):
    found = [_clip(float(i), 0.1, "ba"[i % 3 == 2]) for i in range(6)]
    _write(tmp_path, audio, _choice(found, {"a": [2, 0], "b": [4, 0]}))
    _open(tab, tmp_path)
    tab.evaluate("at('by-species').value = 'a'; at('by-species').onchange()")
    for key in "yy":
        tab.press(key)

    def precision():
        return tab.evaluate("document.querySelector('#estimates tbody tr').cells[3].textContent")

    assert precision() == "1.00"
    tab.evaluate("at('by-species').value = ''; at('by-species').onchange()")
    assert precision() == "–" and "passed over" in tab.evaluate("at('basis').textContent")
    tab.evaluate("show(clips[0])")
    tab.press("n")
    assert precision() == "0.67" and "passed over" not in tab.evaluate("at('basis').textContent")
    assert tab.errors == []


def test_filters_narrow_the_list_and_names_do_not_run(tmp_path, audio, tab):
    found = [_clip(0.0, 0.2, site="s1"), _clip(1.0, 0.7, "b", HOSTILE, site="s2"), _clip(2.0, 0.55, site="s2")]
    _write(tmp_path, audio, _choice(found))
    _open(tab, tmp_path)

    def shown(filter_id, value):
        tab.evaluate(f"at('{filter_id}').value = {json.dumps(value)}; at('{filter_id}').onchange()")
        return tab.evaluate("[...document.querySelectorAll('.card')].map(card => card.dataset.index).join()")

    assert shown("order", "most doubtful first") == "2,1,0"
    assert shown("by-site", "s2") == "2,1"
    assert shown("by-species", "b") == "1"
    assert tab.evaluate("document.getElementById('name').textContent") == HOSTILE
    assert tab.evaluate("document.title") == "Review of <b>"
    tab.press("y")
    assert shown("by-verdict", "open") == "" and shown("by-verdict", "yes") == "1"
    assert tab.errors == []


def test_thousands_of_clips_open_at_once_and_more_cards_come_as_one_scrolls(tmp_path, audio, tab):
    _write(tmp_path, audio, _choice([_clip(0.0, 0.5, f"class {i}", f"Avis {i}") for i in range(5000)]))
    _open(tab, tmp_path)
    assert tab.evaluate("performance.timing.loadEventEnd - performance.timing.navigationStart") < 5000
    before = tab.evaluate("document.querySelectorAll('.card').length")
    assert before <= 240
    tab.evaluate("scrollTo(0, document.body.scrollHeight)")
    tab.wait_for(f"document.querySelectorAll('.card').length > {before}")
