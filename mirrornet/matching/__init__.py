"""From a sound to a `Match`: `match.py` is the entry point; `recordings.py` and `transcribe.py`
read notes and patch; `surrogate.py` optimises the patch through the decoder; `levels.py` measures
the notes' levels; `candidates.py` draws other patches; `objective.py` and `refine.py` refine with
renders. `melody_surrogate.py` and `melody_sound.py` are for the paper's melodies."""
