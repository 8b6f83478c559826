"""A lane on its worker, without Ray: results, states, checkpoints."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from hpo.store.checkpoint_stores import FolderStorage
from hpo.store.checkpoints import Checkpoints, is_due
from hpo.trials.messages import DONE, EPOCHS, REPORTS, REQUEST, GroupRequest, TrialReport, TrialRequest
from hpo.trials.records import TrialState
from hpo.worker import trial as trials
from hpo.worker.settings import SearchSettings
from hpo.worker.trial import Trial
from hpo.worker.trial_group import TrialGroup
from hpo.worker.worker_group import EXIT_LOST_MEMBER
from tests.helpers.workers import ask, settings
from trainers import checkpoint
from trainers.data.dataset import load_dataset
from trainers.data.splits import TrainingData
from trainers.single import SingleTrainer


@pytest.fixture(scope="module")
def data() -> TrainingData:
    return load_dataset("digits", Path("x"), train_size=200).training


def group(data: TrainingData, shared: SearchSettings, asked: Sequence[TrialRequest], known: Any = None) -> TrialGroup:
    return TrialGroup(data, shared, GroupRequest(trials=tuple(asked), known=known or {}))


def config(*asked: TrialRequest) -> dict[str, Any]:
    """A trial's configuration in Tune."""
    return {REQUEST: GroupRequest(trials=asked)}


class One:
    """A group of one trial, by its report."""

    def __init__(self, run: TrialGroup) -> None:
        self.run = run

    def step(self) -> TrialReport:
        (report,) = self.run.step()
        return report


def alone(data: TrainingData, shared: SearchSettings, asked: TrialRequest) -> One:
    return One(group(data, shared, [asked]))


def steps(run: One) -> list[TrialReport]:
    reports = [run.step()]
    while reports[-1].state == "running":
        reports.append(run.step())
    return reports


def test_a_paused_trial_keeps_one_checkpoint_and_goes_on_or_begins_anew_without_it(
    data: TrainingData, tmp_path: Path
) -> None:
    asked = replace(ask(), pauses_at=(2,))
    assert [report.state for report in steps(alone(data, settings(tmp_path), asked))] == ["running", "paused"]
    (kept,) = tmp_path.iterdir()
    assert kept.name == "mlp-0000@000002.pt"
    content, later = kept.read_bytes(), replace(asked, pauses_at=())
    ended = steps(alone(data, settings(tmp_path), later))
    assert [report.epochs for report in ended] == [3, 4]
    for file in tmp_path.iterdir():
        file.unlink()
    kept.write_bytes(content[:1000])
    again = steps(alone(data, settings(tmp_path), later))
    assert [report.epochs for report in again] == [1, 2, 3, 4] and "000002.pt: not a readable" in again[0].warning
    assert again[-1].val_accuracy == ended[-1].val_accuracy


def test_it_reports_each_epoch_and_the_columns_of_the_best(data: TrainingData, tmp_path: Path) -> None:
    reports = steps(alone(data, settings(tmp_path), ask()))
    assert [r.state for r in reports] == ["running"] * 3 + ["completed"]
    assert [r.values[0][0] for r in reports] == [1, 2, 3, 4]
    last = reports[-1]
    curve = [epoch for r in reports for epoch in r.curve]
    best = max(curve, key=lambda e: (e.val_accuracy, -e.epoch))
    for column in ("val_accuracy", "val_loss", "train_accuracy", "train_loss"):
        assert getattr(last, column) == getattr(best, column)
    assert last.best_epoch == best.epoch and last.val_accuracy == best.val_accuracy
    assert last.queue_s >= 2 and last.parameters == 109_386
    assert last.wall_time_s >= last.setup_s + last.train_s + last.eval_s
    assert last.images_per_s == pytest.approx(800 / last.train_s)


def test_a_trial_diverges_and_keeps_its_finite_epochs(data: TrainingData, tmp_path: Path) -> None:
    reports = steps(alone(data, settings(tmp_path), ask(lr=1e10, optimizer="sgd")))
    assert reports[-1].state == "diverged" and reports[-1].error.startswith("loss is not finite in epoch")
    assert all(math.isfinite(value) for r in reports for _, value in r.values)
    assert any(row["train_loss"] is None for row in reports[-1].rows())


