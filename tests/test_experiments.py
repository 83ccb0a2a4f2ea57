"""The experiments run from end to end, tiny, on the real synthesizer."""

import json

import numpy as np
import pytest

from mirrornet.errors import OutputError, PlantError
from mirrornet.experiments import evaluation, experiment1
from mirrornet.learning import RECIPES, MirrorRecipe, PaperRecipe

TINY = {
    "mirror": MirrorRecipe(babble=16, epochs=2, batch=8, batch_e_c=4, rounds=1, round_steps=2),
    "paper": PaperRecipe(rounds=1, decoder_epochs=1, encoder_epochs=1),
}


@pytest.fixture(autouse=True)
def _tiny(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(experiment1, "TARGETS", 6)
    monkeypatch.setattr(experiment1, "HELD_OUT", 4)
    monkeypatch.setattr(experiment1, "SHOWN", 1)
    for recipe, plan in TINY.items():
        monkeypatch.setitem(RECIPES[recipe], "quick", plan)


@pytest.mark.parametrize("recipe", ["mirror", "paper"])
def test_experiment_1_scores_beside_the_baselines_and_resumes_to_the_same(recipe, capsys):
    path = experiment1.run_experiment(recipe)
    result = json.loads(path.read_text())
    assert path.name == f"experiment-1-{recipe}-quick-seed-0.json"
    assert set(result["scores"]) == {"mirrornet", "constant", "random", "floor"}
    floor = result["scores"]["floor"]
    assert floor["notes_right"] == 1
    assert floor["spectrogram_error"] < 1e-6 < result["scores"]["random"]["spectrogram_error"]
    assert all(errors["r2"] == 1 for errors in floor["controls"].values())
    assert {"e_c", "e_d"} < set(result["scores"]["mirrornet"])
    assert result["plant_renders"] == {"mirror": 6 + 16, "paper": 6 + 6}[recipe]
    folder = path.with_suffix("")
    names = {file.name for file in folder.iterdir()}
    assert names == {"panels.png", "input-1.wav", "output-1.wav"}
    assert "random controls" in capsys.readouterr().out

    with pytest.raises(OutputError, match="--resume"):
        experiment1.run_experiment(recipe)
    again = json.loads(experiment1.run_experiment(recipe, resume=True).read_text())
    assert again["scores"] == result["scores"]
    assert again["learning_minutes"] >= result["learning_minutes"] - 0.1  # rounded


def test_a_score_never_leaves_out_what_the_plant_failed_on(monkeypatch):
    def listen(farm, controls, hearing, what):
        return controls[1:], np.zeros((len(controls) - 1, 128, 250))

    monkeypatch.setattr(evaluation, "listen", listen)
    with pytest.raises(PlantError, match="nothing is scored"):
        experiment1.run_experiment("mirror")
