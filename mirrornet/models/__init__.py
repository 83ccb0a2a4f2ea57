"""Encoders (inverse models) and decoders (forward models), and the pairs of them.

`mirrornet.py` is the model; `melody.py` and `recording.py` say which networks an architecture has,
and each network has a file of its own.
"""
