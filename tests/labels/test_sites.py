import pytest

from bird_tf.labels import sites


@pytest.mark.parametrize(
    ("folder", "site"),
    [("north", "north"), ("north/plot 2", "north/plot 2"), ("north/Data", "north"), ("Data/wavs", ""), ("", ""),
     ("north/20230501", "north"), ("north/2023-05-20 card B", "north")],
)  # fmt: skip
def test_folders_name_sites_but_for_those_that_recorders_and_people_make(folder, site):
    assert sites.of_folder(f"/root/{folder}/a.wav", "/root") == site
    assert sites.of_folder(f"{folder}/a.wav".lstrip("/"), "") == site
