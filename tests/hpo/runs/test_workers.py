"""Trials of several workers on a real Ray."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from hpo import StudyResult, StudySpec, run_study
from hpo.run import main

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("ray_local")]


def run(tmp_path: Path, **settings: Any) -> StudyResult:
    base = {"model": "mlp_small", "dataset": "digits", "epochs": 3, "trials": 3, "concurrency": 1, "final_seeds": 1}
    return run_study(StudySpec.of(**{**base, "results_dir": tmp_path, "quiet": True, "seed": 3, **settings}))


FIXED = ("dropout=0", "optimizer=adam", "batch_size=64", "activation=relu", "augment=none")

# Dies or raises once, in the process that is not the leader's, in the second epoch of the first trial.
MORTAL = """
import os
from pathlib import Path

import torch.distributed as dist
from torch import nn


class Net(nn.Module):
    def __init__(self, input_shape, num_classes, *, fault="none"):
        super().__init__()
        self.layer, self.fault, self.batches = nn.Linear(784, num_classes), fault, 0

    def forward(self, x):
        self.batches += 1
        follows = dist.is_initialized() and dist.get_rank() == 1
        done = Path(__file__).with_name("done")
        if follows and self.batches > 40 and not done.exists():
            done.touch()
            if self.fault == "die":
                os._exit(9)
            raise ArithmeticError("this part cannot be trained")
        return self.layer(x.flatten(1))
"""


def test_trials_of_two_workers_are_those_of_one(tmp_path: Path) -> None:
    one = run(tmp_path, name="one", set=FIXED, range="lr=1e-4:2e-3:log", scheduler="none", finalists=0).frame
    result = run(tmp_path, name="two", set=FIXED, range="lr=1e-4:2e-3:log", scheduler="none", workers_per_trial=2)
    two = result.frame
    assert result.state == "complete" and (two["workers"] == 2).all() and (one["workers"] == 1).all()
    one, two = (frame.set_index("trial_id").sort_index() for frame in (one, two))
    assert list(two["lr"]) == list(one["lr"]) and list(two["val_loss"]) == pytest.approx(
        list(one["val_loss"]), abs=1e-3
    )
    (final,) = pd.read_csv(result.folder / "leaderboard.csv").itertuples()
    assert 0.5 < final.test_accuracy_mean < 1 and final.tied_with_best


def test_asha_stops_them_and_workers_serve_one_trial_after_the_other(tmp_path: Path) -> None:
    result = run(tmp_path, name="a", trials=8, workers_per_trial=2, finalists=0)
    assert result.state == "complete" and {"completed", "stopped"} == set(result.frame["state"])
    # Only the first of each worker waits for its start.
    assert (result.frame.sort_values("trial_id")["queue_s"].iloc[1:] < 3).all()


@pytest.mark.parametrize("fault", ["die", "raise"])
def test_a_peer_that_dies_costs_no_trial_and_one_that_raises_its_own(
    fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mortal.py").write_text(MORTAL)
    settings = {"model": "mortal:Net", "trials": 2, "set": ("batch_size=32",), "scheduler": "none", "finalists": 0}
    space = {"mortal:Net": {"fault": fault}}
    frame = (
        run(tmp_path, name="a", workers_per_trial=2, space=space, **settings).frame.set_index("trial_id").sort_index()
    )
    assert (tmp_path / "done").exists() and frame["state"].iloc[1] == "completed"
    if fault == "die":
        assert frame["state"].iloc[0] == "completed" and list(frame["retries"]) == [1, 0]
        assert (frame["epochs"] == 3).all()
    else:
        assert frame["state"].iloc[0] == "failed" and list(frame["retries"]) == [0, 0]
        assert frame["error"].iloc[0] == "ArithmeticError: this part cannot be trained" and frame["epochs"].iloc[0] == 1


def test_more_than_there_is_is_a_mistake(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = f"--model mlp_small --dataset digits --trials 1 --workers-per-trial 3 --results-dir {tmp_path}/r"
    assert main(line.split()) == 2
    err = capsys.readouterr().err
    assert err == "hpo: --workers-per-trial 3, with --cpus-per-trial 1 for each: there are 2 CPUs\n"
    assert not (tmp_path / "r").exists()
