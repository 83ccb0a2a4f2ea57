"""Sounds that are refused."""

import pytest

from mirrornet.audio import load_audio
from mirrornet.errors import AudioError


def refused(path, words, **options):
    """`load_audio` says in one line, with these words, why it does not take the file at `path`."""
    with pytest.raises(AudioError, match=words) as caught:
        load_audio(path, **options)
    message = str(caught.value)
    assert path.name in message
    assert "\n" not in message
    assert message.endswith(".")
