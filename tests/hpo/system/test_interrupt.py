"""Signals within one process, as a notebook or a test has them; tests/hpo/runs/test_signals.py has the command's."""

from __future__ import annotations

import signal
import sys
import threading

import pytest

from hpo.system.interrupt import exit_code, in_prompt, interrupted_code, interruptible, interrupting


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_asks_a_block_to_end(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with interruptible() as interrupted:
        assert not interrupted.is_set()
        signal.raise_signal(number)
        assert interrupted.is_set()
    assert signal.getsignal(number) is before


def test_the_second_one_ends_it_and_a_prompt_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "ps1", ">>> ", raising=False)
    assert in_prompt()
    with interruptible() as interrupted:
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert interrupted.is_set()


def test_outside_the_main_thread_nothing_is_changed() -> None:
    before = signal.getsignal(signal.SIGINT)
    seen: list[bool] = []

    def run() -> None:
        with interruptible() as interrupted, interrupting():
            seen.append(interrupted.is_set() or signal.getsignal(signal.SIGINT) is not before)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert seen == [False]


def test_sigterm_can_be_as_ctrl_c_is() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt) as caught, interrupting():
        signal.raise_signal(signal.SIGTERM)
    assert interrupted_code(caught.value) == 143 and interrupted_code(KeyboardInterrupt()) == 130
    assert signal.getsignal(signal.SIGTERM) is before


def test_exit_codes_are_those_of_shells() -> None:
    assert (exit_code(signal.SIGINT), exit_code(signal.SIGTERM), interrupted_code()) == (130, 143, 130)
