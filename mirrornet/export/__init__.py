"""What a user gets of a match: files, a page, MIDI and pictures; and how such files are read."""
