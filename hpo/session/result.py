"""`StudyResult`: what came of a run, for a program."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpo.session.outcome import Outcome
from hpo.store.csv_tables import leaderboard_frame, trials_frame
from hpo.store.study_file import RunState
from hpo.system.errors import FAILED
from hpo.system.interrupt import interrupted_code
from hpo.trials.ranking import Ranked

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class StudyResult:
    """What came of a run."""

    frame: pd.DataFrame
    """Every trial, ranked, in the columns of trials.csv. Accuracies are fractions in [0, 1], losses mean nats per
    image, times seconds."""
    leaderboard: pd.DataFrame
    """The finals, in the columns of leaderboard.csv."""
    best: dict[str, Any] | None
    """The winner's hyperparameters; None if no trial was usable."""
    folder: Path
    """results/NAME."""
    state: RunState
    """complete, out of time, interrupted or failed."""
    error: str = ""
    """Why a run failed, or how to go on with it."""

    @classmethod
    def of(cls, ranked: list[Ranked], outcome: Outcome, folder: Path) -> StudyResult:
        """The result of a session that has ended. folder: results/NAME."""
        winner = ranked[0].record if ranked else None
        best = winner.config if winner and winner.usable else None
        leaderboard = leaderboard_frame(ranked, outcome.finalists)
        return cls(trials_frame(ranked), leaderboard, best, folder, outcome.state, outcome.error)

    @property
    def exit_code(self) -> int:
        """Of a command that ends with this result."""
        return {RunState.INTERRUPTED: interrupted_code(), RunState.FAILED: FAILED}.get(self.state, 0)
