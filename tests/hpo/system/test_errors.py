"""Which errors a command answers in one line, and with which exit code."""

from __future__ import annotations

import errno

import pytest
from cyclopts import App, CycloptsError

from cluster.errors import ClusterError
from hpo.system.errors import (
    BAD_INPUT,
    EXPECTED_ERRORS,
    FAILED,
    INTERRUPTED,
    USER_ERRORS,
    UserError,
    report_error,
    user_message,
)
from models.errors import ModelError
from trainers.errors import DataError


@pytest.mark.parametrize("kind", [UserError, DataError, ModelError, ClusterError])
def test_a_users_mistake_is_one_line(kind: type[Exception], capsys: pytest.CaptureFixture[str]) -> None:
    assert kind in USER_ERRORS and issubclass(kind, EXPECTED_ERRORS)
    assert report_error(kind("--x 1:\nis \x1b[2J none")) == BAD_INPUT == 2
    assert capsys.readouterr().err == "hpo: --x 1: is \\x1b[2J none\n"


def test_a_library_s_value_error_is_no_users_mistake() -> None:
    assert not isinstance(ValueError("of torch's"), EXPECTED_ERRORS)
    assert not isinstance(RuntimeError("of ours"), EXPECTED_ERRORS)


def test_what_the_machine_refuses_is_a_failure(capsys: pytest.CaptureFixture[str]) -> None:
    full = OSError(errno.ENOSPC, "No space left on device", "results/a")
    assert report_error(full) == FAILED == 1
    assert capsys.readouterr().err == "hpo: [Errno 28] No space left on device: 'results/a'\n"


def test_an_interrupt_needs_no_words(capsys: pytest.CaptureFixture[str]) -> None:
    assert report_error(KeyboardInterrupt()) == INTERRUPTED == 130
    assert capsys.readouterr().err == ""


def test_cyclopts_wraps_errors_of_ours() -> None:
    def refuse(*, x: int) -> None:
        raise UserError(f"--x {x}: must be over 9")

    app = App(result_action="return_value")
    app.default(refuse)
    with pytest.raises(CycloptsError) as caught:
        app(["--x", "many"], exit_on_error=False, print_error=False)
    assert user_message(caught.value).startswith("Invalid value") and "\n" not in user_message(caught.value)
    wrapped = CycloptsError(msg="wrapped")
    wrapped.__cause__ = UserError("--x 3: must be over 9")
    assert user_message(wrapped) == "--x 3: must be over 9"
