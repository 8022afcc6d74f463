import jinja2
import pytest

from bird_tf.evaluation import pages


def test_a_value_that_is_missing_is_an_error():
    with pytest.raises(jinja2.UndefinedError):
        pages.render("summary.html.j2", title="x")
