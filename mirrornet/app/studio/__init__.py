"""The studio: a local web page on which a sound is matched, heard, seen and shaped."""
