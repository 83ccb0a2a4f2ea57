"""Tables from `results/*.json`, printed by commands and inserted in README and docs.

python -m mirrornet.experiments.tables          regenerates the tables of all pages
"""
