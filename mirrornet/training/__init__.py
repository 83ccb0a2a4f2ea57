"""How models learn: `melodies.py` to play the paper's melodies, five notes in two seconds;
`phrases.py` to read recordings, from babble; `recordings.py` and `adapting.py` from a user's own.
What they share is in `training.py`. None is ever shown a sound with its controls, but for what the
plant plays."""
