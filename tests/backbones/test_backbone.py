"""Teachers of waveforms: two made here, which answer by the loudness of the start and the end of their window."""

import numpy as np
import pytest
import soundfile

from bird_tf import config, convert, tf
from bird_tf.backbones import backbone, windows
from bird_tf.input import dataset
from bird_tf.input.augment import augmentations
from bird_tf.labels import taxonomy
from bird_tf.records import manifests, schema
from tests.conftest import settings
from tests.test_convert import _bytes, _settings

RATE, WINDOW = 8000, 4000
LABELS = ("Parus major_Great Tit", "engine", "Turdus merula_Common Blackbird")
CLASSES = taxonomy.Taxonomy(("blackb", "dodo", "gretit"), ("Turdus merula", "Raphus cucullatus", "Parus Major"))


class _Loudness(tf.Module):
    """Logits of three labels: loudness of the first half, of nothing, and of the second half."""

    def __init__(self, window=WINDOW):
        self.gain = tf.Variable(8.0)
        self.window = window

    def __call__(self, inputs):
        first, second = (tf.reduce_max(tf.abs(half), axis=1) for half in tf.split(inputs, 2, axis=1))
        return {"scores": self.gain * tf.stack([first, 0 * first - 1, second], axis=1) - 4, "features": inputs[:, :7]}

    def function(self, batch=None):
        return tf.function(self, input_signature=[tf.TensorSpec([batch, self.window], tf.float32, name="inputs")])


@pytest.fixture(scope="module")
def labels(tmp_path_factory):
    path = tmp_path_factory.mktemp("labels") / "labels.txt"
    path.write_text("\n".join(LABELS))
    return path