def test_a_worker_that_died_is_taken_over_at_the_last_rung(data: TrainingData, tmp_path: Path) -> None:
    whole = steps(alone(data, settings(tmp_path / "a"), ask()))
    cut = alone(data, settings(tmp_path / "b"), replace(ask(), asked_at=time.time() - 50))
    for _ in range(3):
        cut.step()
    rest = steps(alone(data, settings(tmp_path / "b"), ask()))
    assert [r.epochs for r in rest] == [4]
    assert [epoch for epoch, _ in rest[0].values] == [1, 2, 3, 4]  # what the dead one's driver may not know
    assert rest[0].values == [v for r in whole for v in r.values]
    assert rest[0].wall_time_s > rest[0].train_s + rest[0].eval_s
    assert rest[0].queue_s == pytest.approx(50, abs=2)  # before the first start, not the second
    earlier = rest[0].before  # asked for anew: by another session
    assert 0 < earlier["train_s"] < rest[0].train_s and earlier["wall_time_s"] < rest[0].wall_time_s


def test_a_worker_that_died_within_a_session_leaves_all_times_to_it(data: TrainingData, tmp_path: Path) -> None:
    asked = ask()
    cut = alone(data, settings(tmp_path), asked)
    cut.step()
    assert alone(data, settings(tmp_path), asked).step().before == {}


def test_a_finished_trial_whose_driver_died_trains_no_more(data: TrainingData, tmp_path: Path) -> None:
    done = steps(alone(data, settings(tmp_path), ask()))[-1]
    (again,) = steps(alone(data, settings(tmp_path), ask()))
    assert again.state == "completed" and again.train_s == done.train_s


def test_a_damaged_checkpoint_means_from_the_one_before(data: TrainingData, tmp_path: Path) -> None:
    cut = alone(data, settings(tmp_path), ask())
    for _ in range(3):
        cut.step()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["mlp-0000@000001.pt", "mlp-0000@000003.pt"]
    newest = tmp_path / "mlp-0000@000003.pt"
    newest.write_bytes(newest.read_bytes()[:-100])
    first = alone(data, settings(tmp_path), ask()).step()
    assert first.epochs == 2 and "mlp-0000@000003.pt: not a readable checkpoint" in first.warning
    for path in tmp_path.iterdir():
        path.write_bytes(b"half a checkp")
    assert alone(data, settings(tmp_path), ask()).step().epochs == 1


def change(path: Path, **changes: Any) -> None:
    """A checkpoint with other values, or (None) without them."""
    state = {**checkpoint.load(path), **changes}
    checkpoint.save(path, {key: value for key, value in state.items() if value is not None})


OLD_CURVE = [{"epoch": n, "loss": 0.5} for n in (1, 2, 3)]


@pytest.mark.parametrize(
    "changes",
    [
        {"curve": None},
        {"best_epoch": None, "best_weights": None},
        {"trainer": None},
        {"queue_s": "soon"},
        {"curve": OLD_CURVE},
        {"curve": []},
        {"trainer": {"epoch": 2}},
        {"best_weights": 7},
    ],
    ids=str,
)
def test_a_whole_checkpoint_that_says_too_little_means_from_the_one_before(
    changes: dict[str, Any], data: TrainingData, tmp_path: Path
) -> None:
    cut = alone(data, settings(tmp_path), ask())
    for _ in range(3):
        cut.step()
    change(tmp_path / "mlp-0000@000003.pt", **changes)
    first = alone(data, settings(tmp_path), ask()).step()
    assert first.epochs == 2 and "mlp-0000@000003.pt: not a trial's checkpoint" in first.warning


@pytest.mark.parametrize("trainer", [{"epoch": 3}, {"epoch": 3, "model": {}}, {"epoch": 3, "model": 5}], ids=str)
def test_a_checkpoint_that_the_trainer_makes_nothing_of_means_from_the_beginning(
    trainer: dict[str, Any], data: TrainingData, tmp_path: Path
) -> None:
    for name, shared in (("a", settings(tmp_path / "a")), ("b", several(tmp_path / "b"))):
        cut = group(data, shared, [ask()])
        (first,) = cut.step()
        for _ in range(2):
            cut.step()
        for path in (tmp_path / name).iterdir():
            change(path, trainer={**trainer, "epoch": int(path.stem[-1])})
        run = group(data, shared, [ask()])
        (report,) = run.step()
        assert report.epochs == 1 and report.state == "running"
        assert "its checkpoint is of no use (" in report.warning and "it begins anew" in report.warning
        assert report.val_loss == first.val_loss and report.wall_time_s < 60


