"""Early stopping, as Tune sees it: ASHA on its rungs, or nobody stopped."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import SimpleNamespace
from typing import Any

from optuna.trial import FrozenTrial
from ray.tune.schedulers import AsyncHyperBandScheduler, FIFOScheduler, TrialScheduler

from cluster.ray_private import asha_bracket, forget_trial
from hpo.trials.asha import GRACE_EPOCHS, REDUCTION_FACTOR, rungs
from hpo.trials.messages import EPOCHS, VALUE
from hpo.trials.records import TrialRecord


def make_scheduler(epochs: int, done: Iterable[TrialRecord], cut_short: Iterable[FrozenTrial]) -> TrialScheduler:
    """Makes ASHA with its rungs refilled from the trials of earlier sessions.

    done: those that are over. cut_short: those that were interrupted, as the study has them.
    """
    asha = RungScheduler(epochs)
    for record in done:
        asha.refill(record.trial_id, {epoch["epoch"]: epoch["val_accuracy"] for epoch in record.curve})
    for trial in cut_short:
        asha.refill(f"trial {trial.number}", trial.intermediate_values)
    return asha


class InOrder(FIFOScheduler):
    """Starts each trial on a worker of its own until there are enough, and then on one that is free.

    Tune's own hands a worker that is free to a trial whose worker is just starting, and ends that one: on a cluster,
    trials that are shorter than the start of a worker would all run on one node.
    """

    def choose_trial_to_run(self, tune_controller: Any, **_: Any) -> None:
        """None: Tune then looks for a worker for the newest trial, which has none yet."""


class RungScheduler(InOrder, AsyncHyperBandScheduler):
    """ASHA (Li et al., 2020) that looks at a trial on its rungs only.

    Tune's own would take the first result after a rung for the rung's: a resumed trial that goes on at epoch
    4 would stand on rung 3 with it, and on rung 1 with epoch 5, and could be stopped off any rung.
    """

    def __init__(self, epochs: int) -> None:
        super().__init__(
            time_attr=EPOCHS,
            metric=VALUE,
            mode="max",
            max_t=epochs,
            grace_period=GRACE_EPOCHS,
            reduction_factor=REDUCTION_FACTOR,
        )
        self.rungs = rungs(epochs)

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        if result[EPOCHS] not in self.rungs:
            return TrialScheduler.CONTINUE
        return super().on_trial_result(tune_controller, trial, result)

    def on_trial_complete(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> None:
        forget_trial(self, trial.trial_id)

    def refill(self, trial_id: str, values: Mapping[int, float | None]) -> None:
        """Puts an earlier session's values, by epoch, on their rungs."""
        bracket = asha_bracket(self)
        trial: Any = SimpleNamespace(trial_id=trial_id)
        for epoch in self.rungs:
            if (value := values.get(epoch)) is not None:
                bracket.on_result(trial, epoch, value)
