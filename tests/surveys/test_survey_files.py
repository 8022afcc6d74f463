from bird_tf.labels import verdicts
from bird_tf.surveys import survey_files
from tests.inference.writers.conftest import context, criteria, read_rows
from tests.surveys.test_tally import long_prediction


def _write(tmp_path, *found):
    with survey_files.writing(context(tmp_path)) as append:
        for one in found:
            append(one)
    folder = tmp_path / survey_files.FOLDER
    assert "<html" in (folder / "summary.html").read_text()
    return {path.stem: read_rows(path) for path in folder.glob("*.csv")}


def test_tables_hold_effort_presence_and_counts(tmp_path):
    morning = {"date": "2024-05-01", "site": "a"}
    found = _write(
        tmp_path,
        long_prediction("1.wav", 30, [0, 1], hour=5.0, **morning),
        long_prediction("2.wav", 15, [2], hour=5.5, **morning),
        long_prediction("3.wav", 60, [3], hour=6.0, date="2024-05-02", site="b"),
    )
    assert [list(row.values()) for row in found["effort"]] == [
        ["a", "2024-05-01", "05", "2", "0.7500", "3", "1"], ["b", "2024-05-02", "06", "1", "1.0000", "1", "1"],
    ]  # fmt: skip
    assert [list(row.values()) for row in found["presence"]] == [
        ["a", "2024-05-01", "05", "aaaaaa", "Avis alba", "2", "2", "3"],
        ["b", "2024-05-02", "06", "aaaaaa", "Avis alba", "1", "1", "1"],
    ]  # fmt: skip
    [by_day], [by_hour] = found["species_by_day"], found["species_by_hour"]
    assert by_day == {"class_id": "aaaaaa", "name": "Avis alba", "2024-05-01": "3", "2024-05-02": "1"}
    assert list(by_hour)[2:] == [f"{hour:02d}" for hour in range(24)]
    assert {hour: count for hour, count in by_hour.items() if count not in ("0", "aaaaaa", "Avis alba")} == {
        "05": "3", "06": "1",
    }  # fmt: skip


def test_recordings_of_a_site_that_begin_in_one_second_are_told(tmp_path, caplog):
    at, known = {"date": "2024-05-01", "hour": 5.0}, {"date": "2024-05-01", "hour": 5.0, "site": "a"}
    hours_of_winter = [{**known, "utc_offset_hours": offset} for offset in (2.0, 1.0)]
    apart = [{**known, "site": "b"}, {**known, "hour": 5.01}, at, at, {"site": "a"}, {"site": "a"}, *hours_of_winter]
    _write(tmp_path, *(long_prediction(f"{i}.wav", 1, [0], **one) for i, one in enumerate([known, *apart])))
    assert not caplog.records
    _write(tmp_path, *(long_prediction(f"{name}.wav", 1, [0], **known) for name in ("x", "DATA/x", "card/x")))
    assert "summary: 2 of 3 recordings begin in the second" in caplog.text and "DATA/x.wav and x.wav" in caplog.text


def test_a_survey_of_unknown_times_has_a_column_for_them(tmp_path):
    found = _write(tmp_path, long_prediction("1.wav", 1, [0]))
    assert found["species_by_day"] == [{"class_id": "aaaaaa", "name": "Avis alba", "unknown": "1"}]
    assert found["species_by_hour"][0]["unknown"] == "1"


def test_nothing_found_gives_tables_without_rows(tmp_path):
    found = _write(tmp_path, long_prediction("1.wav", 1, [0], criteria(min_probability="1")))
    assert found["presence"] == [] and found["effort"][0]["species"] == "0"


def test_verdicts_give_a_density_with_its_interval(tmp_path):
    given = [
        verdicts.Verdict(file="1.wav", start_seconds=60 * i, end_seconds=60 * i + 1, class_id="aaaaaa", answer=answer)
        for i, answer in enumerate(("no", "no", "no", "no", "no", "yes", "yes", "yes"))
    ]
    with survey_files.writing(context(tmp_path), given) as append:
        append(long_prediction("1.wav", 8, range(8)))
    [row] = read_rows(tmp_path / survey_files.FOLDER / "density.csv")
    assert (row["class_id"], row["verdicts"], row["positives"], row["verdicts_bin_1"]) == ("aaaaaa", "8", "3", "4")
    # every chunk was judged
    assert float(row["lowest"]) == float(row["density"]) == float(row["highest"]) == 3 / 8
    page = (tmp_path / survey_files.FOLDER / "summary.html").read_text()
    assert "Call density" in page and f"{float(row['density']):.3f}" in page
