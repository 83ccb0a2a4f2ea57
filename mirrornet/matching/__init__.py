"""From a sound to a `Match`: `match.py` is the call; `recordings.py` and `transcribe.py` read notes
and patch; `surrogate.py` optimises them through the decoder; `levels.py` measures how loud notes
are; `candidates.py` draws other patches; `objective.py` and `refine.py` spend renders.
`melody_surrogate.py` and `melody_sound.py` are for the paper's melodies."""
