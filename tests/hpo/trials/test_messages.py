from __future__ import annotations

import math
import pickle
from dataclasses import FrozenInstanceError, fields

import pytest

from hpo.trials.messages import GroupRequest, TrialReport
from hpo.trials.records import TrialRecord, TrialState
from tests.helpers.reports import epoch, report, request


def test_messages_are_frozen_and_can_travel() -> None:
    asked = GroupRequest(trials=(request("cnn-0001", params={"lr": 0.1}),), gpus=0.5, known={1: (0.5, 0.25)})
    assert pickle.loads(pickle.dumps(asked)) == asked
    with pytest.raises(FrozenInstanceError):
        asked.gpus = 1.0  # type: ignore[misc]


def test_epochs_whose_loss_is_not_finite_are_in_the_curve_and_no_value() -> None:
    told = report("diverged", (1, 0.5), (2, math.nan))
    assert told.values == [(1, 0.5)]
    first, second = told.rows()
    assert (first["epoch"], first["val_accuracy"], first["images"]) == (1, 0.5, 10)
    assert second["val_loss"] is None and second["val_accuracy"] is None and second["train_loss"] == 0.1


def test_what_a_row_shares_with_a_report_is_passed_on_whole() -> None:
    told = TrialReport(trial_id="cnn-0001", state=TrialState.COMPLETED, curve=(epoch(1, 0.5),), parameters=7)
    shared = told.shared()
    columns = {"model", "config", "seed", "dataset", "precision", "metric", "parameters", "curve"}
    assert set(shared) | columns == {item.name for item in fields(TrialRecord)} and not set(shared) & columns