def test_no_memory_for_a_checkpoint_does_not_cost_it(data: TrainingData, tmp_path: Path) -> None:
    def full(*_: Any) -> str:
        raise RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`")

    alone(data, settings(tmp_path), ask()).step()
    trial = trainable(data, config(ask()), settings(tmp_path))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SingleTrainer, "load", full)
        assert trial.step()[REPORTS][0].state == "out of memory"
    assert alone(data, settings(tmp_path), ask()).step().epochs == 2


@pytest.mark.parametrize("fused", [False, True])
def test_a_checkpoint_of_another_device_goes_on_and_says_so(fused: bool, data: TrainingData, tmp_path: Path) -> None:
    shared, asked = (several(tmp_path), ASKED) if fused else (settings(tmp_path), [ask()])
    group(data, shared, asked).step()
    for path in tmp_path.iterdir():
        state = checkpoint.load(path)
        change(path, trainer={**state["trainer"], "noise": torch.zeros(16, dtype=torch.uint8)})
    for report in group(data, shared, asked).step():
        assert report.epochs == 2 and report.state == "running"
        assert report.warning.startswith("the checkpoint is from another device than cpu: dropout and augmentation")


def test_a_trial_that_takes_too_long_fails_with_the_epochs_it_did(data: TrainingData, tmp_path: Path) -> None:
    slow = {"trial_timeout": 1.5, "epochs": 4000, "rungs": (1,)}
    asked = ask()
    trial = trainable(data, config(asked), settings(tmp_path, **slow))
    results = [trial.step()]
    while not results[-1][DONE]:
        results.append(trial.step())
    trial.cleanup()
    (report,) = results[-1][REPORTS]
    assert report.state == "failed" and 1 <= report.epochs == len(results) - 1
    assert report.error == "TimeoutError: longer than --trial-timeout allows (1.5 s)"
    # After one that hung, the worker that takes the trial over knows; asked for anew, the trial goes on.
    Checkpoints(FolderStorage(tmp_path)).mark_late(asked.trial_id, asked.asked_at)
    other = trainable(data, config(asked), settings(tmp_path, **slow))
    (again,) = other.step()[REPORTS]
    other.cleanup()
    assert again.state == "failed" and is_due(again.epochs)
    fresh = trainable(data, config(ask()), settings(tmp_path, **slow))
    assert fresh.step()[REPORTS][0].state == "running"
    fresh.cleanup()


def test_the_time_budget_stops_a_trial_after_its_epoch_with_its_weights_saved(
    data: TrainingData, tmp_path: Path
) -> None:
    run = alone(data, settings(tmp_path, deadline=0.0, rungs=()), ask())
    assert [r.state for r in steps(run)] == ["stopped"]
    assert (tmp_path / "mlp-0000@000001.pt").exists()


def test_a_set_up_that_fails_leaves_no_timer_behind(data: TrainingData, tmp_path: Path) -> None:
    def timers() -> int:
        return sum(isinstance(t, threading.Timer) and not t.finished.is_set() for t in threading.enumerate())

    trial = trainable(data, config(ask(activation="swish")), settings(tmp_path, trial_timeout=60.0))
    assert trial.step()[REPORTS][0].state == "failed" and timers() == 0
    trial.reset_config(config(ask(1)))
    assert trial.step()[REPORTS][0].state == "running" and timers() == 0
    trial.cleanup()


def test_seed_is_the_studys_plus_the_trials_number(data: TrainingData, tmp_path: Path) -> None:
    one = alone(data, settings(tmp_path / "a", seed=10), ask(3)).step()
    other = alone(data, settings(tmp_path / "b", seed=13), ask(0)).step()
    assert one.val_loss == other.val_loss


def trainable(data: TrainingData, asked: dict[str, Any], shared: SearchSettings) -> Trial:
    trial = Trial.__new__(Trial)
    trial.data, trial.settings = data, shared
    trial._begin(asked)
    return trial


def test_an_error_becomes_a_state_and_the_actor_goes_on(data: TrainingData, tmp_path: Path) -> None:
    trial = trainable(data, config(ask(activation="swish")), settings(tmp_path))
    result = trial.step()
    (report,) = result[REPORTS]
    assert result[DONE] and report.state == "failed" and report.epochs == 0
    assert report.error.startswith("ModelError: activation 'swish'") and "Traceback" in report.traceback
    assert trial.reset_config(config(ask(1)))
    assert trial.step()[REPORTS][0].state == "running"
    trial.cleanup()


def test_an_error_in_the_middle_keeps_what_was_measured(data: TrainingData, tmp_path: Path) -> None:
    trial = trainable(data, config(ask()), settings(tmp_path))
    trial.step()
    trial.run.trainer.optimizer = None  # type: ignore[union-attr]
    (report,) = trial.step()[REPORTS]
    assert report.state == "failed" and report.epochs == 1 and report.val_accuracy is not None
    assert trial.step()[REPORTS][0] == report


def test_a_checkpoint_that_cannot_be_written_costs_the_trial_nothing(data: TrainingData, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    last = steps(alone(data, settings(tmp_path / "file"), ask()))[-1]
    assert last.state == "completed" and last.warning.endswith("file: no checkpoint written (File exists)")


def several(tmp_path: Path, **changed: Any) -> SearchSettings:
    return settings(tmp_path, is_fused=True, **changed)


ASKED = [replace(ask(number, lr=lr), group_size=4) for number, lr in enumerate((1e-3, 3e-3, 1e-2, 1e-5))]


def run_all(run: TrialGroup) -> list[list[TrialReport]]:
    found = [run.step()]
    while any(report.state == "running" for report in found[-1]):
        found.append(run.step())
    run.close()
    return found


def test_each_lane_reports_as_a_trial_of_its_own(data: TrainingData, tmp_path: Path) -> None:
    dry = [replace(asked, params={**asked.params, "dropout": 0.0}) for asked in ASKED]
    epochs = run_all(group(data, several(tmp_path / "a"), dry))
    assert [[r.state for r in reports] for reports in epochs] == [["running"] * 4] * 3 + [["completed"] * 4]
    for number, asked in enumerate(dry):
        by_itself = steps(alone(data, settings(tmp_path / "b"), asked))
        for one, reports in zip(by_itself, epochs, strict=True):
            report = reports[number]
            assert report.trial_id == one.trial_id and report.group_size == 4
            assert report.val_loss == pytest.approx(one.val_loss, abs=1e-4)
            assert (report.parameters, report.epochs) == (one.parameters, one.epochs)
    last = epochs[-1]
    assert sum(r.share_s for r in last) == pytest.approx(last[0].wall_time_s, rel=0.05)
    assert all(r.wall_time_s > r.train_s + r.eval_s for r in last)


def test_the_weak_lanes_leave_at_the_rungs_and_the_others_go_on(data: TrainingData, tmp_path: Path) -> None:
    known = {1: [0.0] * 4, 3: []}
    run = group(data, several(tmp_path, halving=3), ASKED, known)
    epochs = run_all(run)
    states = [[r.state for r in reports] for reports in epochs]
    ended = [next(at for at, each in enumerate(states, 1) if each[n] != "running") for n in range(4)]
    assert ended[3] == 1 and sorted(ended)[1:3] == [3, 3]  # the last one's learning rate learns nothing
    for number, epoch in enumerate(ended):
        last = epochs[-1][number]
        assert last.epochs == epoch and last.state == ("completed" if epoch == 4 else "stopped")
        assert epochs[epoch - 1][number] == last  # said again, unchanged
        state, _ = Checkpoints(FolderStorage(tmp_path)).load(ASKED[number].trial_id)
        assert state and state["best_epoch"] == last.best_epoch and state["best_weights"]


def test_lanes_can_all_be_worse_than_what_is_known(data: TrainingData, tmp_path: Path) -> None:
    run = group(data, several(tmp_path, halving=3), ASKED, {1: [0.99] * 20})
    assert [r.state for r in run.step()] == ["stopped"] * 4


def test_a_lane_that_diverges_leaves_the_others(data: TrainingData, tmp_path: Path) -> None:
    asked = [ask(n, lr=lr, optimizer="sgd") for n, lr in enumerate((1e-2, 1e12, 1e-3))]
    last = run_all(group(data, several(tmp_path), asked))[-1]
    assert [r.state for r in last] == ["completed", "diverged", "completed"]
    assert last[1].epochs < 4 and last[1].error.startswith("loss is not finite in epoch")


def test_an_array_goes_on_at_the_last_rung_that_all_its_lanes_have(data: TrainingData, tmp_path: Path) -> None:
    whole = run_all(group(data, several(tmp_path / "a"), ASKED))
    cut = group(data, several(tmp_path / "b"), ASKED)
    for _ in range(3):
        cut.step()
    (tmp_path / "b" / "mlp-0002@000003.pt").unlink()  # the worker died between two of them
    rest = run_all(group(data, several(tmp_path / "b"), ASKED))
    assert [r.epochs for r in rest[0]] == [2] * 4 and [r.epochs for r in rest[-1]] == [4] * 4
    curves = [[[v for reports in run for v in reports[n].values] for n in range(4)] for run in (whole, rest)]
    assert curves[0] == curves[1]


def test_lanes_that_were_never_together_begin_anew(data: TrainingData, tmp_path: Path) -> None:
    run_all(group(data, several(tmp_path, epochs=1), ASKED[:2]))
    reports = group(data, several(tmp_path), ASKED).step()
    assert [r.epochs for r in reports] == [1] * 4
    assert all("begins anew" in r.warning for r in reports)


def test_what_a_trial_left_is_no_use_to_a_lane_and_says_so(data: TrainingData, tmp_path: Path) -> None:
    alone(data, settings(tmp_path), ask(0)).step()
    (report,) = group(data, several(tmp_path), [ask(0)]).step()
    assert report.epochs == 1 and "begins anew" in report.warning
    (again,) = group(data, settings(tmp_path), [ask(0)]).step()
    assert again.epochs == 1 and "begins anew" in again.warning


def test_no_memory_left_is_a_state_of_its_own(data: TrainingData, tmp_path: Path) -> None:
    trial = trainable(data, config(*ASKED), several(tmp_path))
    trial.step()
    trial.run.trials[1].end(TrialState.STOPPED)  # type: ignore[union-attr]
    trial.run.trainer.step = lambda: torch.empty(2**60)  # type: ignore[union-attr, method-assign, assignment, return-value]
    result = trial.step()
    trial.cleanup()
    assert result[DONE] and [r.state for r in result[REPORTS]] == ["failed", "stopped", "failed", "failed"]
    other = trainable(data, config(*ASKED), several(tmp_path))
    other._run = _no_memory  # type: ignore[method-assign]
    assert [r.state for r in other.step()[REPORTS]] == ["out of memory"] * 4


OTHERS_MEMORY = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    torch.AcceleratorError("CUDA error: out of memory"),
]


@pytest.mark.parametrize("error", OTHERS_MEMORY, ids=str)
def test_no_memory_for_the_data_is_the_trials_too(
    error: Exception, data: TrainingData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def prepare(arrays: Any, shared: SearchSettings) -> TrainingData:
        if full:
            raise error
        return data

    full = True
    monkeypatch.setattr(trials.ray, "get", lambda reference: reference)
    monkeypatch.setattr(trials, "prepare", prepare)
    trial = Trial.__new__(Trial)
    trial.setup(config(ask()), data=["reference"], settings=settings(tmp_path))
    result = trial.step()
    (report,) = result[REPORTS]
    assert result[DONE] and (report.state, report.epochs) == ("out of memory", 0)
    assert report.error.startswith(f"{type(error).__name__}: CUDA")
    full = False
    assert trial.reset_config(config(ask(1)))
    assert trial.step()[REPORTS][0].state == "running"
    trial.cleanup()


def test_a_worker_that_cannot_start_says_why(
    data: TrainingData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def prepare(arrays: Any, shared: SearchSettings) -> TrainingData:
        raise OSError("the data is gone")

    monkeypatch.setattr(trials.ray, "get", lambda reference: reference)
    monkeypatch.setattr(trials, "prepare", prepare)
    trial = Trial.__new__(Trial)
    trial.setup(config(ask()), data=["reference"], settings=settings(tmp_path))
    (report,) = trial.step()[REPORTS]
    assert (report.state, report.error) == ("failed", "OSError: the data is gone")


def test_a_process_that_lost_its_device_reports_and_ends(
    data: TrainingData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost() -> TrialGroup:
        raise torch.AcceleratorError("CUDA error: device-side assert triggered")

    ended: list[int] = []
    monkeypatch.setattr(trials, "leave", lambda code: ended.append(code))
    trial = trainable(data, config(ask()), settings(tmp_path))
    trial.step()
    trial._run = lost  # type: ignore[method-assign]
    result = trial.step()
    (report,) = result[REPORTS]
    assert report.state == "failed" and report.epochs == 1 and "device-side assert" in report.error
    assert not result[DONE] and result[EPOCHS] == 0  # so Tune asks again, and does not keep the process
    assert not ended
    trial.step()
    assert ended == [EXIT_LOST_MEMBER]
    after = trainable(data, config(), settings(tmp_path)).step()  # what Tune starts again has nothing to do
    assert after[DONE] and after[REPORTS] == []


@pytest.mark.parametrize(
    ("raised", "error"),
    [
        (KeyboardInterrupt(), "KeyboardInterrupt: no message"),
        (SystemExit(3), "SystemExit: 3"),
        (RuntimeError("\x1b[31mred\x1b[0m\x07\nand \x1b]0;title\x07more"), "RuntimeError: red and more"),
    ],
)
def test_what_a_network_raises_is_its_error_on_one_plain_line(
    data: TrainingData, tmp_path: Path, raised: BaseException, error: str
) -> None:
    def fails() -> TrialGroup:
        raise raised

    trial = trainable(data, config(ask()), settings(tmp_path))
    trial._run = fails  # type: ignore[method-assign]
    (report,) = trial.step()[REPORTS]
    assert (report.state, report.error) == ("failed", error)


def _no_memory() -> TrialGroup:
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
