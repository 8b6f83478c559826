"""Trials on their worker, as Tune sees them; failures become states."""

from __future__ import annotations

import contextlib
import gc
import os
import traceback
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import ray
import torch
from ray import tune

from hpo.system.text import describe_error
from hpo.trials.messages import DONE, EPOCHS, REPORTS, REQUEST, VALUE, GroupRequest, TrialReport
from hpo.trials.records import TrialState
from hpo.worker.last_words import leave, trains
from hpo.worker.process import prepare
from hpo.worker.settings import SearchSettings
from hpo.worker.trial_group import TrialGroup
from hpo.worker.worker_group import EXIT_LOST_MEMBER, WorkerGroup
from trainers.data.splits import TrainingData
from trainers.faults import breaks_device, is_out_of_memory
from trainers.single import warm_up

NO_VALUE = -1e300  # below every score: for schedulers, which take no None
NODE_ID_CHARS = 8  # enough to tell the nodes of a cluster apart


class Trial(tune.Trainable):
    """Tune's side of a trial group.

    A class, because function trainables hang Tune when their actors are reused. No error leaves it, because Tune would
    end the actor and lose what the trial had measured.
    """

    peers: WorkerGroup | None = None  # the further workers of each trial, where it has several
    data: TrainingData | None = None
    broken = False  # whether this process can use its accelerator no more

    def setup(self, config: dict[str, Any], data: Any = None, settings: SearchSettings | None = None) -> None:
        """data: a list of the one reference to the data set's arrays, so that Tune passes on the reference."""
        assert settings is not None
        self.settings = replace(settings, node=_node(settings.is_cluster))
        self.arrays = data[0]
        if settings.workers > 1:
            self.peers = WorkerGroup(data[0], self.settings)
        # An error here is one of the trial, which is where it becomes a state: its first step tries again.
        with contextlib.suppress(Exception):
            self._prepared()
            self._warm_up()
        self._begin(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self._end()
        self._begin(new_config)
        return True

    def step(self) -> dict[str, Any]:
        if self.broken:
            leave(EXIT_LOST_MEMBER)  # what befell the trial is told; another process is to take the next one
        # Where a process was left so, its trial is started again only for that: no trial of the group goes on.
        reports = self._guarded(lambda: self._run().step()) if self.request.trials else []
        values = [report.values[-1][1] for report in reports if report.values]
        return {
            REPORTS: reports,
            VALUE: max(values, default=NO_VALUE),
            # On no rung where this is not the last result, so that no scheduler ends the trial, and keeps the process.
            EPOCHS: 0 if self.broken else max((report.epochs for report in reports), default=0),
            DONE: not self.broken and all(report.state != TrialState.RUNNING for report in reports),
        }

    def cleanup(self) -> None:
        self._end()

    def _warm_up(self) -> None:
        """What a worker does once is no trial's time: it counts as waiting (queue_s), not as wall time."""
        warm_up(self._prepared(), self.settings.train_config())

    def _prepared(self) -> TrainingData:
        if self.data is None:
            self.data = prepare(ray.get(self.arrays), self.settings)
        return self.data

    def _begin(self, config: dict[str, Any]) -> None:
        self.request: GroupRequest = config[REQUEST]
        trains(self.request.trials[0].trial_id if self.request.trials else "")
        self.run: TrialGroup | None = None
        self.failure: list[TrialReport] | None = None
        # The group is made in its first step: Tune gives up a trial whose worker is lost before.

    def _run(self) -> TrialGroup:
        if self.run is None:
            self.run = TrialGroup(self._prepared(), self.settings, self.request, self.peers)
        return self.run

    def _end(self) -> None:
        if self.run is not None:
            self.run.close()
        self.run = None
        if self.peers:
            self.peers.close()

    def _guarded(self, action: Callable[[], list[TrialReport]]) -> list[TrialReport]:
        """What `action` returns; after an error, then and from then on, reports that say so."""
        if self.failure is None:
            try:
                return action()
            # A network's sys.exit, or its KeyboardInterrupt, is its error, and not the end of the worker.
            except (Exception, SystemExit, KeyboardInterrupt) as error:
                cause = self.peers.cause(error) if self.peers and isinstance(error, Exception) else error
                self.failure, self.broken = self._fail(cause), breaks_device(cause)
            if any(report.state == TrialState.OUT_OF_MEMORY for report in self.failure):
                self._free_memory()
        return self.failure

    def _free_memory(self) -> None:
        """For whoever shares the GPU: at once, and not when this worker's next trial begins."""
        if self.run is not None:
            self.run.close()
        self.run = None
        gc.collect()
        if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
            torch.cuda.empty_cache()

    def _fail(self, error: BaseException) -> list[TrialReport]:
        state = TrialState.OUT_OF_MEMORY if is_out_of_memory(error) else TrialState.FAILED
        words, lines = describe_error(error), "".join(traceback.format_exception(error))
        if self.run:
            return self.run.fail(state, words, lines)
        return [
            TrialReport(trial_id=each.trial_id, state=state, error=words, traceback=lines, group_size=each.group_size)
            for each in self.request.trials
        ]


def _node(is_cluster: bool) -> str:
    """The machine's name; on a cluster also the node's id, because several nodes can share a machine."""
    name = os.uname().nodename
    return f"{name}/{ray.get_runtime_context().get_node_id()[:NODE_ID_CHARS]}" if is_cluster else name
