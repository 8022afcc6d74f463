"""Every flagfile can be parsed by its command, and its network can be built."""

import os
import pathlib

import pytest

from bird_tf import command_line, config, convert, train
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


def test_without_a_flagfile_commands_follow_the_recommended_recipe():
    for config_class, name, paths in (
        (convert.ConvertConfig, "records-recommended.flags", ["--audio=a", "--output=o"]),
        (train.TrainConfig, "recommended.flags", ["--records=r", "--run_dir=d"]),
    ):
        default = config.parse(config_class, paths)
        assert default == config.parse(config_class, [f"--flagfile={FOLDER / name}", *paths])
        assert default != config.parse(config_class, [f"--flagfile={os.devnull}", *paths])
        page = command_line.help_page(config_class, "")
        assert f"Without one, {name} counts" in page


def test_the_recipes_of_2018_do_not_depend_on_the_default():
    """Their values are those that they had when the defaults were those of 2018."""
    made = config.parse(convert.ConvertConfig, [f"--flagfile={FOLDER / 'records.flags'}", "--audio=a", "--output=o"])
    expected = {"audio": "a", "output": "o", "group_by": "recording"}
    assert made == config.from_mapping(convert.ConvertConfig, expected)
    run = config.parse(train.TrainConfig, [f"--flagfile={FOLDER / 'resnet.flags'}", "--records=r", "--run_dir=d"])
    expected = {
        "records": "r", "run_dir": "d", "architecture": "resnet", "filters": [16, 32, 64, 128], "resnet_k": 2,
        "resnet_n": 2, "background": "negative", "pooling": "median_filtered", "augment_count": 2,
        "augment_probability": 0.5, "roll_frequency": 0.1, "add_noise": True, "patience": 10, "loss": "softmax",
        "records_recipe": "records.flags",
    }  # fmt: skip
    assert run == config.from_mapping(train.TrainConfig, expected)


@pytest.mark.parametrize("name", TRAINING)
def test_a_recipe_names_a_flagfile_of_the_converter_or_none(name):
    settings = config.parse(train.TrainConfig, [f"--flagfile={FOLDER / name}", "--records=r", "--run_dir=d"])
    assert settings.records_recipe in ("", *RECORDS)
