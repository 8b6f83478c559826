"""The first screen of the page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from hpo.store.stored_run import StoredRun
from hpo.trials.finalists import Finalist, order
from hpo.trials.records import TrialRecord, TrialState
from hpo.views.page.headline import Headline, headline
from tests.helpers.pages import a_run, trial


def made(tmp_path: Path, records: list[TrialRecord], finalists: list[Finalist] | None = None, **study: Any) -> Headline:
    run: StoredRun = a_run(tmp_path / "my run", records, **study)
    found = headline(run, run.ranked(), order(finalists or []))
    assert found
    return found


def finalist(record: TrialRecord, wrong: int) -> Finalist:
    right = np.ones((3, 1000), dtype=bool)
    right[:, :wrong] = False
    return Finalist(record, (1, 2, 3), right)


def test_a_winner_that_was_not_tested(tmp_path: Path) -> None:
    records = [
        trial(0, val_accuracy=0.90, epochs=5, config={"lr": 0.1, "activation": "relu"}),
        trial(1, val_accuracy=0.95, epochs=5, config={"lr": 0.0123456, "activation": "relu"}),
        trial(2, val_accuracy=0.5, epochs=2, state=TrialState.STOPPED, config={"lr": 1.0, "activation": "relu"}),
    ]
    spec = {"model": ["cnn"], "trials": 3, "epochs": 5}
    session = {"times": {"elapsed_s": 60.0}, "finals_s": 5.0}
    found = made(tmp_path, records, spec=spec, sessions=[session, {"times": {"elapsed_s": 10.0}}])
    assert (found.won, found.measured, found.value) == ("cnn-0001 won", "validation accuracy", "0.9500")
    assert found.note.startswith("not tested")
    facts = dict(found.facts)
    assert facts["configuration"] == "lr 0.0123" and facts["size"] == "10 parameters"
    assert facts["against the first trial"].startswith("accuracy +0.0500 on the validation images: 0.9500, and 0.9000")
    assert facts["cost"] == "3 trials of 12 epochs together, 20 % of all epochs were saved by early stopping, 1m15s"
    commands = dict(found.commands)
    assert commands["class by class"] == "hpo evaluate 'my run'"
    assert commands["search on"] == "hpo run --resume 'my run' --trials 6"
    assert commands["train it longer"] == "hpo train --from 'my run' --epochs 10"


def test_the_winner_is_that_of_validation_also_where_another_one_is_better_on_the_test_images(tmp_path: Path) -> None:
    records = [trial(0, val_accuracy=0.9), trial(1, trial_id="mlp-0001", model="mlp", val_accuracy=0.8)]
    models = {name: {"parameters": 10, "space": {}} for name in ("cnn", "mlp")}
    finalists = [finalist(records[0], 100), finalist(records[1], 10)]
    found = made(tmp_path, records, finalists, models=models)
    assert (found.won, found.measured, found.value) == ("cnn won, with cnn-0000", "test accuracy", "0.9000")
    assert found.note.startswith("95 % interval 0.") and found.note.endswith("mean of 3 networks")
    assert dict(found.facts)["better on the test images"] == "mlp"


def test_what_cannot_be_told_apart_is_said(tmp_path: Path) -> None:
    records = [trial(0, val_accuracy=0.9), trial(1, trial_id="mlp-0001", model="mlp", val_accuracy=0.8)]
    found = made(tmp_path, records, [finalist(records[0], 100), finalist(records[1], 101)])
    assert dict(found.facts)["not significantly different"] == "mlp"
    assert "against the first trial" not in dict(found.facts)  # it is the winner


def test_code_of_ones_own_is_named_in_the_commands(tmp_path: Path) -> None:
    own = trial(0, model="mynets:Net", trial_id="mynets:Net-0000", val_accuracy=0.9)
    found = made(tmp_path, [own], models={"mynets:Net": {"parameters": 1, "space": {}}})
    assert all(command.endswith(" --model mynets:Net") for _, command in found.commands)


def test_without_a_usable_trial_there_is_none(tmp_path: Path) -> None:
    run = a_run(tmp_path / "a", [trial(0, val_accuracy=None, state=TrialState.FAILED)])
    assert headline(run, run.ranked(), []) is None
