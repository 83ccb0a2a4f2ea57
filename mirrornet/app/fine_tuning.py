"""Fine-tuning on a user's recordings: a model is trained on most files of a folder, and the others
are matched before and after, with a page to compare them."""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from urllib.parse import quote

import numpy as np
from jaxtyping import Float

from ..audio import load_audio, take_sound
from ..errors import AudioError, MirrorNetError, PlantError
from ..events import Progress
from ..export.report import percent, table_page
from ..features import RECORDING_RATE_HZ, hear_recording
from ..matching.match import EXPORT_RATE_HZ
from ..matching.recordings import match_recording
from ..models.checkpoints import fingerprint
from ..models.mirrornet import MirrorNet
from ..plants import Plant, find_plant
from ..plants.pool import LOCAL, Pool
from ..storage import write_atomically
from ..training.fine_tuning import FineTuningRecipe, cut, fine_tune
from .batch import sound_files

HELD_OUT = 5  # one file in so many is held out
PAGE = "index.html"

Models = Mapping[str, MirrorNet]
Scores = dict[str, dict[str, float]]


@dataclass(frozen=True)
class Split:
    """The usable recordings of a folder, divided into training and held-out files."""

    learned_from: list[Path]
    judged_by: list[Path]
    sounds_sha256: list[str]
    """Fingerprints of all sounds, in order of their files in the folder."""


def split_folder(folder: Path, out: Path, seed: int, progress: Progress) -> Split:
    """Divide the recordings in `folder` at random into training and held-out files.

    Files in `out` are skipped; files that cannot be used and duplicate sounds are reported and left
    out. Raises AudioError if no file can be used.
    """
    files, closed = sound_files(folder, out)
    usable: dict[str, Path] = {}  # by sound, so that no duplicate is held out
    with progress.stage("Looking at files", len(files)) as stage:
        for place, reason in closed.items():
            progress.say(f"left out a folder: {place} cannot be opened ({reason}).")
        for number, file in enumerate(files, 1):
            try:
                sound, warnings = take_sound(file, EXPORT_RATE_HZ)
                for warning in warnings:
                    progress.say(warning)
                same = usable.setdefault(fingerprint(sound), file)
                if same is not file:
                    progress.say(f"left out a file: {file.name} is the same sound as {same.name}.")
            except AudioError as error:
                progress.say(f"left out a file: {error}")
            stage.at(number)
    if not usable:
        raise AudioError(f"none of the {len(files)} files in {folder.name} can be used; see above.")
    return Split(*held_out(list(usable.values()), seed), list(usable))


