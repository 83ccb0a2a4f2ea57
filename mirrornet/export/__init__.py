"""Export of a match: files, report page, MIDI and plots; and reading `controls.json` back."""
