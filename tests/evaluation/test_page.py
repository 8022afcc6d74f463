import re

import numpy as np

from bird_tf.evaluation import page


def test_numbers_carry_their_intervals():
    text = page.figures([("mlrap", 0.5, (0.4, 0.61)), ("num_recordings", 7, None)])
    assert "mlrap<b>0.500</b><small>0.400–0.610</small>" in text and "num recordings<b>7</b></div>" in text


def test_columns_of_numbers_are_marked_so_that_they_sort_as_numbers():
    text = page.table(["name", "#count", ""], [["a", "10", "<i>x</i>"], ["b", "9", ""]])
    assert "<th><button>name</button></th><th class=number><button>count</button></th><th></th>" in text
    assert text.count("<td class=number>") == 2 and "<i>x</i>" in text


def test_a_long_strip_keeps_its_peaks():
    scores = np.zeros(1000)
    scores[777] = 0.9
    text = page.strip("A", "0.1", scores, marked=True)
    [box] = re.findall(r"<rect x='(\d+)'[^>]* fill-opacity='([\d.]+)'", text)
    [cells] = re.findall(r"viewBox='0 0 (\d+) 1'", text)
    assert int(cells) <= 160 and box == (str(777 * int(cells) // 1000), "0.90")
    assert "class='true'" in text


def test_titles_are_text():
    assert "<h1>a &lt;b&gt; &amp; c</h1>" in page.page("a <b> & c", "")
