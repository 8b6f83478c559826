"""Trials that are trained together, ordinarily one: an epoch a step; the weak of several leave at the rungs."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial
from typing import Any

from hpo.store.checkpoints import CHECKPOINTS_KEPT, KEPT_WHILE_PAUSED, Checkpoints, begin_anew, is_due
from hpo.trials.asha import survivors
from hpo.trials.messages import GroupRequest, TrialReport
from hpo.trials.records import TrialState
from hpo.worker.running_trial import RunningTrial, check
from hpo.worker.settings import SearchSettings
from hpo.worker.timeout import Timeout
from hpo.worker.trainer_factory import make_group_trainer, take_up
from hpo.worker.worker_group import WorkerGroup
from models import trainable_parameters


class TrialGroup:
    """Keeps the weights of each trial's best epoch, and writes checkpoints at each rung.

    Trials that have a checkpoint go on from it. Those that end leave the group, which shrinks.
    """

    def __init__(
        self, data: Any, settings: SearchSettings, request: GroupRequest, peers: WorkerGroup | None = None
    ) -> None:
        """data: `TrainingData` on the settings' device. peers: the further workers, where a trial has several."""
        began = time.perf_counter()
        self.settings, self.request = settings, request
        checkpoints = Checkpoints(settings.checkpoints, check)
        states, warnings = self._load_states(checkpoints)
        self.trials = self._make_trials(began, states, warnings)
        self.timeout = Timeout(settings.trial_timeout, self.trials, checkpoints)
        with self.timeout:
            make = partial(make_group_trainer, data, settings, request.trials, peers)
            saved = [state["trainer"] for state in states if state]
            self.trainer, warning, goes_on = take_up(make, saved, peers)
        if saved and not goes_on:
            self.trials = self._make_trials(began, [None] * len(warnings), warnings)
        for trial in self.trials:
            trial.begins(trainable_parameters(self.trainer.model), warning)
        self.left = list(self.trials)  # as the trainer has them
        self._timed_until = began

    @property
    def epochs(self) -> int:
        """How many are trained."""
        return self.left[0].epochs if self.left else self.settings.epochs

    def step(self) -> list[TrialReport]:
        """Trains one epoch; returns a report of each trial, also of those that are over.

        Raises TimeoutError where the trial has taken too long, and whatever the network raises.
        """
        self.timeout.check()
        with self.timeout:
            return self._step()

    def fail(self, state: TrialState, error: str, traceback: str) -> list[TrialReport]:
        """Ends all trials that are still trained, because of an error; returns a report of each."""
        for trial in self.trials:
            trial.end(state, error, traceback)
        return [trial.report() for trial in self.trials]

    def close(self) -> None:
        self.trainer.close()

    def _make_trials(self, began: float, states: Sequence[Any], warnings: Sequence[str]) -> list[RunningTrial]:
        return [
            RunningTrial(self.settings, request, began, state, warning)
            for request, state, warning in zip(self.request.trials, states, warnings, strict=True)
        ]

    def _load_states(self, checkpoints: Checkpoints) -> tuple[Sequence[dict[str, Any] | None], list[str]]:
        """The trials' checkpoints, and warnings; those of another kind of trainer are of no use."""
        states, warnings = checkpoints.load_alike([request.trial_id for request in self.request.trials])
        if all(state is None or state.get("fused", False) == self.settings.is_fused for state in states):
            return states, warnings
        return begin_anew("its checkpoint is of another --fuse: the trial begins anew", warnings)

    def _step(self) -> list[TrialReport]:
        # What was finished when its worker died has nothing left to train.
        if self.left and self.epochs < self.settings.epochs and not self._pauses:
            for place, (trial, result) in enumerate(zip(self.left, self.trainer.step(), strict=True)):
                trial.add_epoch(result, partial(self.trainer.weights, place))
        self._judge()
        self._share_time()
        reports = [trial.report() for trial in self.trials]
        self._keep([trial for trial in self.left if not trial.is_over])
        return reports

    def _judge(self) -> None:
        """Saves the trials that are left, where that is due, and ends those that train no more."""
        is_late = time.time() >= self.settings.deadline
        is_last = self.epochs >= self.settings.epochs
        halves = self.settings.halving > 0 and self.epochs in self.settings.rungs
        sound = [trial for trial in self.left if not trial.has_diverged]
        if is_late or is_last or halves or self._pauses or is_due(self.epochs):
            self._save(sound)
        going_on = self._survivors(sound) if halves else sound
        for trial in self.left:
            if trial.has_diverged:
                trial.end(TrialState.DIVERGED, f"loss is not finite in epoch {trial.epochs}")
            elif is_last:
                trial.end(TrialState.COMPLETED)
            elif is_late or trial not in going_on:
                trial.end(TrialState.STOPPED)
            elif self._pauses:
                trial.end(TrialState.PAUSED)

    @property
    def _pauses(self) -> bool:
        """Whether the trial has come to an epoch after which it pauses; fused ones are stopped instead."""
        return not self.settings.is_fused and self.epochs in self.request.trials[0].pauses_at

    def _save(self, sound: list[RunningTrial]) -> None:
        keep = KEPT_WHILE_PAUSED if self._pauses else CHECKPOINTS_KEPT
        for place, trial in enumerate(self.left):
            if trial in sound:
                trial.save(self.trainer.save(place), keep)

    def _survivors(self, trials: list[RunningTrial]) -> list[RunningTrial]:
        scores, known = [trial.score for trial in trials], self.request.known.get(self.epochs, ())
        places = survivors(scores, known, self.settings.halving)
        return [trials[place] for place in places]

    def _share_time(self) -> None:
        """Shares what went by since the last time among all trials that were left."""
        now = time.perf_counter()
        for trial in self.left:
            trial.add_time((now - self._timed_until) / len(self.left))
        self._timed_until = now

    def _keep(self, trials: list[RunningTrial]) -> None:
        """Goes on with these alone."""
        if trials and len(trials) < len(self.left):
            self.trainer.keep([self.left.index(trial) for trial in trials])
        self.left = trials
