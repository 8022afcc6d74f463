import dataclasses

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


def test_a_format_writes_the_files_that_it_names(tmp_path):
    one = prediction()
    known = context(tmp_path)
    known = dataclasses.replace(known, stems={one.file: known.stems[one.file]})
    with tables.writing(settings(tables.TableConfig, format=",".join(tables.FORMATS)), known) as append:
        append(one)
    written = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert written == {name for each in tables.FORMATS.values() for name in each.names(known)}
