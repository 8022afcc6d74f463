import sys
import types

import tqdm.notebook

from bird_tf import progress_bars


def test_after_an_error_the_line_of_a_bar_is_ended_and_nothing_follows(capsys):
    bar = progress_bars.start(10, "recording", "scoring")
    progress_bars.close_all()
    assert capsys.readouterr().err.endswith("\n")
    bar.update(10)
    bar.close()
    assert not capsys.readouterr().err


def test_a_notebook_without_widgets_gets_a_bar_of_text_and_no_warning(monkeypatch, recwarn):
    monkeypatch.setitem(sys.modules, "ipykernel.zmqshell", types.ModuleType("ipykernel.zmqshell"))
    shell = types.SimpleNamespace(config={"IPKernelApp": {}})
    monkeypatch.setitem(sys.modules, "IPython", types.SimpleNamespace(get_ipython=lambda: shell))
    monkeypatch.setattr(tqdm.notebook, "IProgress", None)
    for name in ("auto", "autonotebook"):
        monkeypatch.delitem(sys.modules, f"tqdm.{name}", raising=False)
        monkeypatch.delattr(tqdm, name, raising=False)
    progress_bars.start(1, "chunk", "scoring").close()
    assert not recwarn.list
