from bird_tf import tf
from bird_tf.backbones import saved_model
from tests.backbones.conftest import SIZE, WINDOW, Loudness, make_source


def test_without_a_default_signature_the_first_that_fits_is_used(labels, tmp_path):
    module = Loudness()

    @tf.function(input_signature=[tf.TensorSpec([None, 5], tf.float32)])
    def other(inputs):
        return {"features": inputs[:, :4]}

    tf.saved_model.save(module, str(tmp_path), signatures={"a": other, "b": module.function()})
    assert saved_model.load(make_source(tmp_path, labels), 3).shape == (1, WINDOW)


def test_a_signature_with_an_embedding_comes_before_the_default_one(labels, tmp_path):
    module = Loudness()
    signatures = {"serving_default": module.function(outputs=("scores",)), "with_features": module.function()}
    tf.saved_model.save(module, str(tmp_path), signatures=signatures)
    assert saved_model.load(make_source(tmp_path, labels), 3).embedding_size == SIZE
