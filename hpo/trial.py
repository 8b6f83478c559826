"""A trial on its worker: configuration to model, data and trainer, an epoch a step; failures become states."""

from __future__ import annotations

import contextlib
import faulthandler
import math
import os
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from typing import Any

import ray
from ray import tune

from hpo.checkpoints import Checkpoints
from hpo.peers import Peers
from hpo.worker import make_trainer, prepare
from models import trainable_parameters
from trainers.config import EpochResult, FitResult, TrainConfig

HANGS_S = 10.0  # so long after its time a trial that has not ended by itself is taken to hang


class Lane:
    """One trial: trains, keeps the weights of its best epoch, and writes a checkpoint at each rung.

    settings: what all trials of an architecture share (hpo/search.py makes it). lane: what the searcher
    handed out. A checkpoint of the same trial, left by a worker or driver that died, is taken up.
    """

    def __init__(self, data: Any, settings: dict[str, Any], lane: dict[str, Any], peers: Peers | None = None) -> None:
        self.started = time.perf_counter()
        self.queue_s = max(0.0, time.time() - lane["asked_at"])
        self.settings, self.lane = settings, lane
        self.checkpoints = Checkpoints(settings["checkpoints"])
        self.fitted = FitResult()
        self.unreported = 0
        state, self.warning = self.checkpoints.load(lane["trial_id"])
        self.earlier_s = state["elapsed_s"] if state else 0.0
        self.before: dict[str, float] = {}
        self.timeout = _Timeout(settings, lane, self.checkpoints, self.earlier_s)
        with self.timeout:
            self.trainer = make_trainer(data, settings, lane["params"], settings["seed"] + lane["number"], peers)
            if state:
                self._take_up(state)
        self.setup_s = time.perf_counter() - self.started

    def step(self) -> dict[str, Any]:
        """Trains one epoch and reports; see `report`."""
        self.timeout.check()
        with self.timeout:
            return self._step()

    def _step(self) -> dict[str, Any]:
        # A trial that was finished when its worker died has nothing left to train.
        if self.epochs < self.settings["epochs"]:
            (result,) = self.trainer.step()
            self.fitted.add(result, self.trainer.weights)
        if self.fitted.diverged:
            return self.report("diverged", f"loss is not finite in epoch {self.epochs}")
        late = time.time() >= self.settings["deadline"]
        if late or self.epochs >= self.settings["epochs"] or self.epochs in self.settings["rungs"]:
            self._save()
        if self.epochs >= self.settings["epochs"]:
            return self.report("completed")
        return self.report("stopped" if late else "running")

    def report(self, state: str, error: str = "") -> dict[str, Any]:
        """The measured columns so far, and the epochs not reported yet (all of them after a resume)."""
        curve, measured = self.fitted.curve, self.fitted.measured()
        new, self.unreported = curve[self.unreported :], len(curve)
        return {
            **measured,
            "trial_id": self.lane["trial_id"],
            "state": state,
            "error": error,
            "parameters": trainable_parameters(self.trainer.model),
            "warning": self.warning,
            "value": measured["val_accuracy"],
            "values": [(r.epoch, r.val_accuracy) for r in new if math.isfinite(r.val_loss)],
            "wall_time_s": self.elapsed_s,
            "before": self.before,
            "queue_s": self.queue_s,
            "setup_s": self.setup_s,
            "device": self.settings["train"]["device"],
            "node": self.settings["node"],
            "workers": self.settings["workers"],
            "curve": [_finite(asdict(result)) for result in new],
        }

    def close(self) -> None:
        self.trainer.close()

    @property
    def epochs(self) -> int:
        return len(self.fitted.curve)

    @property
    def elapsed_s(self) -> float:
        return self.earlier_s + time.perf_counter() - self.started

    def _save(self) -> None:
        state = {
            "trainer": self.trainer.save(),
            "curve": [asdict(result) for result in self.fitted.curve],
            "best_epoch": self.fitted.best.epoch if self.fitted.best else None,
            "best_weights": self.fitted.best_weights,
            "elapsed_s": self.elapsed_s,
            "queue_s": self.queue_s,
            "asked_at": self.lane["asked_at"],
        }
        try:
            self.checkpoints.save(self.lane["trial_id"], self.epochs, state)
        except OSError as error:
            # A checkpoint is an insurance: a disk that does not take it costs the trial nothing yet.
            self.warning = f"{self.checkpoints.place}: no checkpoint written ({error.strerror or error})"

    def _take_up(self, state: dict[str, Any]) -> None:
        self.trainer.load(state["trainer"])
        curve = [EpochResult(**result) for result in state["curve"]]
        best = next((result for result in curve if result.epoch == state["best_epoch"]), None)
        self.fitted = FitResult(curve, best, state["best_weights"])
        self.queue_s = state["queue_s"]  # not the time the first worker took
        if state.get("asked_at") != self.lane["asked_at"]:
            spent = {name: self.fitted.measured()[name] for name in ("train_s", "eval_s")}
            self.before = {**spent, "wall_time_s": self.earlier_s, "queue_s": self.queue_s}


