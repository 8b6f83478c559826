"""Podium's search as it is: its searcher, its sampler and its rungs, on a study in memory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import optuna

from hpo.search.samplers.choice import seed_sampler
from hpo.search.samplers.experience import Lessons
from hpo.trials.asha import rungs
from hpo.trials.ladder import Ladder
from hpo.trials.messages import REPORTS, REQUEST, TrialRequest
from tests.benchmarks.lcbench.samplers import Space
from tests.benchmarks.lcbench.simulator import Job, Verdict
from tests.benchmarks.lcbench.surrogate import EPOCHS
from tests.helpers.reports import report
from tests.helpers.searching import make_searcher

NOTHING = Lessons()
NO_LIMIT = 10**9  # how many trials run at once is for the simulator to say


class PodiumSearch:
    """A strategy that asks the searcher what to train, as Tune does."""

    def __init__(self, space: Space, seed: int, sampler: str = "auto", *, lessons: Lessons = NOTHING) -> None:
        """lessons: of earlier searches."""
        study = optuna.create_study(study_name="lcbench", direction="maximize")
        seed_sampler(study, sampler, seed, rungs(EPOCHS), lessons.guesses)
        for config in lessons.first_configs:
            study.enqueue_trial(config)
        self.searcher = make_searcher(study, space, 0, ladder=Ladder(rungs(EPOCHS)))
        self.searcher.set_max_concurrency(NO_LIMIT)
        self.requests: dict[int, TrialRequest] = {}  # of those that train, by number
        self.values: dict[int, list[float]] = {}
        self.jobs: dict[int, str] = {}  # Tune's name for what trains now, by number
        self.count = 0

    def extend(self, trials: int) -> None:
        self.searcher.asker.wanted += trials

    def next_job(self) -> Job | None:
        self.count += 1
        handed_out = self.searcher.suggest(str(self.count))
        if not isinstance(handed_out, dict):
            return None
        (request,) = handed_out[REQUEST].trials
        self.requests[request.number], self.jobs[request.number] = request, str(self.count)
        return Job(request.number, request.params)

    def report(self, trial: int, epoch: int, accuracy: float) -> Verdict:
        self.values.setdefault(trial, []).append(accuracy)
        if epoch == EPOCHS:
            return self._end(trial, "completed", Verdict.COMPLETE)
        if epoch in self.requests[trial].pauses_at:
            return self._end(trial, "paused", Verdict.PAUSE)
        self.searcher.on_trial_result(self.jobs[trial], self._result(trial, "running"))
        return Verdict.CONTINUE

    def _end(self, trial: int, state: str, verdict: Verdict) -> Verdict:
        self.searcher.on_trial_complete(self.jobs[trial], self._result(trial, state))
        assert self.searcher.fault is None
        return verdict

    def _result(self, trial: int, state: str) -> Mapping[str, Any]:
        values = self.values[trial]
        said = report(
            state,
            (len(values), values[-1]),
            best=max(values),
            epochs=len(values),
            trial_id=self.requests[trial].trial_id,
        )
        return {REPORTS: [said]}
