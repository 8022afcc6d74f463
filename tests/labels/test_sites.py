import pytest

from bird_tf.labels import metadata, recorders, sites


@pytest.mark.parametrize(
    ("folder", "site"),
    [("north", "north"), ("north/plot 2", "north/plot 2"), ("north/Data", "north"), ("Data/wavs", ""), ("", ""),
     ("north/20230501", "north"), ("north/2023-05-20 card B", "north")],
)  # fmt: skip
def test_folders_name_sites_but_for_those_that_recorders_and_people_make(folder, site):
    assert sites.of_folder(f"/root/{folder}/a.wav", "/root") == site
    assert sites.of_folder(f"{folder}/a.wav".lstrip("/"), "") == site


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
    ("folder", "site"),
    [("2023-05-20_SiteA", "SiteA"), ("20230520 Site A/Data", "Site A"), ("2023-05-01T05-00-00_river", "river"),
     ("2023-05-20_S1", "S1"), ("north/2023-05-20 card B", "north"), ("2023-05-20", ""), ("20230501_050000", ""),
     ("2023-05-20_2", ""), ("20230501T050000Z", ""), ("2023-05-20 data", ""), ("2023-05/2023-05-20 (1)", "2023-05")],
)  # fmt: skip
def test_a_dated_folder_names_a_site_if_nothing_else_does(folder, site):
    assert _named("/root", {folder: ""}) == [site]
    assert _named("/root", {folder: ""}, "x.wav", every_folder=True) == [site]
    named = sites.of_folder(f"/root/{folder}/x.wav", "/root")
    assert _named("/root", {folder: ""}, "S4A1_20230501_050000.wav") == [named or "S4A1"]
