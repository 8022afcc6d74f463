import pytest

from bird_tf import config
from bird_tf.inference.writers import tables
from tests.conftest import settings
from tests.inference.writers.conftest import context, prediction


def test_tables_appear_when_the_block_ends(tmp_path):
    writing = tables.writing(settings(tables.TableConfig), context(tmp_path))
    with pytest.raises(RuntimeError, match="stop"), writing as append:
        append(prediction())
        raise RuntimeError("stop")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("values", [{"format": "csv,xls"}, {"top": -1}])
def test_bad_flags_are_refused(values):
    with pytest.raises(config.InputError, match=f"--{next(iter(values))}="):
        settings(tables.TableConfig, **values)