def held_out(files: Sequence[Path], seed: int) -> tuple[list[Path], list[Path]]:
    """Divide files at random into those to train on and those held out, one in `HELD_OUT`, rounded
    up. A single file is both."""
    if len(files) == 1:
        return list(files), list(files)
    order = np.random.default_rng(seed).permutation(len(files))
    held = {files[n] for n in order[: -(-len(files) // HELD_OUT)]}
    return [file for file in files if file not in held], [file for file in files if file in held]


def adapt(
    model: MirrorNet,
    plant: str,
    folder: Path,
    split: Split,
    out: Path,
    progress: Progress,
    seed: int = 0,
    resume: bool = False,
    device: str = "auto",
    where: str = LOCAL,
) -> MirrorNet:
    """Fine-tune `model` on the training files of `split`; see `fine_tune`.

    Args:
        model: the model to start from, for recordings.
        plant: name or file of the plant.
        folder: the folder of the recordings, relative to which the run's card names them.
        split: the recordings.
        out: the run's folder.
        progress: receives progress events and can cancel the training.
        seed: random seed of excerpts and training.
        resume: whether to continue a run in `out`.
        device: "auto", "cpu" or "cuda".
        where: where the plants play, as in `Pool`.

    Returns:
        The fine-tuned model.

    Raises:
        AudioError: when no notes are found in any recording.
        OutputError: when `out` cannot be used.
    """
    recipe = FineTuningRecipe()
    with progress.stage("Reading", len(split.learned_from)) as stage:

        def spectrograms() -> Iterator[Float[np.ndarray, "channel=176 frame"]]:
            for number, file in enumerate(split.learned_from, 1):
                yield hear_recording(load_audio(file, EXPORT_RATE_HZ), EXPORT_RATE_HZ)
                stage.at(number)

        excerpts = cut(model, spectrograms(), recipe.most_excerpts, seed)
    about = {
        "recordings": [str(file.relative_to(folder)) for file in split.learned_from],
        "held_out": [str(file.relative_to(folder)) for file in split.judged_by],
        "sounds_sha256": split.sounds_sha256,
    }
    rate_hz = find_plant(plant).own_rate_hz or RECORDING_RATE_HZ
    options = {"controls": model.controls.name, "sample_rate_hz": rate_hz}
    with Pool(plant, progress=progress, where=where, **options) as pool:
        return fine_tune(recipe, model, pool, excerpts, out, about, seed, resume, device)


def compare(
    plant: Plant,
    models: Models,
    folder: Path,
    files: Sequence[Path],
    out: Path,
    progress: Progress,
) -> Scores:
    """Match files of a folder with several models, without refinement; return for each file the
    spectrogram error of each model, by its name.

    Matches, a page of them and `scores.json` go into `out`; matches that are there are kept. A file
    that cannot be matched is reported and left out. Raises MirrorNetError if none can be matched.
    """
    scores: Scores = {}
    with progress.stage("Comparing", len(files)) as stage:
        for number, file in enumerate(files, 1):
            name = file.relative_to(folder)
            try:
                scores[str(name)] = {
                    what: _error(plant, model, file, out / name / what)
                    for what, model in models.items()
                }
            except (AudioError, PlantError) as error:
                progress.say(f"left out a file: {error}")
            stage.at(number)
    if not scores:
        raise MirrorNetError(f"none of the {len(files)} files held out can be matched; see above.")
    text = json.dumps({"spectrogram_error": scores}, indent=2) + "\n"
    write_atomically(out / "scores.json", lambda path: path.write_text(text))
    page = _page(scores, list(models)).encode("utf-8", "backslashreplace")  # undecodable file names
    write_atomically(out / PAGE, lambda path: path.write_bytes(page))
    return scores


def means(scores: Scores) -> dict[str, float]:
    """Return the mean spectrogram error over files, for each model."""
    names = next(iter(scores.values()))
    return {name: float(np.mean([of_file[name] for of_file in scores.values()])) for name in names}


def _error(plant: Plant, model: MirrorNet, file: Path, out: Path) -> float:
    if not (out / "controls.json").is_file():
        match_recording(file, plant, model).save(out)
    card = json.loads((out / "controls.json").read_bytes())
    if (error := card["distances"]["spectrogram_error"]) is None:
        raise AudioError(f"how close the match of {file.name} is could not be measured.")
    return error


def _page(scores: Scores, models: Sequence[str]) -> str:
    head = "".join(f"<th>{escape(name)}</th>" for name in ("file", "your sound", *models))
    rows = []
    for file, errors in scores.items():
        place = quote(os.fsencode(Path(file).as_posix()))
        cells = [escape(file), _player(f"{place}/{models[0]}/target.wav")]
        for name in models:
            page = f'<a href="{place}/{name}/report.html">{percent(errors[name])}</a>'
            cells.append(f"{page} {_player(f'{place}/{name}/match.wav')}")
        rows.append("".join(f"<td>{cell}</td>" for cell in cells))
    average = "".join(f"<th>{percent(error)}</th>" for error in means(scores).values())
    rows.append(f"<th>mean</th><th></th>{average}")
    body = "".join(f"<tr>{row}</tr>" for row in rows)
    about = (
        "<p>Sounds that were not learned from (unless there was but one), as they are matched "
        "without refinement: how far, in % of the spectrogram’s variance.</p>"
    )
    return table_page("Before and after listening", f"{about}<table><tr>{head}</tr>{body}</table>")


def _player(sound: str) -> str:
    return f'<audio controls preload="none" src="{sound}"></audio>'
