"""How models are trained: `sampling.py` draws scores, `dataset.py` has them played and heard,
`augment.py` changes what was heard, and `trainer.py` runs the recipes: `melodies.py`, `babble.py`,
`fine_tuning.py`. No model is ever shown a sound with its controls, but for what the plant plays.
"""
