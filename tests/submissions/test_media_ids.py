import pytest
import soundfile

from bird_tf import config
from bird_tf.labels import taxonomy
from bird_tf.submissions import media_ids

CLASSES = taxonomy.Taxonomy(("Parus major", "b"), ("Parus major", "Buteo buteo"))


def test_media_id_comes_from_name_then_xml_then_stem(tmp_path):
    folder, xml = tmp_path / "wav", tmp_path / "xml"
    folder.mkdir()
    xml.mkdir()
    for name in ("LIFECLEF2017_BIRD_XC_WAV_RN12.wav", "soundscape.wav", "bare.wav"):
        soundfile.write(folder / name, [0.0], 8000)
    (xml / "whatever.xml").write_text("<Audio><MediaId>77</MediaId><FileName>soundscape.wav</FileName></Audio>")
    found = {path.rsplit("/", 1)[1]: media_id for media_id, path in media_ids.find_media_ids(str(folder), str(xml))}
    assert found == {"LIFECLEF2017_BIRD_XC_WAV_RN12.wav": "12", "soundscape.wav": "77", "bare.wav": "bare"}


@pytest.mark.parametrize(("names", "words"), [(("a_RN1.wav", "b_RN1.wav"), "MediaId 1"), (("a b.wav",), "no blank")])
def test_invalid_media_ids_are_refused(tmp_path, names, words):
    for name in names:
        soundfile.write(tmp_path / name, [0.0], 8000)
    with pytest.raises(config.InputError, match=words):
        media_ids.find_media_ids(str(tmp_path), "")


def test_soundscapes_are_named_by_their_stems_and_must_differ(tmp_path):
    for name in ("a/s 1.wav", "s_2.wav"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        soundfile.write(tmp_path / name, [0.0], 8000)
    assert [name for name, _ in media_ids.find_soundscapes(str(tmp_path))] == ["s 1", "s_2"]
    soundfile.write(tmp_path / "s_2.flac", [0.0], 8000)
    with pytest.raises(config.InputError, match="2 recordings have the name s_2; rename"):
        media_ids.find_soundscapes(str(tmp_path))


def test_class_ids_are_mapped_and_the_others_stay(tmp_path):
    (tmp_path / "ids.csv").write_text("run_id,class_id\nparmaj,Parus major\nparmaj,PARUS MAJOR\n")
    mapped = media_ids.map_class_ids(str(tmp_path / "ids.csv"), CLASSES)
    assert mapped.class_ids == ("parmaj", "b") and mapped.names == CLASSES.names


@pytest.mark.parametrize(
    ("rows", "words"),
    [("Parus major,b", "two classes would have the id b"), ("x,y", "line 2: x is no class"), ("b,", "line 2: run_id"),
     ("b", "line 2: run_id is missing"), ("b,x\nParus major,y\nb,z", "line 4: b has the id x in a line above")],
)  # fmt: skip
def test_unusable_maps_of_class_ids_are_refused(tmp_path, rows, words):
    (tmp_path / "ids.csv").write_text(f"class_id,run_id\n{rows}\n")
    with pytest.raises(config.InputError, match=f"--class_ids=.*{words}"):
        media_ids.map_class_ids(str(tmp_path / "ids.csv"), CLASSES)
