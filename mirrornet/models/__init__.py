"""Encoders (inverse models), decoders (forward models), and the models that combine them.

`mirrornet.py` is the model; `melody.py` and `recording.py` define which networks an architecture
has; each network has a module of its own.
"""
