"""Encoders (inverse models) and decoders (forward models).

Every encoder maps what was heard to controls, every decoder maps controls to what will be heard:
`encoder(heard, notes)` gives `(batch, control, note)`; `decoder(controls, frames)` gives
`(batch, channel=128, frame)`.
"""
