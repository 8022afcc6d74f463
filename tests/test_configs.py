"""Every flagfile can be parsed by its command, and its network can be built."""

import pathlib

import pytest

from bird_tf import config, convert, train
from bird_tf.audio import frontend
from bird_tf.models import architectures
from bird_tf.training import optimizers

FOLDER = pathlib.Path(__file__).parent.parent / "configs"
RECORDS = sorted(path.name for path in FOLDER.glob("records*.flags"))
TRAINING = sorted(path.name for path in FOLDER.glob("*.flags") if path.name not in RECORDS)


SHAPES = {"spectrogram": (64, 64), "embedding": (64,), "backbone_answers": (7,)}


@pytest.mark.parametrize("name", RECORDS)
def test_converter_flagfiles_parse_and_have_a_filter_bank(name):
    settings = config.parse(convert.ConvertConfig, [f"--flagfile={FOLDER / name}", "--audio=a", "--output=o"])
    assert frontend.filter_bank(settings.front_end).shape[0] == settings.front_end.num_bands


@pytest.mark.parametrize("name", TRAINING)
def test_training_flagfiles_parse_and_build(name):
    settings = config.parse(train.TrainConfig, [f"--flagfile={FOLDER / name}", "--records=r", "--run_dir=d"])
    network = architectures.build(settings.model, SHAPES, 7)
    assert network.output["logits"].shape == (None, 7)
    optimizers.build(settings.optimizer, settings.schedule.learning_rate, scale_loss=False)


def test_records_flags_are_the_defaults_of_2018():
    settings = config.parse(
        convert.ConvertConfig, [f"--flagfile={FOLDER / 'records.flags'}", "--audio=a", "--output=o"]
    )
    assert settings.front_end == frontend.FrontendConfig()


def test_every_flagfile_is_described():
    text = (FOLDER / "README.md").read_text()
    assert [name for name in RECORDS + TRAINING if f"`{name}`" not in text] == []
