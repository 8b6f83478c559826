"""`StudyResult`: what came of a run, for a program."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpo.session.outcome import Outcome
from hpo.spec.resuming import stored_settings
from hpo.spec.study import StudySpec
from hpo.store.csv_tables import leaderboard_frame, trials_frame
from hpo.store.listing import is_worked_on
from hpo.store.places import RESULTS
from hpo.store.stored_run import read_run
from hpo.store.study_file import RunState
from hpo.system.errors import FAILED, UserError
from hpo.system.interrupt import interrupted_code
from hpo.trials.ranking import Ranked
from hpo.trials.records import is_hyperparameter
from hpo.views.figures import history_png
from hpo.views.formats import plural
from models import is_own
from trainers.config import LOWER_IS_BETTER

if TYPE_CHECKING:
    import pandas as pd

    from hpo.trials.finalists import Finalist

_SHOWN = 5  # trials, in a short table


@dataclass(frozen=True, repr=False)
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
        return cls._made(ranked, outcome.finalists, folder, outcome.state, outcome.error)

    @classmethod
    def _made(
        cls, ranked: list[Ranked], finalists: Sequence[Finalist], folder: Path, state: RunState, error: str
    ) -> StudyResult:
        winner = ranked[0].record if ranked else None
        best = winner.config if winner and winner.usable else None
        return cls(trials_frame(ranked), leaderboard_frame(ranked, finalists), best, folder, state, error)

    @property
    def exit_code(self) -> int:
        """Of a command that ends with this result."""
        return {RunState.INTERRUPTED: interrupted_code(), RunState.FAILED: FAILED}.get(self.state, 0)

    @property
    def how_to_go_on(self) -> str:
        """The line of Python that goes on with a run that has ended and is not complete; otherwise empty."""
        if self.state in (RunState.COMPLETE, RunState.RUNNING):
            return ""
        where = {} if self.folder.parent == RESULTS else {"results_dir": str(self.folder.parent)}
        settings = {"resume": self.folder.name, **where, **_own_code(self.folder)}
        return f"run_study(StudySpec.of({', '.join(f'{key}={value!r}' for key, value in settings.items())}))"

    def __repr__(self) -> str:
        """The state, the best trials and, where the run is not complete, how to go on with it."""
        table = self._short().to_string(index=False) if len(self.frame) else "no finished trial"
        return "\n".join((self._headline, table, *self._last_line))

    def _repr_html_(self) -> str:
        """The same in a notebook, with a picture of the search."""
        table = self._short().to_html(index=False) if len(self.frame) else "<p>no finished trial</p>"
        lines = "".join(f"<p>{escape(line)}</p>" for line in self._last_line)
        return f"<p>{escape(self._headline)}</p>{table}{lines}{self._picture()}"

    @property
    def _headline(self) -> str:
        trials = plural(len(self.frame), "finished trial")
        return f"{self.folder}: {self.state}, {trials}{f', best first: {_SHOWN}' if len(self.frame) > _SHOWN else ''}"

    @property
    def _last_line(self) -> tuple[str, ...]:
        return (f"to go on: {self.how_to_go_on}",) if self.how_to_go_on else ()

    def _short(self) -> pd.DataFrame:
        """The best trials, with the hyperparameters in which they differ."""
        best = self.frame.head(_SHOWN)
        config = [name for name in map(str, best) if is_hyperparameter(name) and best[name].nunique() > 1]
        return best[["rank", "trial_id", *self._metrics(), "parameters", "wall_time_s", "state", *config]]

    def _metrics(self) -> list[str]:
        """The columns of what was measured on validation images; that of the study's metric is the first."""
        return [name for name in map(str, self.frame) if name.startswith("val_") and name != "val_loss"]

    def _picture(self) -> str:
        """The trials and the best so far, in the order of their numbers; nothing where no trial has a value."""
        metric = self._metrics()[0]
        numbers = self.frame["trial_id"].str.rsplit("-", n=1).str[-1].astype(int)
        values = self.frame[metric].astype(float)[numbers.sort_values(kind="stable").index]
        if not values.notna().any():
            return ""
        png = history_png(metric, list(values), metric.removeprefix("val_") in LOWER_IS_BETTER)
        return f'<img src="data:image/png;base64,{base64.b64encode(png).decode()}" width="560">'


def load_run(run: Path | str) -> StudyResult:
    """What came of a run, from its files: NAME, results/NAME or another path. The run may still be at work.

    Raises UserError where there is no run.
    """
    stored = read_run(Path(run))
    state = RunState(stored.study["state"])
    if state is RunState.RUNNING and not is_worked_on(stored.path):
        state = RunState.INTERRUPTED  # its driver was killed
    return StudyResult._made(stored.ranked(), stored.finalists(), stored.path, state, "")


def _own_code(run: Path) -> dict[str, Any]:
    """The settings of a run that name code of the user's own, which runs only if it is named again."""
    try:
        spec = StudySpec.of(**stored_settings(run.parent, run.name))
    except (UserError, OSError):
        return {}
    models = list(spec.search.model) if any(map(is_own, spec.search.model)) else []
    named = {flag.removeprefix("--"): values for flag, values in spec.own_functions}
    own = {key: list(values) if len(values) > 1 else values[0] for key, values in named.items()}
    return {**({"model": models} if models else {}), **own}