class _Timeout:
    """Ends a trial that is at work for longer than --trial-timeout; what it waits, for a worker or its driver, does not
    count. A context manager around the work.

    After an epoch, by an error. A trial that hangs in one takes its worker with it a little later, which leaves a
    traceback of where it hung in its log and a mark by which the next worker knows.
    """

    def __init__(self, settings: dict[str, Any], lane: dict[str, Any], checkpoints: Checkpoints, past_s: float) -> None:
        self.seconds: float | None = settings["timeout"]
        if self.seconds is None:
            return
        self.mark = partial(checkpoints.mark_late, lane["trial_id"], lane["asked_at"])
        late = checkpoints.is_late(lane["trial_id"], lane["asked_at"])
        self.left = 0.0 if late else max(0.0, self.seconds - past_s)

    def check(self) -> None:
        """Raises TimeoutError once the time is over."""
        if self.seconds is not None and self.left <= 0:
            raise TimeoutError(f"longer than --trial-timeout allows ({self.seconds:g} s)")

    def __enter__(self) -> None:
        if self.seconds is None:
            return
        self.began = time.monotonic()
        self.timer = threading.Timer(self.left + HANGS_S, self._end_worker)
        self.timer.daemon = True
        self.timer.start()
        # A thread of C's: it also fires where Python's own waits for a lock that is never freed.
        faulthandler.dump_traceback_later(self.left + 2 * HANGS_S, exit=True)

    def __exit__(self, *_: object) -> None:
        if self.seconds is not None:
            self.timer.cancel()
            faulthandler.cancel_dump_traceback_later()
            self.left -= time.monotonic() - self.began

    def _end_worker(self) -> None:
        with contextlib.suppress(OSError):
            self.mark()
        faulthandler.dump_traceback(all_threads=True)
        os._exit(1)


class Trial(tune.Trainable):
    """Tune's side of a lane. A class, because function trainables hang Tune when their actors are reused;
    no error leaves it, because Tune would end the actor and lose what the trial had measured."""

    peers: Peers | None = None  # the further workers of each trial, where it has several

    def setup(self, config: dict[str, Any], data: Any = None, settings: Any = None) -> None:
        """data: a list of the one reference to the data set's arrays, so that Tune passes on the reference."""
        self.settings: dict[str, Any] = {**settings, "node": _node(settings)}
        if settings["workers"] > 1:
            self.peers = Peers(data[0], self.settings)
        self.data = prepare(ray.get(data[0]), settings)
        self._warm_up()
        self._begin(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self._end()
        self._begin(new_config)
        return True

    def step(self) -> dict[str, Any]:
        report = self._guarded(lambda: self._run().step())
        return {
            "lanes": [report],
            "value": report["values"][-1][1] if report["values"] else -1.0,
            "epochs": report["epochs"],
            "done": report["state"] != "running",
        }

    def cleanup(self) -> None:
        self._end()

    def _warm_up(self) -> None:
        """What a worker does once is no trial's time: it counts as waiting (queue_s), not as wall time."""
        from trainers.single import warm_up

        # An error here is one of the trial too, which is where it becomes a state.
        with contextlib.suppress(Exception):
            warm_up(self.data, TrainConfig(**self.settings["train"]))

    def _begin(self, config: dict[str, Any]) -> None:
        (self.lane,) = config["lanes"]
        self.run: Lane | None = None
        self.failure: dict[str, Any] | None = None
        # The lane is made in its first step: Tune gives up a trial whose worker is lost before.

    def _run(self) -> Lane:
        if self.run is None:
            self.run = Lane(self.data, self.settings, self.lane, self.peers)
        return self.run

    def _end(self) -> None:
        if self.run is not None:
            self.run.close()
        self.run = None
        if self.peers:
            self.peers.close()

    def _guarded(self, action: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """What `action` returns; after an error, then and from then on, a report of state failed."""
        if self.failure is None:
            try:
                return action()
            except Exception as error:
                self.failure = self._failed(self.peers.cause(error) if self.peers else error)
        return self.failure

    def _failed(self, error: Exception) -> dict[str, Any]:
        known = self.run.report("failed") if self.run else {"epochs": 0, "values": [], "value": None, "curve": []}
        words = " ".join(str(error).split()) or "no message"
        return {
            **known,
            "trial_id": self.lane["trial_id"],
            "state": "failed",
            "error": f"{type(error).__name__}: {words}"[:500],
            "traceback": "".join(traceback.format_exception(error)),
        }


def _node(settings: dict[str, Any]) -> str:
    """The machine's name; on a cluster also the node's id, because several nodes can share a machine."""
    name = os.uname().nodename
    return f"{name}/{ray.get_runtime_context().get_node_id()[:8]}" if settings["cluster"] else name


def _finite(values: dict[str, Any]) -> dict[str, Any]:
    """JSON has no NaN: a value that is not finite becomes null."""
    return {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in values.items()}
