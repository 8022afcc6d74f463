"""The request of docker/README.md, and the SavedModel's response by the published REST rules of TensorFlow Serving."""

import json

import numpy as np
import pytest

from bird_tf import config, tf
from bird_tf.audio import decode
from bird_tf.inference import model_files, saved_model
from tools import serving_request


def rest(signatures, body):
    """The response of TensorFlow Serving to a predict request (tensorflow.org/tfx/serving/api_rest).

    Row format: `instances`, each {input: value}, or the value itself if the signature has one input; the values are
    stacked. Column format: `inputs`, {input: values}, or the values. The name of a single output is omitted.
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
    outputs = {
        k: v.numpy() for k, v in signature(**{k: tf.constant(v, specs[k].dtype) for k, v in columns.items()}).items()
    }
    if "inputs" in request:
        columns = {name: value.tolist() for name, value in outputs.items()}
        return {"outputs": columns if len(columns) > 1 else next(iter(columns.values()))}
    rows = [
        dict(zip(outputs, values, strict=True)) for values in zip(*(v.tolist() for v in outputs.values()), strict=True)
    ]
    return {"predictions": rows if len(outputs) > 1 else [next(iter(row.values())) for row in rows]}


@pytest.fixture
def recording(data):
    return str(sorted((data / "wav").iterdir())[0])


@pytest.fixture(scope="module")
def signatures(model_path):
    loaded = tf.saved_model.load(model_path)
    yield loaded.signatures


def _model_and_chunks(model_path, recording):
    model = saved_model.Model(model_path)
    chunks = np.concatenate(list(decode.ChunkStream(recording, model.front_end, decode.ChunkingConfig(), 8)))
    return model, chunks


def test_the_response_to_the_request_holds_the_predictions_of_the_model(model_path, recording, signatures, capsys):
    serving_request.main(serving_request.RequestConfig(model=model_path, audio=recording))
    body = capsys.readouterr().out
    model, chunks = _model_and_chunks(model_path, recording)
    [predictions] = rest(signatures, body).values()
    probabilities = np.array([prediction["probabilities"] for prediction in predictions])
    # samples are written to six decimals
    np.testing.assert_allclose(probabilities, model.predict_samples(chunks).probabilities, atol=1e-3)
    assert {"probabilities", "logits", "scores", "present_f1", "present_precision"} == set(predictions[0])
    samples = [instance["samples"] for instance in json.loads(body)["instances"]]
    columns = rest(signatures, json.dumps({"inputs": {"samples": samples}}))["outputs"]
    np.testing.assert_allclose(columns["probabilities"], probabilities, atol=1e-6)
    unnamed = rest(signatures, json.dumps({"instances": samples}))["predictions"]
    np.testing.assert_allclose([p["logits"] for p in unnamed], columns["logits"], atol=1e-6)


def test_a_signature_with_one_output_omits_its_name(model_path, recording, signatures):
    settings = serving_request.RequestConfig(model=model_path, audio=recording, signature="embed", max_chunks=2)
    embeddings = rest(signatures, json.dumps(serving_request.body(settings)))["predictions"]
    model, chunks = _model_and_chunks(model_path, recording)
    np.testing.assert_allclose(embeddings, model.embed(chunks[:2]), atol=1e-2)


def test_a_request_that_no_server_can_answer_is_refused(recording, tmp_path):
    (tmp_path / model_files.BACKBONE).mkdir()
    with pytest.raises(config.InputError, match="backbone in a file beside its graph"):
        serving_request.body(serving_request.RequestConfig(model=str(tmp_path), audio=recording))
    with pytest.raises(config.InputError, match="--max_chunks=0: must be at least 1"):
        serving_request.RequestConfig(model=str(tmp_path), audio=recording, max_chunks=0)
