import pytest

from bird_tf.labels import metadata, recorders, sites


@pytest.mark.parametrize(
    ("folder", "site"),
    [("north", "north"), ("north/plot 2", "north/plot 2"), ("north/Data", "north"), ("Data/wavs", ""), ("", ""),
     ("north/20230501", "north"), ("north/2023-05-20 card B", "north"),
     # years, months and days
     *((f"north/{date}", "north") for date in (
         "2024", "2024-06", "202406", "2024_06", "June 2024", "2024 Juin", "2024-06 June", "May-2022/27-Friday",
         "2024/06", "2024/06/15", "2024/June/15", "2024/06-June", "2024-06/15", "2024/0615", "15 June 2024",
     )),
     ("2024/north/06", "north/06"), ("05", "05"), ("2024/Plot 6", "Plot 6"), ("Marsh 2024", "Marsh 2024"),
     ("May", "May"), ("2024/13-June/x", "x"), ("2024/32", "32"), ("20240615/05", "05"), ("2024/data/05", "05")],
)  # fmt: skip
def test_folders_name_sites_but_for_those_that_recorders_and_people_make(folder, site):
    assert sites.of_folder(f"/root/{folder}/a.wav", "/root") == site
    assert sites.of_folder(f"{folder}/a.wav".lstrip("/"), "") == site


@pytest.mark.parametrize(
    ("folders", "named"),
    [(("2023/03", "2023/05", "2023/06"), ["2023/03", "2023/05", "2023/06"]),  # plots
     (("2001", "2010", "2023"), ["2001", "2010", "2023"]),  # points
     (("2023/05", "2023/05/01", "north/2023-05"), ["", "", "north"]),
     (("2023/04/30", "2023/05/02", "2023/05/x"), ["", "", "x"]),  # a night, UTC
     (("May 2022/04", "2023/March"), ["", ""])],
)  # fmt: skip
def test_numbers_below_a_year_are_dates_if_the_clocks_agree(folders, named):
    assert _named("/root", dict.fromkeys(folders, "")) == named


def _named(root, told, name="20230501_050000.wav", **flags):
    """Names sites of recordings, {folder: site of a table}."""
    recordings = [metadata.Recording(recording_id=f, path=f"{root}/{f}/{name}", site=s) for f, s in told.items()]
    return sites.names(recordings, [recorders.read(r.path).origin for r in recordings], str(root), **flags)


@pytest.fixture
def turn(tmp_path):
    """A folder of links, as for a turn of the loop."""
    for name in ("known", "new"):
        (tmp_path / f"{name}-card" / "north").mkdir(parents=True)
        (tmp_path / name).symlink_to(tmp_path / f"{name}-card")
    return tmp_path


def test_links_to_sites_that_a_table_calls_without_them_are_no_part_of_their_names(turn):
    assert _named(turn, {"known/north": "north", "new/north": ""}) == ["north", "north"]
    assert _named(turn, {"known": "S4A1", "new": ""}, "S4A1_20230501_050000.wav") == ["S4A1", "S4A1"]
    # nothing else names the site, or no table shows it
    assert _named(turn, {"known/north": "north", "new": ""}) == ["north", "new"]
    assert _named(turn, {"known/north": "", "new/north": ""}) == ["known/north", "new/north"]
    assert _named(turn, {"known/north": "known/north", "new/north": ""}) == ["known/north", "new/north"]


def test_sites_that_end_alike_are_told(tmp_path, caplog):
    assert _named(tmp_path, {"known/north": "north", "new/north": "", "south": "south"})[1] == "new/north"
    assert "1 recordings are of sites" in caplog.text and "as new/north with north" in caplog.text


@pytest.mark.parametrize(
    ("folder", "other", "site"),
    [("2023-05-20_SiteA", "2023-05-21_SiteA", "SiteA"), ("20230520 Site A/Data", "20230521 Site A", "Site A"),
     ("2023-05-01T05-00-00_river", "2023-05-02T05-00-00_river", "river"), ("2023-05-20_S1", "2023-05-21_S1", "S1"),
     ("north/2023-05-20 card B", "north/2023-05-21 card B", "north"), ("2023-05-20", "2023-05-21", ""),
     ("20230501_050000", "20230502_050000", ""), ("2023-05-20_2", "2023-05-21_2", ""),
     ("20230501T050000Z", "20230502T050000Z", ""), ("2023-05-20 data", "2023-05-21 data", ""),
     ("2023-05/2023-05-20 (1)", "2023-05/2023-05-21 (1)", ""),
     # the days of a deployment
     ("20230520-20230610_SiteA", "20230611-20230701_SiteA", "SiteA"), ("20230520-0610_A", "20230611-0701_A", "A"),
     ("2023-05-20_2023-06-10_SiteA", "2023-06-11_2023-07-01_SiteA", "SiteA"),
     ("2023-05-20_to_2023-06-10 A", "2023-06-11_to_2023-07-01 A", "A"),
     ("2023-05-20 - 2023-06-10 A", "2023-06-11 - 2023-07-01 A", "A"),
     # no place
     ("2023-05-20_dawn", "2023-05-21_dawn", ""), ("20230520_PM", "20230521_PM", ""), ("20230520_A", "20230520_B", ""),
     ("20230520_Part 1", "20230521_Part 1", ""), ("20230520_Anna", "20230521_Bob", ""),
     ("20230520_early morning", "20230521_early morning", ""), ("2023-05-20T05", "2023-05-21T05", ""),
     ("20230520_48kHz", "20230521_48kHz", ""),
     ("20230520_SiteA", "20230520_050000_SiteA", ""), ("20230520_SiteA", "20230521_SiteB", "")],
)  # fmt: skip
def test_what_stands_behind_several_dates_names_a_site_if_nothing_else_does(folder, other, site):
    assert _named("/root", {folder: "", other: ""}) == [site, site]
    assert _named("/root", {folder: "", other: ""}, "x.wav", every_folder=True) == [site, site]
    named = [sites.of_folder(f"/root/{f}/x.wav", "/root") or "S4A1" for f in (folder, other)]
    assert _named("/root", {folder: "", other: ""}, "S4A1_20230501_050000.wav") == named
