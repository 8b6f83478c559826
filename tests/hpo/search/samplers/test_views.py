"""What samplers are shown of a study's trials."""

from __future__ import annotations

from typing import Any

import optuna
import pytest
from optuna.samplers import RandomSampler
from optuna.trial import FrozenTrial, TrialState, create_trial

from hpo.search.samplers.views import BEST, LOOKED_THROUGH_AFTER, NEWEST, best_and_newest, paused_as_pruned


class Watching(RandomSampler):
    """Remembers what it was shown."""

    def sample_relative(self, study: optuna.Study, trial: FrozenTrial, search_space: Any) -> dict[str, Any]:
        self.seen = {other.number: other.state for other in study.get_trials(deepcopy=False)}
        return {}


def shown(study: optuna.Study) -> dict[int, TrialState]:
    """The states of the trials that its sampler sees, but for the one that is asked for."""
    number = study.ask({"x": optuna.distributions.FloatDistribution(0, 1)}).number
    seen: dict[int, TrialState] = study.sampler.sampler.seen  # type: ignore[attr-defined]
    return {other: state for other, state in seen.items() if other != number}


@pytest.mark.parametrize("direction", ["maximize", "minimize"])
def test_of_many_trials_the_best_and_the_newest_are_seen(direction: str) -> None:
    study = optuna.create_study(direction=direction, sampler=best_and_newest(Watching(seed=0)))
    study.ask()
    sign = 1 if direction == "maximize" else -1
    study.add_trials([create_trial(value=-sign * number) for number in range(BEST + NEWEST - 3)])
    assert len(shown(study)) == BEST + NEWEST - 2  # all of them
    pruned = [create_trial(state=TrialState.PRUNED, intermediate_values={1: sign * n}) for n in range(200)]
    study.add_trials([*pruned, create_trial(state=TrialState.FAIL)])
    seen = shown(study)
    finished = [trial.number for trial in study.trials if trial.state.is_finished()]
    running = {number for number, state in seen.items() if state == TrialState.RUNNING}
    assert len(running) == 2
    # The first ones are the best, and any that is whole is better than a pruned one.
    assert seen.keys() - running == {*finished[:BEST], *finished[-NEWEST:]}
    study.add_trials([create_trial(value=0.0)] * LOOKED_THROUGH_AFTER)
    assert len(shown(study)) <= BEST + NEWEST + 5


def test_paused_trials_are_seen_as_pruned() -> None:
    paused = {1}
    study = optuna.create_study(sampler=paused_as_pruned(Watching(seed=0), lambda: paused))
    for _ in range(3):
        study.ask()
    states = [TrialState.RUNNING, TrialState.PRUNED, TrialState.RUNNING]
    assert list(shown(study).values()) == states
    assert study.trials[1].state == TrialState.RUNNING
    paused.clear()
    assert set(shown(study).values()) == {TrialState.RUNNING}
