import re

from bird_tf.labels import taxonomy
from bird_tf.surveys import page, tally
from tests.surveys.test_tally import long_prediction, survey_of


def test_a_heat_map_shows_rates_of_recorded_hours():
    survey = survey_of(
        long_prediction("1.wav", 30, [0, 1], date="2024-05-01", hour=5.0),  # 4 an hour
        long_prediction("2.wav", 60, [0], date="2024-05-02", hour=20.0),  # 1 an hour
    )
    text = page.render("here", survey, {})
    assert "05: 2 in 0.50 h" in text and "2024-05-02: 1 in 1.00 h" in text
    opacities = re.findall(r'<rect x="(\d+)" width="1" height="1" fill-opacity="([\d.]+)"', text)
    assert opacities == [("5", "1.00"), ("20", "0.36"), ("0", "1.00"), ("1", "0.36")]
    assert len(re.findall('class="silent"', text)) == 22  # hours without a recording


def test_a_species_is_told_for_the_days_on_which_it_was_heard():
    survey = survey_of(
        long_prediction("1.wav", 60, [31], date="2024-05-01", hour=23.5, site="a"),
        long_prediction("2.wav", 60, [0, 31], date="2024-05-02", hour=23.5, site="a"),
    )
    text = re.sub(r"<.*?>", " ", page.render("here", survey, {}))
    # detections, recordings, sites, days of the species; days, hours, detections, species of the site
    assert re.search(r"aaaaaa +3 +2 +1 +2 ", " ".join(text.split()))
    assert re.search(r" a 3 2.00 3 1 ", " ".join(text.split()))


def test_without_times_the_page_says_what_is_missing():
    text = page.render("here", survey_of(long_prediction("1.wav", 1, [0])), {})
    assert "No recording tells when it was made" in text and "<svg" not in text and "unknown" in text


def test_a_survey_without_a_species_has_no_empty_table():
    text = page.render("here", tally.Survey(taxonomy.Taxonomy(("a",), ("a",))), {})
    assert "No species reaches its threshold" in text and "<button>recordings</button>" not in text


def test_hours_of_utc_are_told():
    night = {"date": "2024-05-01", "hour": 5.0}
    universal, local = (long_prediction("1.wav", 1, [0], **night, utc_offset_hours=hours) for hours in (0.0, -4.0))
    assert "of 1 recordings are those of UTC" in page.render("here", survey_of(universal, local), {})
    assert "UTC" not in page.render("here", survey_of(local), {})


def test_ids_are_told_where_they_are_not_the_names():
    survey = survey_of(long_prediction("1.wav", 1, [0]))
    for names, told in ((("Aa bb", "b"), True), (survey.classes.class_ids, False)):
        survey.classes = taxonomy.Taxonomy(survey.classes.class_ids, names)
        assert ("<button>class</button>" in page.render("here", survey, {})) == told


def test_names_from_outside_are_escaped():
    evil = '<script>alert("x")</script>'
    survey = survey_of(long_prediction("1.wav", 1, [0], date="2024-05-01", hour=5.0, site=evil))
    survey.classes = taxonomy.Taxonomy((evil, "b"), (evil, "b"))
    text = page.render(evil, survey, {})
    assert "alert(" in text and evil not in text and text.count("<script>") == 1


def test_a_year_of_days_has_few_ticks():
    days = [f"2024-{month:02d}-{day:02d}" for month in range(1, 13) for day in range(1, 29)]
    found = [long_prediction(f"{day}.wav", 1, [0], date=day, hour=1.0) for day in days]
    text = page.render("here", survey_of(*found), {})
    ticks = re.findall('<div class="ticks">(.*?)</div>', text)
    assert [re.findall("<span>(.*?)</span>", row) for row in ticks] == [
        ["00", "06", "12", "18", "24"], ["2024-01-01", "2024-06-30", "2024-12-28"],
    ]  # fmt: skip
    assert isinstance(page.render("", tally.Survey(taxonomy.Taxonomy((), ())), {}), str)


def test_days_without_a_recording_are_grey_and_long_surveys_show_only_the_others():
    def silent(last):
        found = [long_prediction(f"{day}.wav", 1, [0], date=day, hour=1.0) for day in ("2024-01-01", last)]
        text = page.render("here", survey_of(*found), {})
        return text.split("Species by day")[1].count('class="silent"')

    assert silent("2024-01-05") == 3
    assert silent("2026-01-05") == 0
