"""The experiments run from end to end, tiny, on the real synthesizer."""

import json

import numpy as np
import pytest

from mirrornet.app.cli import main
from mirrornet.errors import MirrorNetError, OutputError, PlantError
from mirrornet.experiments import evaluation, run, settings
from mirrornet.experiments.settings import SETTINGS, find_setting
from mirrornet.training import melodies
from mirrornet.training.melodies import RECIPES, MirrorRecipe, PaperRecipe

TINY = {
    "mirror": MirrorRecipe(babble=16, epochs=2, batch=8, batch_e_c=4, rounds=1, round_steps=2),
    "paper": PaperRecipe(rounds=1, decoder_epochs=1, encoder_epochs=1),
}
FIELD = {"mss_db", "wmfcc", "sot", "rms_cosine"}


@pytest.fixture(autouse=True)
def _tiny(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(settings, "TARGETS", 6)
    monkeypatch.setattr(settings, "HELD_OUT", 4)
    monkeypatch.setattr(run, "SHOWN", 1)
    monkeypatch.setattr(melodies, "LISTENING_BABBLE", 8)
    monkeypatch.setattr(evaluation, "REFINED", (3,))
    for recipe, plan in TINY.items():
        monkeypatch.setitem(RECIPES[recipe], "quick", plan)


@pytest.mark.slow
@pytest.mark.parametrize("recipe", ["mirror", "paper"])
def test_experiment_1_scores_beside_the_baselines_and_resumes_to_the_same(recipe, capsys):
    pytest.importorskip("librosa")
    setting = find_setting(1)
    path = run.run_experiment(setting, recipe)
    result = json.loads(path.read_text())
    assert path.name == f"experiment-1-own-{recipe}-quick-seed-0.json"
    trivial = {"constant", "random", "floor"}
    ours = {"before", "encoder", "imagined", "refined 3"}
    assert set(result["scores"]) == trivial | ({"encoder"} if recipe == "paper" else ours)
    floor = result["scores"]["floor"]
    assert floor["notes_right"] == 1
    assert floor["spectrogram_error"] < 1e-6 < result["scores"]["random"]["spectrogram_error"]
    assert all(errors["r2"] == 1 for errors in floor["controls"].values())
    assert (floor["mss_db"], floor["rms_cosine"]) == pytest.approx((0, 1), abs=1e-3)
    assert all(set(score) >= FIELD for score in result["scores"].values())
    assert {"e_c", "e_d"} < set(result["scores"]["encoder"])
    assert result["plant_renders"] == {"mirror": 6 + 16, "paper": 6}[recipe]
    folder = path.with_suffix("")
    names = {file.name for file in folder.iterdir()}
    assert names == {"panels.png", "input-1.wav", "output-1.wav"}
    if recipe == "mirror":
        errors = [result["scores"][name]["spectrogram_error"] for name in ("encoder", "refined 3")]
        assert errors[1] < errors[0]

    with pytest.raises(OutputError, match="--resume"):
        run.run_experiment(setting, recipe)
    assert main(["experiment", "1", "--recipe", recipe, "--resume"]) == 0
    assert "duration error (ms)" in capsys.readouterr().out
    # Sums over threads may differ in their last bits.
    again = json.loads(
        path.read_text(), parse_float=lambda x: pytest.approx(float(x), rel=1e-6, abs=1e-9)
    )
    assert again["scores"] == result["scores"]
    assert again["learning_cpu_s"] == result["learning_cpu_s"]


@pytest.mark.slow
def test_another_instrument_is_listened_to_from_weights_that_know_the_plant():
    pytest.importorskip("tinysoundfont")
    pytest.importorskip("librosa")
    path = run.run_experiment(find_setting(3, "flute"), start="shipped")
    result = json.loads(path.read_text())
    assert path.name == "experiment-3-flute-mirror-shipped-seed-0.json"
    assert "floor" not in result["scores"]
    assert result["scores"]["encoder"]["controls"] == {}
    assert result["plant_renders"] == 6 + 8
    assert (path.with_suffix("") / "panels.png").is_file()


@pytest.mark.slow
def test_the_papers_recipe_listens_to_another_instrument():
    pytest.importorskip("tinysoundfont")
    pytest.importorskip("librosa")
    result = json.loads(run.run_experiment(find_setting(3), "paper").read_text())
    assert 0 < result["scores"]["encoder"]["e_c"] < 10
    assert len(result["course"]) == TINY["paper"].rounds


@pytest.mark.slow
def test_vibrato_is_also_scored_where_it_is_audible():
    pytest.importorskip("librosa")
    path = run.run_experiment(find_setting(2, "ten"))
    scores = json.loads(path.read_text())["scores"]
    for name in ("vibrato_rate", "vibrato_depth", "vibrato_phase"):
        assert scores["floor"]["controls"][name]["r2_audible"] == 1
        assert 0 < scores["encoder"]["controls"][name]["audible"] < 1


@pytest.mark.slow
def test_seven_controls_are_scored_against_the_same_seven_of_ten():
    pytest.importorskip("librosa")
    path = run.run_experiment(find_setting(2, "seven-paper"), start="shipped")
    scores = json.loads(path.read_text())["scores"]
    assert list(scores["encoder"]["controls"]) == [
        "level",
        "cutoff",
        "resonance",
        "attack",
        "decay",
    ]
    assert scores["floor"]["notes_right"] == 1
    assert scores["floor"]["spectrogram_error"] > 1e-4  # without the vibrato


@pytest.mark.slow
def test_a_score_never_leaves_out_what_the_plant_failed_on(monkeypatch):
    pytest.importorskip("librosa")

    def listen(pool, controls, hearing, what):
        return controls[1:], np.zeros((len(controls) - 1, 128, 250))

    monkeypatch.setattr(evaluation, "listen", listen)
    with pytest.raises(PlantError, match="nothing is scored"):
        run.run_experiment(find_setting(1))


def test_settings_are_named_once_and_found():
    assert len({setting.name for setting in SETTINGS}) == len(SETTINGS)
    assert [find_setting(n).variant for n in (1, 2, 3)] == ["own", "ten", "rhodes"]
    with pytest.raises(MirrorNetError, match="variants rhodes"):
        find_setting(3, "kazoo")
    with pytest.raises(MirrorNetError, match="not 4"):
        find_setting(4)
