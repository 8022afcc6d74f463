"""Records on an S3-compatible server: moto's, on loopback."""

import hashlib
import importlib
import os
import pathlib
import subprocess
import sys

import pytest

from bird_tf import convert
from tests.conftest import SMALL
from tests.test_convert import _bytes, _settings

ROOT = pathlib.Path(__file__).parent.parent

READ = """
import sys
from bird_tf.records import manifests, shard_files
manifest = manifests.load(sys.argv[1])
count = sum(len(batch["label"]) for batch in shard_files.read(manifest, "train", 16))
print("read", count, flush=True)
"""

SAME_BATCHES = """
import itertools, sys
from bird_tf.input import dataset
from bird_tf.input.augment import augmentations
from bird_tf.records import manifests
settings = dataset.DatasetConfig(batch_size=4, shuffle_buffer=16)
first, second = (
    [batch["spectrogram"].numpy().tobytes() for batch in itertools.islice(
        dataset.training(manifests.load(path), settings, augmentations.AugmentConfig(add_noise=True), seed=1), 3)]
    for path in sys.argv[1:]
)
print("equal" if first == second else "different", flush=True)
"""


def _why_not():
    try:
        importlib.import_module("tensorflow_io")
        importlib.import_module("moto.server")
    except (ImportError, NotImplementedError) as error:
        return str(error).splitlines()[0]
    return ""


@pytest.fixture
def bucket():
    """Name of a bucket, a client, and the environment variables for its server."""
    if reason := _why_not():
        pytest.skip(f"tensorflow-io or moto does not load: {reason}")
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    endpoint = "http://{}:{}".format(*server.get_host_and_port())
    keys = {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x", "AWS_REGION": "us-east-1"}
    client = boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1", aws_access_key_id="x",
                          aws_secret_access_key="x")  # fmt: skip
    client.create_bucket(Bucket="birds")
    yield "birds", client, {**os.environ, **keys, "S3_ENDPOINT": endpoint, "S3_USE_HTTPS": "0", "S3_VERIFY_SSL": "0"}
    server.stop()


def _run(environment, *arguments):
    return subprocess.run(
        [sys.executable, *map(str, arguments)], cwd=ROOT, env={**environment, "PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.s3
def test_records_on_s3_have_the_bytes_of_local_ones_and_read_back(data, tmp_path, bucket):
    name, client, environment = bucket
    local = convert.convert(_settings(data, tmp_path / "local"))
    flags = {"audio": data / "wav", "metadata": data / "xml", "output": f"s3://{name}/set", "workers": 1,
             "val_share": 0.3, "shard_minutes": 0.3, **SMALL}  # fmt: skip
    made = _run(
        environment, "tools/make_tfrecords.py", f"--flagfile={os.devnull}", *(f"--{k}={v}" for k, v in flags.items())
    )
    assert made.returncode == 0, made.stderr
    listed = {entry["Key"]: entry["Size"] for entry in client.list_objects_v2(Bucket=name)["Contents"]}
    assert "set/manifest.json" in listed and not [key for key in listed if "unfinished" in key or "partial" in key]
    remote = {
        key.removeprefix("set/"): hashlib.md5(client.get_object(Bucket=name, Key=key)["Body"].read()).hexdigest()
        for key in listed
        if key.endswith(".tfrecord")
    }
    empty = hashlib.md5(b"").hexdigest()  # an object store may keep no object for a shard without a chunk
    assert {name: digest for name, digest in remote.items() if digest != empty} == {
        name: digest for name, digest in _bytes(local.directory).items() if digest != empty
    }
    read = _run(environment, "-c", READ, f"s3://{name}/set")
    assert f"read {local.num_chunks('train')}\n" in read.stdout, read.stderr
    again = _run(
        environment, "tools/make_tfrecords.py", f"--flagfile={os.devnull}", *(f"--{k}={v}" for k, v in flags.items())
    )
    assert again.returncode == 1 and "holds finished records" in again.stderr


@pytest.mark.s3
def test_records_on_s3_give_the_same_batches(manifest, bucket):
    name, client, environment = bucket
    for path in pathlib.Path(manifest.directory).iterdir():
        client.upload_file(str(path), name, f"set/{path.name}")
    done = _run(environment, "-c", SAME_BATCHES, manifest.directory, f"s3://{name}/set")
    assert done.stdout.strip() == "equal", done.stderr[-2000:]  # tensorflow-io may abort at exit, after it
