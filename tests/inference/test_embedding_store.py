import json
import types

import numpy as np
import pytest

from bird_tf import config, resume
from bird_tf.audio import decode, frontend, hearing
from bird_tf.inference import audio_files, embedding_store, ensembles


def _writer(folder, fingerprint="f", overlap=0.0, root=None, **flags):
    front_end = frontend.FrontendConfig()
    model = types.SimpleNamespace(
        path="runs/x/export", fingerprint=fingerprint, front_end=front_end, hearing=hearing.of(front_end)
    )
    ensemble = types.SimpleNamespace(models=[model])
    chunking = decode.ChunkingConfig(overlap_seconds=overlap)
    return embedding_store.Writer(str(folder), str(root or folder), ensemble, chunking, **flags)


def _scores(path, vectors, seconds=None):
    """Scores of a recording of one-second chunks."""
    nothing = np.zeros((1, len(vectors), 1), np.float32)
    start = np.arange(len(vectors), dtype=float)
    return ensembles.RecordingScores(
        path=str(path), duration_seconds=seconds or float(len(vectors)), start_seconds=start, end_seconds=start + 1,
        member_probabilities=nothing, probabilities=nothing[0], member_attention_logits=nothing[..., 0],
        attention_logits=nothing[0, :, 0], embeddings=np.asarray(vectors, np.float32),
        source=audio_files.source(str(path)),
    )  # fmt: skip


@pytest.fixture
def recording(tmp_path):
    """Makes a recording: a function of its name and content."""

    def make(name, content="x"):
        (tmp_path / name).write_text(content)
        return tmp_path / name

    return make


def _store(tmp_path, recording, **vectors):
    writer = _writer(tmp_path)
    writer.open()
    for name, rows in vectors.items():
        writer.append(f"{name}.wav", _scores(recording(f"{name}.wav"), rows))
    return embedding_store.Embeddings(str(tmp_path))


def test_the_search_finds_what_a_comparison_with_all_finds(tmp_path, recording, generator, monkeypatch):
    monkeypatch.setattr(embedding_store, "_BLOCK", 7)
    vectors = generator.normal(size=(50, 6)).astype(np.float32)
    vectors[20] = 0  # silence has no direction
    store = _store(tmp_path, recording, a=vectors[:30], b=vectors[30:])
    queries = generator.normal(size=(2, 6)).astype(np.float32)
    lengths = np.maximum(np.linalg.norm(vectors, axis=1), 1e-30)
    expected = (vectors @ (queries / np.linalg.norm(queries, axis=1, keepdims=True)).T).max(axis=1) / lengths
    expected[20] = 0
    found = store.nearest(queries, 10)
    order = np.argsort(-expected)[:10]
    assert [(n.file, n.start_seconds) for n in found] == [
        ("a.wav", i) if i < 30 else ("b.wav", i - 30) for i in order.tolist()
    ]
    np.testing.assert_allclose([n.similarity for n in found], expected[order], rtol=1e-5)
    assert len(store) == 50 and len(store.nearest(queries, 1000)) == 50


def test_chunks_that_are_not_wanted_are_left_out(tmp_path, recording):
    store = _store(tmp_path, recording, a=[[1, 0], [1, 0], [1, 0]], b=[[1, 0]])
    found = store.nearest(np.array([[1.0, 0.0]]), 10, [("a.wav", 0.5, 2.0), ("gone.wav", 0, 9)])
    assert [(n.file, n.start_seconds) for n in found] == [("a.wav", 2.0), ("b.wav", 0.0)]


def test_a_later_run_appends_and_a_changed_recording_replaces_its_vectors(tmp_path, recording):
    _store(tmp_path, recording, a=[[1, 0], [0, 1]])
    writer, path = _writer(tmp_path), recording("b.wav")
    writer.open()
    assert writer.has("a.wav", str(tmp_path / "a.wav")) and not writer.has("b.wav", str(path))
    writer.append("b.wav", _scores(path, [[1, 1]]))
    recording("a.wav", "changed")
    writer = _writer(tmp_path)
    writer.open()
    assert not writer.has("a.wav", str(tmp_path / "a.wav"))
    writer.append("a.wav", _scores(tmp_path / "a.wav", [[-1, 0]], seconds=0.5))
    store = embedding_store.Embeddings(str(tmp_path))
    assert len(store) == 2 and store.vectors.shape == (4, 2)
    assert {n.file: n.similarity for n in store.nearest(np.array([[1.0, 0.0]]), 9)} == {
        "a.wav": -1.0,
        "b.wav": pytest.approx(0.5**0.5),
    }
    vector, start, end = store.at("a.wav", 3.0)
    assert (vector.tolist(), start, end) == ([-1, 0], 0.0, 0.5) and store.at("c.wav", 0) is None


