import pytest

from bird_tf.labels import metadata


@pytest.mark.parametrize("name", ["X_RN123.wav", "LIFECLEF2017_BIRD_XC_WAV_RN123.mp3"])
def test_media_id_is_the_number_after_rn_or_the_file_name(name):
    assert metadata.media_id(f"/some/{name}") == "123"
    assert metadata.media_id("/some/other_RN1x.wav") == "other_RN1x"
