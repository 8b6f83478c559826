"""The page of one training."""

from __future__ import annotations

import math
from dataclasses import asdict
from pathlib import Path

import pytest

from hpo.store.stored_run import read_training
from hpo.system.errors import UserError
from hpo.trials.records import TrialRecord
from hpo.views.evaluation import Evaluation
from hpo.views.page import charts
from hpo.views.page.training import render_training
from tests.helpers.pages import EVIL, a_training
from tests.helpers.reports import epoch


def no_data(_: TrialRecord) -> Evaluation:
    raise ValueError("digits is missing here")


def test_it_says_what_was_reached_and_how_to_go_on(tmp_path: Path) -> None:
    training = a_training(tmp_path / "net", [epoch(1, 0.5), epoch(2, 0.875), epoch(3, 0.75)], wall_time_s=61.0)
    page = render_training(training, no_data)
    assert "validation accuracy" in page and ">0.8750<" in page and "in epoch 2 of 3; not tested" in page
    assert "lr 0.1, augment shift" in page and "3 epochs, 1m01s" in page
    assert "hpo evaluate net<" in page and "hpo train --from net --epochs 6" in page
    assert "This could not be drawn: digits is missing here" in page and "SHA-256 of the train split" in page
    assert "Training images" not in page  # there is no sheet of them


def test_names_are_no_code_and_what_a_command_needs_is_in_it(tmp_path: Path) -> None:
    page = render_training(a_training(tmp_path / "a b", [epoch(1, 0.5)], model=f"nets:{EVIL}"), no_data)
    assert EVIL not in page and "hpo predict &#39;a b&#39; PICTURE ... --model" in page


def test_the_curves_have_a_line_for_each_part_and_a_mark_at_the_best_epoch() -> None:
    curve = [asdict(one) for one in (epoch(1, 0.5, val_score=0.4), epoch(2, 0.9, val_score=0.3), epoch(3, math.nan))]
    figure = charts.training(curve, "macro_f1", loss=False)
    lines = {trace.name: list(trace.y) for trace in figure.data}
    assert list(lines) == ["training accuracy", "validation accuracy", "validation macro f1"]
    assert lines["validation accuracy"] == [0.5, 0.9, None] and lines["validation macro f1"][:2] == [0.4, 0.3]
    assert figure.layout.shapes[0].x0 == 1  # the best by the metric
    losses = charts.training(curve, "accuracy", loss=True)
    assert [trace.name for trace in losses.data] == ["training loss", "validation loss"]


def test_a_training_is_read_again_as_it_was(tmp_path: Path) -> None:
    curve = [epoch(1, 0.5), epoch(2, math.nan)]
    training = a_training(tmp_path / "net", curve)
    assert training.curve[0] == curve[0] and not training.curve[1].finite
    assert read_training(tmp_path) is None
    (tmp_path / "net" / "curves.csv").write_text("epoch\n")
    (tmp_path / "net" / "best.json").write_text("{}")
    with pytest.raises(UserError, match=r"net: a training whose files cannot be read"):
        read_training(tmp_path / "net")
