"""A studio for the tests of a whole module, a visitor, and sounds."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
from studio_client import Client, served

from mirrornet.app.studio.server import Settings, Studio

RATE_HZ = 22050


@pytest.fixture(scope="module")
def settings(tmp_path_factory) -> Settings:
    folder = tmp_path_factory.mktemp("studio")
    plants = Path(__file__).parents[1] / "crashing_plant.py"
    return Settings(0, (str(plants),), folder / "runs", workers=1)


@pytest.fixture(scope="module")
def studio_at(settings) -> Iterator[tuple[Studio, int]]:
    with served(settings) as running:
        yield running


@pytest.fixture
def visitor(studio_at) -> Client:
    client = Client(studio_at[1])
    assert client.ask("GET", "/")[0] == 200
    return client


@pytest.fixture(scope="session")
def sung(tmp_path_factory) -> Callable[..., bytes]:
    """WAV files of harmonic notes with these MIDI pitches, half a second each."""
    folder = tmp_path_factory.mktemp("sounds")

    def make(*pitches: int) -> bytes:
        times_s = np.arange(RATE_HZ // 2) / RATE_HZ
        fall = np.exp(-3 * times_s) * np.minimum(1, times_s / 0.005) * (times_s < 0.45)
        notes = [
            fall * sum(np.sin(2 * np.pi * hz * n * times_s) / n**1.5 for n in range(1, 9))
            for hz in (440 * 2 ** ((pitch - 69) / 12) for pitch in pitches)
        ]
        file = folder / ("-".join(map(str, pitches)) + ".wav")
        soundfile.write(file, 0.2 * np.concatenate(notes), RATE_HZ)
        return file.read_bytes()

    return make
