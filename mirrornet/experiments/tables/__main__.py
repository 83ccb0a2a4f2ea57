"""Regenerates the tables of all pages."""

from pathlib import Path

from .pages import PAGES, render_tables

for name in PAGES:
    render_tables(Path(name))
