"""How models are trained: `sampling.py` draws scores, `dataset.py` has them played and heard,
`augment.py` changes what was heard, and the recipes (`melodies.py`, `babble.py`, `listening.py`) are
run by `trainer.py`. No model is ever shown a sound with its controls, but for what the plant plays.
"""
