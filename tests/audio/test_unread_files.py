from bird_tf.audio import unread_files


def test_files_that_may_hold_sound_without_a_known_suffix_are_told(tmp_path, caplog):
    wav = b"RIFF\x00\x00\x00\x00WAVEfmt "
    contents = {
        "a/x.wav": wav, "a/XC1": wav, "a/y.wav.1": wav, "a/z.mp3?download=1": b"ID3\x03", "b/q.ogg.part": b"OggS",
        "a/v.raw": b"\0" * 8, "b/all.zip": b"PK", "a/LICENSE": b"It is", "a/x.wav.asd": b"\1\2", "a/x.png": b"\x89PNG",
        "a/x.txt": b"0\t1\ta\n", "a/Thumbs.db": b"\xd0\xcf", "a/film.avi": b"RIFF\0\0\0\0AVI ",
    }  # fmt: skip
    for name, content in contents.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    for name in ("a/more", "a/gone.wav", "a/gone.csv", "a/itself"):
        (tmp_path / name).symlink_to(tmp_path / "a" / "itself")
    found = unread_files.find(str(tmp_path), [str(tmp_path / "a" / "x.wav")], (".csv",))
    names = [path.removeprefix(f"{tmp_path}/") for path, _ in found]
    assert names == [
        "b/all.zip",
        "b/q.ogg.part",
        "a/XC1",
        "a/itself",
        "a/more",
        "a/v.raw",
        "a/y.wav.1",
        "a/z.mp3?download=1",
    ]
    assert {path.rsplit("/", 1)[1] for path, what in found if "a link to what" in what} == {"itself", "more"}
    assert "8 files may hold sound and are not read, the first: " in caplog.text and "unpack it" in caplog.text
