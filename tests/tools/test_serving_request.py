"""The request of docker/README.md, answered by the SavedModel through TensorFlow Serving's published REST rules."""

import json

import numpy as np
import pytest

from bird_tf import tf
from bird_tf.audio import decode
from bird_tf.inference import saved_model
from tools import serving_request


def rest(signatures, body):
    """What TensorFlow Serving answers to a predict request (tensorflow.org/tfx/serving/api_rest).

    Row format: `instances`, each {input: value}, or the value itself where the signature has one input; their values
    are stacked. Column format: `inputs`, {input: values}, or the values. A single output loses its name.
    """
    request = json.loads(body)
    signature = signatures[request.get("signature_name", "serving_default")]
    specs = signature.structured_input_signature[1]
    if "instances" in request:
        rows = [r if isinstance(r, dict) else {name: r for name in specs} for r in request["instances"]]
        columns = {name: [row[name] for row in rows] for name in rows[0]}
    else:
        columns = request["inputs"] if isinstance(request["inputs"], dict) else dict.fromkeys(specs, request["inputs"])
    assert set(columns) == set(specs)
    answer = {
        k: v.numpy() for k, v in signature(**{k: tf.constant(v, specs[k].dtype) for k, v in columns.items()}).items()
    }
    if "inputs" in request:
        outputs = {name: value.tolist() for name, value in answer.items()}
        return {"outputs": outputs if len(outputs) > 1 else next(iter(outputs.values()))}
    rows = [
        dict(zip(answer, values, strict=True)) for values in zip(*(v.tolist() for v in answer.values()), strict=True)
    ]
    return {"predictions": rows if len(answer) > 1 else [next(iter(row.values())) for row in rows]}


@pytest.fixture
def recording(data):
    return str(sorted((data / "wav").iterdir())[0])


@pytest.fixture(scope="module")
def signatures(model_path):
    loaded = tf.saved_model.load(model_path)
    yield loaded.signatures


def _heard(model_path, recording):
    model = saved_model.Model(model_path)
    chunks = np.concatenate(list(decode.ChunkStream(recording, model.front_end, decode.ChunkingConfig(), 8)))
    return model, chunks


def test_the_written_request_is_answered_as_the_model_answers(model_path, recording, signatures, capsys):
    serving_request.main(serving_request.RequestConfig(model=model_path, audio=recording))
    body = capsys.readouterr().out
    model, chunks = _heard(model_path, recording)
    [predictions] = rest(signatures, body).values()
    probabilities = np.array([prediction["probabilities"] for prediction in predictions])
    # samples are written to six decimals
    np.testing.assert_allclose(probabilities, model.predict_samples(chunks).probabilities, atol=1e-3)
    assert {"probabilities", "logits"} == set(predictions[0])
    samples = [instance["samples"] for instance in json.loads(body)["instances"]]
    columns = rest(signatures, json.dumps({"inputs": {"samples": samples}}))["outputs"]
    np.testing.assert_allclose(columns["probabilities"], probabilities, atol=1e-6)
    unnamed = rest(signatures, json.dumps({"instances": samples}))["predictions"]
    np.testing.assert_allclose([p["logits"] for p in unnamed], columns["logits"], atol=1e-6)


def test_a_signature_of_one_output_answers_without_its_name(model_path, recording, signatures):
    settings = serving_request.RequestConfig(model=model_path, audio=recording, signature="embed", max_chunks=2)
    answer = rest(signatures, json.dumps(serving_request.body(settings)))["predictions"]
    model, chunks = _heard(model_path, recording)
    np.testing.assert_allclose(answer, model.embed(chunks[:2]), atol=1e-2)
