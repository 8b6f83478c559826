"""Asking an Optuna study for configurations."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.trial import TrialState

from hpo.search.patience import Patience
from hpo.search.samplers.choice import alike
from hpo.search.samplers.threads import one_thread
from hpo.search.study_sync import DRIVER, rejected, trial_id, unfinished
from hpo.store.database.memory_study import save
from hpo.trials.messages import TrialRequest

MAX_REJECTED_IN_A_ROW = 100  # after which the space is taken to hold nothing that fits


@dataclass(frozen=True)
class AskedTrial:
    """A trial that the study was asked for."""

    request: TrialRequest
    optuna_trial: optuna.Trial

    @property
    def trial_id(self) -> str:
        return self.request.trial_id

    def in_group_of(self, size: int) -> AskedTrial:
        """The same, with how many trials its group begins with."""
        return replace(self, request=replace(self.request, group_size=size))

    def that_pauses_at(self, rungs: Sequence[int]) -> AskedTrial:
        """The same, with the epochs after which it pauses."""
        return replace(self, request=replace(self.request, pauses_at=tuple(rungs)))


class Asker:
    """Asks a study for at most so many configurations.

    A trial that a killed driver left waiting in the study comes first, under its own number and with its own
    hyperparameters.
    """

    def __init__(
        self,
        study: optuna.Study,
        distributions: Mapping[str, BaseDistribution],
        *,
        wanted: int,
        fits: Callable[[Mapping[str, Any]], bool] = lambda _: True,
        driver: str | None = None,
        patience: Patience | None = None,
    ) -> None:
        """wanted: how many trials to ask for. fits: says whether a configuration has few enough parameters; one that
        has not is told as pruned, so that the sampler learns to avoid it, and is no trial of the run. driver: the id of
        this run in a study that others work on too: its trials carry it."""
        self.study, self.distributions, self.wanted = study, dict(distributions), wanted
        self.fits, self.driver, self.patience = fits, driver, patience or Patience()

    def ask(self) -> AskedTrial:
        """Draws the next configuration. Raises RuntimeError where none that fits is found, and the storage's errors."""
        trial = self._ask_for_one_that_fits()
        self.patience.call(lambda: save(self.study))  # a trial that is handed out is in the database
        self.wanted -= 1
        request = TrialRequest(
            trial_id=trial_id(self.study, trial.number),
            number=trial.number,
            params=dict(trial.params),
            asked_at=time.time(),
        )
        return AskedTrial(request, trial)

    def ask_alike(self, shape: Mapping[str, Any]) -> AskedTrial:
        """As `ask`, with these hyperparameters given."""
        with self._sampling_with(shape):
            return self.ask()

    def count_waiting(self) -> int:
        """How many trials wait in the study."""
        return sum(t.state == TrialState.WAITING for t in self.patience.call(lambda: unfinished(self.study)))

    def known_values(self, rungs: Sequence[int], besides: set[int]) -> dict[int, tuple[float, ...]]:
        """By rung: the values that trials have on it, but those of these numbers."""
        trials = self.patience.call(lambda: self.study.get_trials(deepcopy=False))
        others = [trial.intermediate_values for trial in trials if trial.number not in besides]
        return {rung: tuple(values[rung] for values in others if rung in values) for rung in rungs}

    def _ask_for_one_that_fits(self) -> optuna.Trial:
        for _ in range(MAX_REJECTED_IN_A_ROW):
            with one_thread():
                trial = self.patience.call(lambda: self.study.ask(fixed_distributions=self.distributions))
            if self.driver:
                self.patience.call(partial(trial.set_user_attr, DRIVER, self.driver))
            if self.fits(trial.params):
                return trial
            self.patience.call(partial(self.study.tell, trial, state=rejected(self.study)))
        raise RuntimeError(
            f"{MAX_REJECTED_IN_A_ROW} configurations in a row have more parameters than --max-parameters allows"
        )

    @contextmanager
    def _sampling_with(self, shape: Mapping[str, Any]) -> Iterator[None]:
        sampler = self.study.sampler
        self.study.sampler = alike(dict(shape), sampler)
        try:
            yield
        finally:
            self.study.sampler = sampler
