import pytest

from bird_tf.records import manifests, shard_files
from tests.records.test_schema import make_chunk


def test_a_shard_appears_only_when_complete(tmp_path, generator, small_front_end):
    with pytest.raises(ZeroDivisionError), shard_files.writing(str(tmp_path), "x.tfrecord") as writer:
        writer.write(make_chunk(generator, small_front_end))
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []
    with shard_files.writing(str(tmp_path), "x.tfrecord") as writer:
        writer.write(make_chunk(generator, small_front_end))
    assert [path.name for path in tmp_path.iterdir()] == ["x.tfrecord"]


def test_reading_gives_every_chunk_once_in_order(manifest):
    for split in manifests.SPLITS:
        chunks = [
            (i.decode(), int(n))
            for batch in shard_files.read(manifest, split, 7)
            for i, n in zip(batch["recording_id"].numpy(), batch["chunk_index"].numpy(), strict=True)
        ]
        assert len(chunks) == len(set(chunks)) == manifest.num_chunks(split) > 0