@pytest.fixture(scope="module", params=["saved_model", "tflite"])
def model(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("teacher")
    module = _Loudness()
    if request.param == "tflite":
        function = module.function(batch=1)
        path = folder / "teacher.tflite"
        converter = tf.lite.TFLiteConverter.from_concrete_functions([function.get_concrete_function()], module)
        path.write_bytes(converter.convert())
        return path
    tf.saved_model.save(module, str(folder), signatures=module.function())
    return folder


def _config(model, labels, **values):
    defaults = {"teacher_sample_rate_hz": RATE, "teacher_logits": True}
    return settings(
        backbone.BackboneConfig, teacher_model=model, teacher_labels=labels, **{**defaults, **values}
    )  # fmt: skip


@pytest.fixture
def teacher(model, labels):
    return backbone.Backbone(_config(model, labels), CLASSES)


def _sigmoid(value):
    return 1 / (1 + np.exp(-value))


def test_answers_are_probabilities_of_our_classes_by_latin_name(teacher):
    windows = np.zeros((2, WINDOW), np.float32)
    windows[0, 10], windows[1, -10] = 0.5, -0.75
    quiet = _sigmoid(-4)
    np.testing.assert_allclose(
        teacher.probabilities(windows), [[quiet, np.nan, 0.5], [_sigmoid(2), np.nan, quiet]], rtol=1e-5
    )
    assert teacher.known.tolist() == [True, False, True]


def _clicks(path, seconds, *at, rate=RATE):
    sound = np.zeros(round(seconds * rate), np.float32)
    sound[[round(second * rate) for second in at]] = 0.9
    soundfile.write(path, sound, rate, subtype="FLOAT")
    return str(path)


@pytest.mark.parametrize(
    ("chunk_seconds", "start", "click", "early", "late"),
    [
        (0.25, 0.5, 0.45, True, False),  # a window of 0.5 s is centred on the chunk: 0.375 … 0.875
        (0.25, 0.5, 0.80, False, True),
        (0.25, 0.5, 0.30, False, False),
        (0.25, 0.0, 0.05, True, False),  # before the recording there is silence: -0.125 … 0.375
        (0.25, 0.0, 0.20, False, True),
        (0.25, 1.75, 1.90, False, True),  # and after its end
        (1.25, 0.5, 1.70, False, True),  # windows of 0.5 … 1.0, 0.875 … 1.375, 1.25 … 1.75
        (1.25, 0.5, 0.90, True, True),
        (1.25, 0.5, 0.45, False, False),
        (1.25, 0.5, 1.80, False, False),
    ],
)
def test_the_teacher_hears_windows_that_cover_the_chunk(teacher, tmp_path, chunk_seconds, start, click, early, late):
    path = _clicks(tmp_path / "x.wav", 2.0, click)
    late_answer, _, early_answer = windows.WindowStream(teacher, path, chunk_seconds).answers(start)
    assert (early_answer > 0.5, late_answer > 0.5) == (early, late)


def test_chunks_that_overlap_are_heard_one_after_the_other(teacher, tmp_path):
    path = _clicks(tmp_path / "x.wav", 24.0, 0.1, 3.3, 11.7, 23.9)
    starts = np.arange(0, 23.5, 0.75)
    lesson = windows.WindowStream(teacher, path, 1.25)
    together = [lesson.answers(start) for start in starts]
    alone = [windows.WindowStream(teacher, path, 1.25).answers(start) for start in starts]
    np.testing.assert_array_equal(together, alone)
    assert len(np.unique(np.round(together, 3), axis=0)) > 2


def test_what_cannot_be_decoded_is_silence(teacher, tmp_path):
    path = tmp_path / "x.wav"
    path.write_bytes(b"nothing")
    answers = windows.WindowStream(teacher, str(path), 1.0).answers(0.0)
    assert answers[0] == answers[2] == pytest.approx(_sigmoid(-4), rel=1e-5)


def test_models_that_do_not_fit_are_refused_in_one_line(model, labels, tmp_path):
    few = tmp_path / "few.txt"
    few.write_text("Parus major\n")
    strange = tmp_path / "strange.txt"
    strange.write_text("a\nb\nc\n")
    for values, words in [
        ({"teacher_model": tmp_path / "none"}, "no such file"),
        ({"teacher_model": few}, "can be loaded"),
        ({"teacher_labels": ""}, "--teacher_labels"),
        ({"teacher_sample_rate_hz": 0}, "--teacher_sample_rate_hz"),
        ({"teacher_labels": few}, r"output \[batch, 1\]"),
        ({"teacher_labels": strange}, "knows none of the 3 classes"),
    ]:
        given = {"teacher_model": model, "teacher_labels": labels, **values}
        with pytest.raises(config.InputError, match=words):
            backbone.Backbone(_config(given.pop("teacher_model"), given.pop("teacher_labels"), **given), CLASSES)
    with pytest.raises(config.InputError, match="--teacher_logits"):
        backbone.Backbone(_config(model, labels, teacher_logits=False), CLASSES).probabilities(
            np.ones((1, WINDOW), np.float32)
        )


def test_an_export_of_ours_needs_only_its_path(manifest, model_path, data):
    teacher = backbone.Backbone(backbone.BackboneConfig(teacher_model=model_path), manifest.classes)
    assert teacher.sample_rate_hz == manifest.front_end.sample_rate_hz and teacher.known.all()
    path = str(sorted((data / "wav").iterdir())[0])
    samples, _ = soundfile.read(path, dtype="float32")
    chunk = samples[None, : manifest.front_end.chunk_samples]
    expected = tf.saved_model.load(model_path).signatures["serving_default"](samples=tf.constant(chunk))
    answers = windows.WindowStream(teacher, path, manifest.front_end.chunk_seconds).answers(0.0)
    np.testing.assert_allclose(answers, expected["probabilities"][0], atol=1e-5)


@pytest.fixture(scope="module")
def taught(data, model_path, tmp_path_factory):
    """Records with answers of a teacher that does not know the last two classes."""
    output = tmp_path_factory.mktemp("taught") / "set"
    return convert.convert(_taught(data, output, model_path))


def _taught(data, output, model_path, **values):
    return _settings(data, output, **{"teacher_model": model_path, "max_classes": 4, "signal_threshold": 0.0, **values})


def test_records_hold_the_answers_for_any_number_of_workers(data, taught, model_path, tmp_path, monkeypatch):
    assert taught.teacher["model"] == model_path and len(taught.teacher["classes"]) == 4
    assert manifests.load(taught.directory).teacher == taught.teacher
    for split in ("train", "val"):
        for block in tf.data.TFRecordDataset(taught.paths(split)).batch(100):
            answers = schema.parse_backbone(block, 4)["teacher"].numpy()
            assert answers.shape == (len(block), 4) and (answers >= 0).all() and (answers <= 1).all()
    again = convert.convert(_taught(data, tmp_path / "again", model_path, workers=2))
    assert _bytes(again.directory) == _bytes(taught.directory)


def test_another_teacher_on_an_unfinished_directory_is_refused(data, manifest, model, tmp_path, monkeypatch):
    labels = tmp_path / "labels.txt"
    labels.write_text("\n".join(manifest.classes.names[:3]))
    wanted = _settings(
        data,
        tmp_path / "x",
        teacher_model=model,
        teacher_labels=labels,
        teacher_sample_rate_hz=RATE,
        teacher_logits=True,
    )
    monkeypatch.setattr(convert, "_run", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    for _ in range(2):  # the same one may go on
        with pytest.raises(KeyboardInterrupt):
            convert.convert(wanted)
    labels.write_text("\n".join(manifest.classes.names[2::-1]))
    with pytest.raises(config.InputError, match="the teacher's files was"):
        convert.convert(wanted)


def test_training_on_plain_records_refuses_what_needs_a_teacher(manifest):
    plain = augmentations.AugmentConfig()
    for changes in (
        {"records_teacher_weight": 0.5},
        {"sampling": dataset.sampling.SamplingConfig(teacher_presence=0.1)},
    ):
        with pytest.raises(config.InputError, match="convert with --teacher_model"):
            dataset.training(manifest, dataset.DatasetConfig(**changes), plain, seed=0)


def test_training_blends_the_answers_into_the_targets(taught):
    chosen = dataset.DatasetConfig(batch_size=4, records_teacher_weight=0.25)
    plain = augmentations.AugmentConfig()
    stored = {}
    for block in tf.data.TFRecordDataset(taught.paths("train")).batch(100):
        pictures = schema.parse_spectrogram(block, taught.front_end).numpy() / np.float32(255)
        answers = schema.parse_backbone(block, 4)
        for picture, answer, label in zip(pictures, answers["teacher"], answers["label"], strict=True):
            stored[np.round(picture, 4).tobytes()] = 0.25 * answer.numpy() + 0.75 * np.eye(4)[label]
    batch = next(iter(dataset.training(taught, chosen, plain, seed=0)))
    for picture, targets in zip(batch["spectrogram"].numpy(), batch["targets"].numpy(), strict=True):
        np.testing.assert_allclose(targets, stored[np.round(picture, 4).tobytes()], atol=1e-6)
