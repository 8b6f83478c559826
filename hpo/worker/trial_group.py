"""Trials that are trained together, ordinarily one: an epoch a step; the weak of several leave at the rungs."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from hpo.store.checkpoints import Checkpoints, begin_anew
from hpo.trials.asha import survivors
from hpo.worker.running_trial import RunningTrial, check
from hpo.worker.timeout import Timeout
from hpo.worker.trainer_factory import make_array_trainer, take_up
from hpo.worker.worker_group import WorkerGroup
from models import trainable_parameters


class TrialGroup:
    """The lanes that are trained together, ordinarily one: keeps the weights of each one's best epoch, and writes
    checkpoints at each rung, where the weak ones of several leave.

    settings: what all trials of an architecture share (hpo/search/tuning.py makes it). known: of each rung, the
    accuracies that other trials had on it.
    """

    def __init__(
        self,
        data: Any,
        settings: dict[str, Any],
        lanes: Sequence[dict[str, Any]],
        known: Mapping[int, Sequence[float]] | None = None,
        peers: WorkerGroup | None = None,
    ) -> None:
        began = time.perf_counter()
        self.settings, self.known = settings, known or {}
        checkpoints = Checkpoints(settings["checkpoints"], check)
        states, warnings = self._checkpointed([lane["trial_id"] for lane in lanes], checkpoints)
        self.lanes = self._make_lanes(lanes, began, states, warnings)
        self.timeout = Timeout(settings, self.lanes, checkpoints)
        with self.timeout:
            make = partial(make_array_trainer, data, settings, lanes, peers)
            saved = [state["trainer"] for state in states if state]
            self.trainer, said, goes_on = take_up(make, saved, peers)
        if saved and not goes_on:
            self.lanes = self._make_lanes(lanes, began, [None] * len(lanes), warnings)
        self.left = list(self.lanes)  # as the trainer has them
        self._describe_lanes(said, began)
        self._shared_until = began

    @property
    def epochs(self) -> int:
        return len(self.left[0].fitted.curve) if self.left else self.settings["epochs"]

    def step(self) -> list[dict[str, Any]]:
        """Trains one epoch; a report for each lane, also for those that are over."""
        self.timeout.check()
        with self.timeout:
            return self._step()

    def close(self) -> None:
        self.trainer.close()

    def _make_lanes(
        self, lanes: Sequence[dict[str, Any]], began: float, states: Sequence[Any], warnings: Sequence[str]
    ) -> list[RunningTrial]:
        return [
            RunningTrial(self.settings, lane, began, state, warning)
            for lane, state, warning in zip(lanes, states, warnings, strict=True)
        ]

    def _describe_lanes(self, said: str, began: float) -> None:
        """What each lane's row says of the trainer, now that there is one."""
        parameters = trainable_parameters(self.trainer.model)
        for lane in self.lanes:
            lane.warn(said)
            lane.parameters, lane.lanes = parameters, lane.lane.get("lanes", 1)
            lane.setup_s = time.perf_counter() - began

    def _checkpointed(
        self, trial_ids: Sequence[str], checkpoints: Checkpoints
    ) -> tuple[Sequence[dict[str, Any] | None], list[str]]:
        """The lanes' states, and what is to be said of them; those of another kind of trainer are of no use."""
        states, warnings = checkpoints.load_alike(trial_ids)
        fused = self.settings["lanes"] > 1
        if all(state is None or state.get("fused", False) == fused for state in states):
            return states, warnings
        return begin_anew("its checkpoint is of another --fuse: the trial begins anew", warnings)

    def _step(self) -> list[dict[str, Any]]:
        # What was finished when its worker died has nothing left to train.
        if self.left and self.epochs < self.settings["epochs"]:
            for place, (lane, result) in enumerate(zip(self.left, self.trainer.step(), strict=True)):
                lane.fitted.add(result, partial(self.trainer.weights, place))
        states = self._judged()
        self._share_time()
        reports = [lane.last or lane.report(*states[id(lane)]) for lane in self.lanes]
        for lane, report in zip(self.lanes, reports, strict=True):
            lane.last = report if report["state"] != "running" else None
        self._keep([lane for lane in self.left if not lane.last])
        return reports

    def _judged(self) -> dict[int, tuple[str, str]]:
        """What becomes of each lane that is left: its state, and an error."""
        late = time.time() >= self.settings["deadline"]
        on_rung, last = self.epochs in self.settings["rungs"], self.epochs >= self.settings["epochs"]
        sound = [lane for lane in self.left if not lane.fitted.diverged]
        if late or last or on_rung:
            for place, lane in enumerate(self.left):
                if lane in sound:
                    lane.save(self.trainer.save(place))
        going_on = self._survivors(sound) if on_rung and self.settings["halving"] else sound
        states = {id(lane): ("diverged", f"loss is not finite in epoch {self.epochs}") for lane in self.left}
        for lane in sound:
            ended = "completed" if last else "stopped" if late or lane not in going_on else "running"
            states[id(lane)] = ended, ""
        return states

    def _survivors(self, lanes: list[RunningTrial]) -> list[RunningTrial]:
        accuracies = [lane.fitted.curve[-1].val_accuracy for lane in lanes]
        places = survivors(accuracies, self.known.get(self.epochs, ()), self.settings["halving"])
        return [lanes[place] for place in places]

    def _share_time(self) -> None:
        """What went by since the last time is of all lanes that were left."""
        now = time.perf_counter()
        for lane in self.left:
            lane.share_s += (now - self._shared_until) / len(self.left)
        self._shared_until = now

    def _keep(self, lanes: list[RunningTrial]) -> None:
        """Goes on with these: the arrays shrink to them."""
        if lanes and len(lanes) < len(self.left):
            self.trainer.keep([self.left.index(lane) for lane in lanes])
        self.left = lanes
