"""Any recording to a `Match`. `matching.py` is the whole; its steps, in order: `transcription.py`
reads notes and patch, `imagining.py` betters the patch in the mind, `patching.py` (one patch for
all notes) or `note_patching.py` (one for each) by `rehearsing.py` an excerpt with the plant, and
`candidates.py` finds other patches."""
