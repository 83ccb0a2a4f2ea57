"""What may be spent on an answer, by count, by time, or until Ctrl-C."""

import os
import signal

import pytest

from mirrornet.budget import Allowance, allowed


class Clock:
    """It stands until it is moved."""

    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def test_renders_are_counted():
    allowance = Allowance(2)
    assert allowance.left == 2
    allowance.spend(0.5)
    allowance.spend(0.4)
    assert allowance.left == 0
    allowance.spend(0.3)
    assert allowance.left == 0
    assert not Allowance(0).left
    assert Allowance().left > 1 << 40


def test_time_promises_as_many_renders_as_the_pace_allows():
    clock = Clock()
    allowance = Allowance(None, 10.0, clock=clock)
    assert allowance.left == 1  # nothing is known yet
    clock.now_s += 2
    allowance.spend(0.5)
    assert allowance.left == 4
    clock.now_s += 7.5
    assert allowance.left == 1
    clock.now_s += 1
    assert allowance.left == 0


def test_of_renders_and_time_the_first_to_end_counts():
    clock = Clock()
    allowance = Allowance(3, 10.0, clock=clock)
    clock.now_s += 1
    allowance.spend(0.5)
    assert allowance.left == 2
    clock.now_s += 10
    assert allowance.left == 0


def press_ctrl_c(times: int) -> None:
    """While something is allowed, and see that the first time ends it."""
    with allowed(100, None) as allowance:
        allowance.spend(0.25)
        for _ in range(times):
            os.kill(os.getpid(), signal.SIGINT)
            assert allowance.left == 0


def test_the_first_ctrl_c_ends_it_and_the_second_interrupts(capsys):
    press_ctrl_c(1)
    assert "best so far" in capsys.readouterr().err
    with pytest.raises(KeyboardInterrupt):
        press_ctrl_c(2)
