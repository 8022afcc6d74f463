import dataclasses
import os

from bird_tf.audio import activity, decode, frontend
from bird_tf.conversion import shard_tasks
from bird_tf.labels import spans, taxonomy
from tests.conftest import SMALL


def test_a_task_names_its_shard_and_those_beside_it():
    task = shard_tasks.ShardTask(
        directory="records", split="train", number=1, total=3, recordings=(), classes=taxonomy.Taxonomy(("a",), ("a",)),
        front_end=frontend.FrontendConfig(**SMALL), chunking=decode.ChunkingConfig(),
        activity=activity.ActivityConfig(), annotated=spans.AnnotationConfig(), max_chunks_per_class=0, noise_share=1.0,
    )  # fmt: skip
    assert task.name == task.shard_name("train") == "train-00001-of-00003.tfrecord"
    assert task.parts == ("train", "rest", "noise")
    judged = dataclasses.replace(task, split="val", backbone_mixtures=2)
    assert judged.parts == ("val", "val_noise", "val_mixed")
    expected = os.path.join("records", shard_tasks.UNFINISHED, "val-00001-of-00003.tfrecord.json")
    assert shard_tasks.note_path(judged, ".json") == expected
