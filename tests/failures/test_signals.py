"""SIGTERM and SIGHUP end a command as Ctrl-C does: nothing is lost, and nothing left over."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from mirrornet.app.interrupts import deferred_interrupt, endings_interrupt
from mirrornet.models import mirrornet as mirror
from mirrornet.models.mirrornet import MirrorNet
from mirrornet.plants.vital import SET1

MELODY = Path(mirror.__file__).parents[1] / "data" / "demo-melody.flac"
pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="signals of POSIX")
ENDINGS = [signal.SIGTERM, signal.SIGHUP]


def command(folder: Path, what: str, at: str, sent: str) -> subprocess.CompletedProcess:
    """`mirrornet match` that is sent a signal `at` a function's second call, from within."""
    MirrorNet("vital", SET1).save(folder / "model.json", {})
    home, _, name = at.rpartition(".")
    program = f"""if True:
        import importlib, os, signal, sys
        from mirrornet.app.cli import main
        home = importlib.import_module("{home}")
        work, calls = home.{name}, []
        def interrupted(*arguments, **options):
            calls.append(1)
            if len(calls) == 2:
                os.kill(os.getpid(), signal.{sent})
            return work(*arguments, **options)
        home.{name} = interrupted
        sys.exit(main({what.split()!r}))
    """
    return subprocess.run(
        [sys.executable, "-c", program], cwd=folder, capture_output=True, text=True, check=False
    )


MATCH = f"match {MELODY} --model model.json --out out --refine 300"


@pytest.mark.slow
@pytest.mark.parametrize("ending", ENDINGS)
def test_the_best_so_far_is_saved(tmp_path, ending):
    said = command(
        tmp_path, MATCH, "mirrornet.matching.match.hear", ending.name
    )  # not yet refining
    assert said.returncode == 128 + ending
    assert said.stderr.endswith("mirrornet: stopped.\n")
    assert all(name.startswith("model") for name in os.listdir(tmp_path))
    said = command(tmp_path, MATCH, "mirrornet.matching.objective.hear", ending.name)
    assert said.returncode == 0
    assert "Stopping with the best so far" in said.stderr
    assert {"report.html", "match.wav"} <= set(os.listdir(tmp_path / "out"))
    assert not [name for name in os.listdir(tmp_path) if name.startswith(".")]


@pytest.mark.slow
@pytest.mark.parametrize("ending", [signal.SIGINT, *ENDINGS])
def test_a_file_under_way_is_left_nowhere_or_whole(tmp_path, ending):
    said = command(
        tmp_path, MATCH.replace("300", "2"), "mirrornet.export.files._write", ending.name
    )
    assert said.returncode == 128 + ending
    assert {"report.html", "match.wav"} <= set(os.listdir(tmp_path / "out"))
    assert not [name for name in os.listdir(tmp_path) if name.startswith(".")]


@pytest.mark.slow
def test_learning_keeps_what_it_learned(tmp_path):
    program = """if True:
        import os, signal, sys
        from mirrornet.app.cli import main
        from mirrornet.app.commands import learn
        from mirrornet.training import melodies
        learn.SEED_TARGETS = 3
        plan = melodies.MirrorRecipe(babble=4, epochs=9, batch=2, batch_e_c=2, rounds=1)
        melodies.RECIPES["mirror"]["quick"] = plan
        work = melodies.batch_rows
        def interrupted(step, *arguments):
            if step == 3 and arguments[-1] == 0:  # once
                os.kill(os.getpid(), signal.SIGTERM)
            return work(step, *arguments)
        melodies.batch_rows = interrupted
        if __name__ == "__main__":
            sys.exit(main(["learn", "--out", "mine"]))
    """
    said = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert said.returncode == 143, said.stderr
    assert said.stderr.endswith("add --resume to the same command.\n")
    assert list((tmp_path / "mine").rglob("state.json"))


def test_hanging_up_is_ignored_where_nohup_says_so(monkeypatch):
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with endings_interrupt(), deferred_interrupt() as interrupt:
            os.kill(os.getpid(), signal.SIGHUP)
            assert not interrupt.asked
            assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_program_s_own_handlers_stay_its_own(ending):
    heard = []
    before = signal.signal(ending, lambda signum, frame: heard.append(signum))
    try:
        with endings_interrupt(), deferred_interrupt() as interrupt:
            os.kill(os.getpid(), ending)
        assert heard == [ending]
        assert not interrupt.asked
    finally:
        signal.signal(ending, before)


@pytest.mark.parametrize("ending", ENDINGS)
def test_handlers_are_given_back(ending):
    before = signal.getsignal(ending), signal.getsignal(signal.SIGINT)

    def asked_twice() -> None:
        with deferred_interrupt() as interrupt:
            os.kill(os.getpid(), ending)
            assert interrupt.asked
            os.kill(os.getpid(), ending)

    with endings_interrupt() as ended:
        with pytest.raises(KeyboardInterrupt):
            asked_twice()
        assert ended.signum == ending
    assert (signal.getsignal(ending), signal.getsignal(signal.SIGINT)) == before


def test_a_signal_while_handlers_are_being_set_is_heard(monkeypatch):
    before = signal.getsignal(signal.SIGINT)
    register, sent = signal.signal, []

    def sends_one(number, handler):
        old = register(number, handler)
        if not sent:
            sent.append(number)
            signal.raise_signal(signal.SIGINT)
        return old

    with endings_interrupt():
        monkeypatch.setattr(signal, "signal", sends_one)
        with deferred_interrupt() as interrupt:
            monkeypatch.undo()
            assert interrupt.asked
    assert signal.getsignal(signal.SIGINT) is before
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
