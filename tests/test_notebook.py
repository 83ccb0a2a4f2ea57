"""A match in a Jupyter notebook: the tutorial runs, shows a match, and shows bars meanwhile."""

from pathlib import Path

import pytest

from mirrornet import notebook
from mirrornet.events import Progress
from mirrornet.export.cell import cell

TUTORIAL = Path(__file__).parents[1] / "docs" / "tutorial.ipynb"


def test_outside_a_notebook_nothing_listens(capsys):
    with notebook.progress().stage("Work", 1) as stage:
        stage.at(1)
    assert capsys.readouterr() == ("", "")


def test_bars_show_stages_and_sentences(monkeypatch):
    display = pytest.importorskip("IPython.display")
    shown: list[str] = []

    class Handle:
        def update(self, page):
            shown.append(page.data)

    def first(page, display_id):
        shown.append(page.data)
        return Handle()

    monkeypatch.setattr(display, "display", first)
    progress = Progress(notebook._Bars().hear)
    with progress.stage("Refining <b>", 4) as stage:
        stage.at(3, "5 % of variance")
        progress.say("A & B")
    assert len(shown) == 4
    assert 'max="4" value="3"' in shown[-1]
    assert "Refining &lt;b&gt;: 3 of 4 5 % of variance" in shown[-1]
    assert "A &amp; B" in shown[-1]


def test_a_match_shows_itself(match):
    page = match._repr_html_()
    assert page == cell(match)
    assert page.count("<audio") == 2
    assert page.count("<img") == 1
    assert page.count('<tr><th scope="row">') >= len(match.notes)


@pytest.mark.slow
def test_the_tutorial_runs():
    nbformat = pytest.importorskip("nbformat")
    nbclient = pytest.importorskip("nbclient")
    tutorial = nbformat.read(TUTORIAL, as_version=4)
    nbclient.NotebookClient(tutorial, timeout=600, kernel_name="python3").execute()
    outputs = [out for one in tutorial.cells for out in one.get("outputs", [])]
    pages = [out["data"]["text/html"] for out in outputs if "text/html" in out.get("data", {})]
    assert any("<progress" in page for page in pages)
    assert any("<audio" in page for page in pages)
    said = "".join(out["data"].get("text/plain", "") for out in outputs if "data" in out)
    assert "melody.mid" in said
    assert "% of variance" in said
