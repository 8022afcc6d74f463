import sys

import numpy as np
import pytest

from bird_tf import config
from bird_tf.api import frames

pd = pytest.importorskip("pandas")


def test_chunks_are_indexed_by_file_and_time():
    times = np.array([0.0, 1.0]), np.array([1.0, 2.0])
    table = frames.of_chunks([("a", *times, np.eye(2)), ("b", *times, np.zeros((2, 2)))], ["x", "y"])
    assert table.index.names == list(frames.INDEX) and table.shape == (4, 2)
    assert table.loc[("a", 1.0, 2.0), "y"] == 1 and table.loc["b"].to_numpy().sum() == 0


@pytest.mark.parametrize(
    ("times", "kind"),
    [([], "datetime64[ns]"), (["2024-05-01T05:00:00", None], "datetime64[ns]"), (["2024-05-01T05:00:00+02:00"], None)],
)
def test_clock_times_are_time_stamps(times, kind):
    table = frames.of_rows([[text] for text in times], ["clock_time"], ["clock_time"])
    assert pd.api.types.is_datetime64_any_dtype(table["clock_time"]) and len(table) == len(times)
    assert kind is None or str(table["clock_time"].dtype) == kind


def test_numbers_are_numbers_also_without_rows():
    tables = [frames.of_rows(rows, ["name", "start"], numbers=["start"]) for rows in ([], [["a", None]], [["a", 1.5]])]
    assert [str(table["start"].dtype) for table in tables] == ["float64"] * 3 and len(tables[0]) == 0
    assert np.isnan(tables[1]["start"][0]) and tables[2]["name"][0] == "a"


def test_only_columns_of_numbers_become_numbers():
    rows = [{"id": "1", "site": "01", "label": "NA", "hour": ""}, {"id": "2", "site": "2", "label": "x", "hour": "4.5"}]
    table = frames.of_texts(rows, ["hour", "elevation"], "id")
    assert (
        list(table["site"]) == ["01", "2"] and list(table["label"]) == ["NA", "x"] and list(table.index) == ["1", "2"]
    )
    assert np.isnan(table["hour"].iloc[0]) and table["hour"].iloc[1] == 4.5


def test_without_pandas_the_message_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(config.InputError, match=r"pip install 'bird-tf\[pandas\]'"):
        frames.pandas()
