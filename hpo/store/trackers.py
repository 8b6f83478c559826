"""Copies of a run's trials for TensorBoard and MLflow, beside the run's own files.

An error of a tracker goes to the log, and the search continues.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Sequence
from contextlib import suppress
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol, TypeGuard

from hpo.system.errors import UserError
from hpo.system.text import single_line
from hpo.system.urls import masked
from hpo.trials.messages import TrialListener, TrialReport, TrialRequest
from hpo.trials.records import TrialRecord, TrialState, metric_columns

_SCALARS = ("val_accuracy", "val_score", "val_loss", "train_accuracy", "train_loss")


class Tracker(TrialListener, Protocol):
    """A listener with something to close."""

    def close(self) -> None:
        """Ends the tracking; the run has ended."""
        ...


class TensorBoard:
    """Writes the scalars of each trial, epoch by epoch, to FOLDER/TRIAL, for tensorboard --logdir FOLDER."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.writers: dict[str, Any] = {}
        self._written: dict[str, int] = {}  # the last epoch of each trial

    def started(self, request: TrialRequest) -> None: ...

    def reported(self, request: TrialRequest, report: TrialReport) -> None:
        # Not tensorboardX's SummaryWriter: a full disk ends its thread, and then its queue blocks for ever.
        from tensorboardX.event_file_writer import EventsWriter
        from tensorboardX.proto.event_pb2 import Event
        from tensorboardX.summary import scalar

        trial_id = request.trial_id
        if trial_id not in self.writers:
            (self.folder / trial_id).mkdir(parents=True, exist_ok=True)
            # The default name has the second only: after a resume, a file could replace an earlier one.
            self.writers[trial_id] = EventsWriter(str(self.folder / trial_id / "events"), f".{time.time_ns()}")
        # A trial that goes on after a pause hands its whole curve over again.
        new = [epoch for epoch in report.rows() if epoch["epoch"] > self._written.get(trial_id, 0)]
        for epoch in new:
            self._written[trial_id] = epoch["epoch"]
            for name in _SCALARS:
                if _is_finite(epoch.get(name)):
                    summary = scalar(name, epoch[name])
                    self.writers[trial_id].write_event(
                        Event(wall_time=time.time(), step=epoch["epoch"], summary=summary)
                    )
        self.writers[trial_id].flush()

    def finished(self, record: TrialRecord) -> None:
        if record.trial_id in self.writers:
            self.writers.pop(record.trial_id).close()

    def close(self) -> None:
        for writer in self.writers.values():
            with suppress(OSError):
                writer.close()


class MLflow:
    """Makes an MLflow run for each trial, with parameters, curve and state, in an experiment named after the run."""

    def __init__(self, uri: str, name: str) -> None:
        self.uri, self.name = uri, name

    @cached_property
    def client(self) -> Any:
        return _mlflow_client(self.uri)

    @cached_property
    def experiment(self) -> str:
        """The id of the experiment, which is created if it is missing."""
        found = self.client.get_experiment_by_name(self.name)
        return str(found.experiment_id if found else self.client.create_experiment(self.name))

    def started(self, request: TrialRequest) -> None: ...

    def reported(self, request: TrialRequest, report: TrialReport) -> None: ...

    def finished(self, record: TrialRecord) -> None:
        from mlflow.entities import Metric, Param, RunTag

        run = self.client.create_run(self.experiment, run_name=record.trial_id)
        now = run.info.start_time
        metrics = [Metric(name, value, now, epoch) for name, value, epoch in _metrics(record)]
        tags = {"model": record.model, "state": record.state.value, "dataset": record.dataset, "error": record.error}
        for some in _chunks(metrics, 1000):
            self.client.log_batch(run.info.run_id, metrics=some)
        self.client.log_batch(
            run.info.run_id,
            params=[Param(key, str(value)) for key, value in {**record.config, "seed": record.seed}.items()],
            tags=[RunTag(key, value) for key, value in tags.items()],
        )
        ended_well = record.state in (TrialState.COMPLETED, TrialState.STOPPED)
        self.client.set_terminated(run.info.run_id, "FINISHED" if ended_well else "FAILED")

    def close(self) -> None: ...


def _metrics(record: TrialRecord) -> list[tuple[str, float, int]]:
    """(name, value, epoch) of what MLflow shows of a trial: its curve, and what it came to."""
    curve = [(name, epoch[name], epoch["epoch"]) for epoch in record.curve for name in _SCALARS if name in epoch]
    last = {
        "best_val_accuracy": record.val_accuracy,
        **{f"best_{column}": record.value for column in metric_columns({record.metric})},
        "parameters": record.parameters,
        "wall_time_s": record.wall_time_s,
    }
    found = [*curve, *((name, value, record.epochs) for name, value in last.items())]
    return [(name, value, epoch) for name, value, epoch in found if _is_finite(value)]


def make_trackers(folder: Path, *, tensorboard: bool, mlflow: str | None) -> list[Tracker]:
    """Makes the trackers for the run in `folder`; `mlflow` is the URI of a tracking server or store."""
    trackers: list[Tracker] = [TensorBoard(folder / "tensorboard")] if tensorboard else []
    return [*trackers, MLflow(mlflow, folder.resolve().name)] if mlflow else trackers


def check_mlflow(uri: str) -> None:
    """Raises UserError when mlflow is not installed, or when `uri` is no tracking server or store."""
    if find_spec("mlflow") is None:
        raise UserError(f'--mlflow {masked(uri)}: needs mlflow: pip install -e ".[mlflow]"')
    try:
        _mlflow_client(uri).search_experiments(max_results=1)
    except Exception as error:
        reason = single_line(str(error).replace(uri, masked(uri)))[:200]
        raise UserError(f"--mlflow {masked(uri)}: cannot be used ({reason})") from error


def _mlflow_client(uri: str) -> Any:
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")  # the default retries for minutes
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=uri)


def _is_finite(value: Any) -> TypeGuard[float]:
    return value is not None and math.isfinite(value)


def _chunks(values: Sequence[Any], size: int) -> list[Sequence[Any]]:
    """Splits the values: MLflow limits how many it takes at once."""
    return [values[at : at + size] for at in range(0, len(values), size)]
