"""What a metric other than the accuracy changes in records, ranks, tables and finals."""

from __future__ import annotations

import numpy as np
import pytest

from hpo.store.csv_tables import curves_frame, leaderboard_frame, trials_frame
from hpo.system.errors import UserError
from hpo.trials.finalists import Finalist, order
from hpo.trials.metric import label, value_of, words
from hpo.trials.ranking import RankBy, rank
from hpo.trials.records import TrialRecord
from hpo.trials.significance import RESAMPLES, Resampled, measure, p_value, resample
from tests.helpers.records import record
from trainers.criteria.metrics import balanced_accuracy, log_loss, macro_f1


def of_metric(number: int, metric: str, score: float, accuracy: float = 0.5) -> TrialRecord:
    curve = [{"epoch": 1, "val_accuracy": accuracy, "val_score": score - 1}, {"epoch": 2, "val_score": score}]
    return record(number, metric=metric, val_accuracy=accuracy, val_score=score, curve=curve, epochs=2, best_epoch=2)


def test_names() -> None:
    assert (label("macro_f1"), label("mine.scores:recall_of_cats"), label("a/b.py:f")) == (
        "macro_f1",
        "recall_of_cats",
        "f",
    )
    assert words("balanced_accuracy") == "balanced accuracy"
    assert value_of("log_loss", -0.5) == 0.5 and value_of("auroc", 0.5) == 0.5 and value_of("log_loss", None) is None


def test_trials_are_ranked_by_it_and_not_by_accuracy() -> None:
    trials = [
        of_metric(n, "log_loss", score, accuracy) for n, (score, accuracy) in enumerate([(-0.9, 0.9), (-0.1, 0.2)])
    ]
    assert [item.record.trial_id for item in rank(trials)] == [trials[1].trial_id, trials[0].trial_id]
    assert trials[1].value == 0.1 and trials[1].scores == {1: -1.1, 2: -0.1}
    by = RankBy.of(["parameters", "log_loss"], metric="log_loss")
    assert by.order == ("parameters", "score", "time")
    with pytest.raises(UserError, match="'accuracy' is unknown; choose from log_loss, parameters, time"):
        RankBy.of(["accuracy"], metric="log_loss")
    with pytest.raises(UserError, match="'score' is unknown; choose from accuracy, parameters, time"):
        RankBy.of(["score"])


def test_tables_have_its_column_with_its_values() -> None:
    trials = [of_metric(0, "log_loss", -0.25)]
    frame = trials_frame(rank(trials))
    assert list(frame.columns[:4]) == ["rank", "model", "val_log_loss", "val_accuracy"]
    assert list(frame["val_log_loss"]) == [0.25] and "val_score" not in frame
    assert list(curves_frame(trials)["val_log_loss"]) == [1.25, 0.25]
    assert "val_log_loss" not in trials_frame(rank([record(0, val_accuracy=0.5)]))
    assert TrialRecord.from_dict(trials[0].to_dict()) == trials[0]


def test_finalists_are_compared_by_it() -> None:
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 3, 300)

    def finalist(number: int, sure: float, right: float) -> Finalist:
        """The surer one is right less often."""
        answers = [np.where(rng.random(300) < right, labels, (labels + 1) % 3) for _ in range(3)]
        tables = [np.full((300, 3), (1 - sure) / 2) + np.eye(3)[each] * (sure - (1 - sure) / 2) for each in answers]
        parts = [resample(lambda y, p: -log_loss(y, p), labels, table) for table in tables]
        scores = Resampled(np.array([score for score, _ in parts]), np.stack([found for _, found in parts]))
        hits = np.stack([table.argmax(1) == labels for table in tables])
        return Finalist(of_metric(number, "log_loss", -0.5), (1, 2, 3), hits, scores)

    careful, bold = finalist(0, 0.6, 0.7), finalist(1, 0.999, 0.8)
    ordered = order([bold, careful])
    assert [f.record.trial_id for f in ordered] == [careful.record.trial_id, bold.record.trial_id]
    assert not ordered[1].tied_with_best and ordered[0].accuracy.mean < ordered[1].accuracy.mean
    best = ordered[0].measured
    assert best.low < best.mean < best.high and best.mean == pytest.approx(np.mean(ordered[0].values))
    assert ordered[0].optimism == pytest.approx(-0.5 + best.mean)
    (row, _) = leaderboard_frame(rank([careful.record]), ordered).to_dict("records")
    assert row["test_log_loss_mean"] == best.mean and row["test_log_loss_low"] == best.low
    assert row["test_accuracy_mean"] == ordered[0].accuracy.mean and row["val_log_loss"] == 0.5


def test_the_bootstrap_agrees_with_the_formula_of_accuracy() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 2000)
    tables = [np.eye(2)[np.where(rng.random(2000) < p, labels, 1 - labels)] for p in (0.9, 0.9, 0.91, 0.93, 0.93, 0.94)]
    right = np.stack([table.argmax(1) == labels for table in tables])
    hits = [resample(lambda y, p: float((p.argmax(1) == y).mean()), labels, table) for table in tables]
    scores = [
        Resampled(np.array([s for s, _ in part]), np.stack([r for _, r in part])) for part in (hits[:3], hits[3:])
    ]
    assert scores[0].resampled.shape == (3, RESAMPLES)
    exact, bootstrapped = measure(right[:3]), measure(scores[0])
    assert bootstrapped.mean == pytest.approx(exact.mean)
    assert bootstrapped.high - bootstrapped.low == pytest.approx(exact.high - exact.low, rel=0.2)
    assert p_value(*scores) == pytest.approx(p_value(right[:3], right[3:]), abs=0.02)


def test_resamples_are_the_same_for_all() -> None:
    labels, table = np.arange(30) % 3, np.random.default_rng(0).dirichlet(np.ones(3), 30)
    one, other = (resample(balanced_accuracy, labels, table)[1] for _ in range(2))
    assert np.array_equal(one, other) and one.std() > 0
    assert 0 < measure(Resampled(np.array([0.5]), resample(macro_f1, labels, table)[1][None])).low < 0.5
