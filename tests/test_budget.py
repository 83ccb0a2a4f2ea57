"""What may be spent on an answer, by count, by time, or until it is cancelled."""

import os
import signal

import pytest

from mirrornet.app.console import Console
from mirrornet.budget import Budget, budgeted


class Clock:
    """It stands until it is moved."""

    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def test_renders_are_counted():
    budget = Budget(2)
    assert budget.left == 2
    budget.spend(0.5)
    budget.spend(0.4)
    assert budget.left == 0
    budget.spend(0.3)
    assert budget.left == 0
    assert not Budget(0).left
    assert Budget().left > 1 << 40


def test_time_promises_as_many_renders_as_the_pace_allows():
    clock = Clock()
    budget = Budget(None, 10.0, clock=clock)
    assert budget.left == 1  # nothing is known yet
    clock.now_s += 2
    budget.spend(0.5)
    assert budget.left == 4
    clock.now_s += 7.5
    assert budget.left == 1
    clock.now_s += 1
    assert budget.left == 0


def test_of_renders_and_time_the_first_to_end_counts():
    clock = Clock()
    budget = Budget(3, 10.0, clock=clock)
    clock.now_s += 1
    budget.spend(0.5)
    assert budget.left == 2
    clock.now_s += 10
    assert budget.left == 0


def press_ctrl_c(times: int) -> None:
    """While a budget is spent, and see that the first time ends it."""
    with budgeted(Console().progress, 100, None) as budget:
        budget.spend(0.25)
        for _ in range(times):
            os.kill(os.getpid(), signal.SIGINT)
            assert budget.left == 0


def test_the_first_ctrl_c_ends_it_and_the_second_interrupts(capsys):
    press_ctrl_c(1)
    assert "best so far" in capsys.readouterr().err
    with pytest.raises(KeyboardInterrupt):
        press_ctrl_c(2)
