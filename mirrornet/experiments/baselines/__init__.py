"""Baselines: searches under one render budget, and networks trained on babble."""
