"""Records on an S3-compatible server on loopback; in a process of its own, since the file system keeps its settings."""

import os
import pathlib
import subprocess
import sys

import pytest

from bird_tf import config, files

SCRIPT = """
import itertools, os, sys
from bird_tf import augment, dataset, files, records, tf
source, target = sys.argv[1:]
files.enable(target)
for name in os.listdir(source):
    tf.io.gfile.copy(os.path.join(source, name), f"{target}/{name}")
settings = dataset.DatasetConfig(batch_size=4, shuffle_buffer=16)
first, second = (
    [batch["spectrogram"].numpy().tobytes() for batch in itertools.islice(
        dataset.training(records.load(path), settings, augment.AugmentConfig(add_noise=True), seed=1), 3)]
    for path in (source, target)
)
print("equal" if first == second else "different", flush=True)
os._exit(0)  # tensorflow-io may abort at exit
"""


@pytest.fixture
def server():
    """Address of a moto server with an empty bucket."""
    boto3 = pytest.importorskip("boto3", reason="moto's server is missing: install bird-tf[dev]")
    moto = pytest.importorskip("moto.server", reason="moto's server is missing: install bird-tf[dev]")
    try:
        files.enable("s3://bucket")
    except config.InputError as error:
        pytest.skip(f"s3:// needs tensorflow-io: {error}")
    running = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    running.start()
    host, port = running.get_host_and_port()
    address = f"http://{host}:{port}"
    keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test", "region_name": "us-east-1"}
    boto3.client("s3", endpoint_url=address, **keys).create_bucket(Bucket="bucket")
    yield address
    running.stop()


@pytest.mark.s3
def test_records_on_s3_give_the_same_batches(manifest, server):
    environment = {
        **os.environ, "S3_ENDPOINT": server, "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": "us-east-1", "S3_USE_HTTPS": "0", "S3_VERIFY_SSL": "0",
        "PYTHONPATH": str(pathlib.Path(__file__).parent.parent),
    }  # fmt: skip
    command = [sys.executable, "-c", SCRIPT, manifest.directory, "s3://bucket/records"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.stdout.strip().endswith("equal"), done.stderr[-2000:]
