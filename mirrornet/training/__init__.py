"""Training: `sampling.py` draws scores, `dataset.py` renders them and computes spectrograms,
`augment.py` augments these, and `trainer.py` runs the recipes `melodies.py`, `babble.py` and
`fine_tuning.py`. Only sounds that the plant rendered come with their controls as labels.
"""
