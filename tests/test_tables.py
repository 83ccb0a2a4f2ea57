"""The pages' tables come from the results, all of them."""

from pathlib import Path

import pytest

from mirrornet.experiments.tables.pages import PAGES, render_tables

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize(
    ("name", "tables"), list(zip(PAGES, (4, 7, 11, 7, 6, 2, 1, 1), strict=True))
)
def test_tables_are_those_of_the_results(name, tables, tmp_path):
    page = tmp_path / "page.md"
    page.write_text((ROOT / name).read_text())
    render_tables(page, ROOT / "results")
    assert page.read_text() == (ROOT / name).read_text()
    assert page.read_text().count("<!-- table:") == tables
    assert "-->\n<!-- end -->" not in page.read_text()
