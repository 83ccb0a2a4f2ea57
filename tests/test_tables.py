"""The README's tables come from the results, all of them."""

from pathlib import Path

from mirrornet.experiments.tables import render_readme

ROOT = Path(__file__).parent.parent


def test_the_readmes_tables_are_those_of_the_results(tmp_path):
    readme = tmp_path / "README.md"
    readme.write_text((ROOT / "README.md").read_text())
    render_readme(readme, ROOT / "results")
    assert readme.read_text() == (ROOT / "README.md").read_text()
    assert readme.read_text().count("<!-- table:") == 8
    assert "-->\n<!-- end -->" not in readme.read_text()