def test_only_recordings_of_the_last_folder_are_found_and_the_others_are_kept(tmp_path, recording, caplog):
    for site in ("a", "b"):
        (tmp_path / site).mkdir()

    def stored(site, *vectors):
        writer = _writer(tmp_path, root=tmp_path / site)
        writer.open()
        paths = [recording(f"{site}/{number}.wav") for number in range(len(vectors))]
        todo = [number for number, path in enumerate(paths) if not writer.has(path.name, str(path))]
        for number in todo:
            writer.append(paths[number].name, _scores(paths[number], [vectors[number]]))
        return len(todo), embedding_store.Embeddings(str(tmp_path))

    assert stored("a", [1, 0], [0, 1])[0] == 2
    num_new, store = stored("b", [-1, 0])  # of the same name and size
    assert (num_new, len(store), store.description.audio) == (1, 1, str(tmp_path / "b"))
    assert store.at("0.wav", 0)[0].tolist() == [-1, 0] and store.at("1.wav", 0) is None
    assert "also holds 2 recordings of other folders" in caplog.text
    with open(tmp_path / "embeddings" / "recordings.jsonl") as lines:
        before = lines.read()
    num_new, store = stored("a")
    assert len(store) == 2 and store.at("0.wav", 0)[0].tolist() == [1, 0]
    assert (tmp_path / "embeddings" / "recordings.jsonl").read_text() == before


def test_recordings_that_are_gone_or_replaced_are_left_out(tmp_path, recording):
    store = _store(tmp_path, recording, a=[[1, 0]], b=[[1, 0]], c=[[1, 0], [0, 1]])
    (tmp_path / "a.wav").unlink()
    recording("b.wav", "another")
    left_out = store.leave_out_others(str(tmp_path))
    assert [(file, reason.rpartition(": ")[2]) for file, reason in left_out] == [
        ("a.wav", "no such recording any more"),
        ("b.wav", "changed since the prediction; repeat that"),
    ]
    assert len(store) == 2 and store.at("b.wav", 0) is None
    assert {n.file for n in store.nearest(np.array([[1.0, 0.0]]), 9)} == {"c.wav"}
    (tmp_path / "c.wav").unlink()
    with pytest.raises(config.InputError, match=r"none of 1 recordings can be searched; the first: .*c\.wav"):
        store.leave_out_others(str(tmp_path))


def test_what_a_killed_process_left_is_not_read_and_then_removed(tmp_path, recording):
    _store(tmp_path, recording, a=[[1, 0]])
    folder = tmp_path / embedding_store.FOLDER
    line = json.loads((folder / "recordings.jsonl").read_text())
    for rest in ('{"file": "b', json.dumps({**line, "file": "b.wav", "first": 1, "count": 5}) + "\n"):
        with open(folder / "vectors.f32", "ab") as vectors, open(folder / "recordings.jsonl", "a") as lines:
            vectors.write(b"123")
            lines.write(rest)
        assert len(embedding_store.Embeddings(str(folder))) == 1
        writer = _writer(tmp_path)
        writer.open()
        assert (folder / "vectors.f32").stat().st_size == 8
        path = recording("c.wav")
        assert len((folder / "recordings.jsonl").read_text().splitlines()) == 1
    writer.open()
    writer.append("c.wav", _scores(path, [[0, 2]]))
    assert embedding_store.Embeddings(str(folder)).nearest(np.array([[0.0, 1.0]]), 1)[0].file == "c.wav"


def test_another_model_or_other_chunks_are_refused_and_replaced_on_request(tmp_path, recording):
    _store(tmp_path, recording, a=[[1, 0]])
    for flags in ({"fingerprint": "g"}, {"overlap": 0.5}):
        with pytest.raises(config.InputError, match="that differs"):
            _writer(tmp_path, **flags).open()
    writer = _writer(tmp_path, "g", overwrite=True)
    writer.open()
    writer.append("a.wav", _scores(tmp_path / "a.wav", [[1, 0, 0]]))
    assert embedding_store.Embeddings(str(tmp_path)).vectors.shape == (1, 3)


def test_a_store_of_a_version_without_a_flag_goes_on(tmp_path, recording):
    _store(tmp_path, recording, a=[[1, 0]])
    path = tmp_path / embedding_store.FOLDER / resume.PLAN
    plan = json.loads(path.read_text())
    assert plan["flags"].pop("channel") == ""
    path.write_text(json.dumps(plan))
    _writer(tmp_path).open()


def test_a_folder_without_a_store_is_told(tmp_path):
    with pytest.raises(config.InputError, match="predict --embeddings"):
        embedding_store.Embeddings(str(tmp_path))
