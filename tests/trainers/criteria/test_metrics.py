from __future__ import annotations

import numpy as np
import pytest
import torch

from trainers.criteria.metrics import (
    all_metrics,
    auroc,
    balanced_accuracy,
    classification_report,
    judged,
    log_loss,
    macro_f1,
    make_score,
    top5,
)


def test_scores_by_hand() -> None:
    labels = torch.tensor([0, 0, 0, 1, 1, 2])
    predicted = torch.tensor([0, 0, 1, 1, 1, 1])
    report = classification_report(labels, predicted, ("a", "b", "c"))
    assert report["confusion_matrix"] == [[2, 1, 0], [0, 2, 0], [0, 1, 0]]
    assert report["accuracy"] == 4 / 6
    assert report["class"]["a"] == {"precision": 1.0, "recall": 2 / 3, "f1": 0.8, "num_samples": 3}
    assert report["class"]["b"]["precision"] == 0.5 and report["class"]["b"]["recall"] == 1.0
    assert report["class"]["c"] == {"precision": 0.0, "recall": 0.0, "f1": 0.0, "num_samples": 1}
    overall = report["overall"]
    assert abs(overall["f1"] - (3 * 0.8 + 2 * (2 / 3)) / 6) < 1e-12
    assert overall["num_samples"] == 6 and list(overall) == ["precision", "recall", "f1", "num_samples"]


def test_a_class_that_is_missing_has_its_row_all_the_same() -> None:
    report = classification_report(torch.tensor([0, 0]), torch.tensor([0, 0]), ("a", "b"))
    assert report["class"]["b"] == {"precision": 0.0, "recall": 0.0, "f1": 0.0, "num_samples": 0}
    assert report["overall"]["precision"] == 1.0


def _cases() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    rng = np.random.default_rng(0)
    usual = rng.integers(0, 7, 300), rng.dirichlet(np.ones(7), 300).astype(np.float32)
    ties = usual[0], (np.round(usual[1], 1) + 0.01).astype(np.float32)
    absent = np.where(usual[0] < 2, 2, usual[0]), usual[1]  # classes 0 and 1 do not occur
    return {"usual": usual, "ties": (ties[0], ties[1] / ties[1].sum(1, keepdims=True)), "absent": absent}


@pytest.mark.parametrize("case", _cases().values(), ids=_cases())
def test_metrics_are_those_of_scikit_learn(case: tuple[np.ndarray, np.ndarray]) -> None:
    from sklearn import metrics as theirs

    labels, p = case
    answers, every = p.argmax(1), np.arange(7)
    assert balanced_accuracy(labels, p) == pytest.approx(
        np.mean([(answers[labels == each] == each).mean() for each in np.unique(labels)])
    )
    assert macro_f1(labels, p) == pytest.approx(theirs.f1_score(labels, answers, average="macro"))
    assert log_loss(labels, p) == pytest.approx(theirs.log_loss(labels, p, labels=every), rel=1e-5)
    areas = [theirs.roc_auc_score(labels == each, p[:, each]) for each in np.unique(labels)]
    assert auroc(labels, p) == pytest.approx(np.mean(areas))
    if len(np.unique(p)) == p.size:  # theirs breaks ties in another way
        assert top5(labels, p) == pytest.approx(theirs.top_k_accuracy_score(labels, p, k=5, labels=every))


def test_what_has_one_class_only_has_a_value() -> None:
    labels, p = np.zeros(4, dtype=np.int64), np.full((4, 6), 1 / 6, dtype=np.float32)
    assert (auroc(labels, p), balanced_accuracy(labels, p), macro_f1(labels, p)) == (0.5, 1.0, 1.0)


def test_of_a_score_more_is_better() -> None:
    labels, p = _cases()["usual"]
    assert make_score("accuracy") is None
    log = make_score("log_loss")
    assert log is not None and log(labels, p) == -log_loss(labels, p)
    assert make_score("mine:f", lambda labels, p: 0.25) is not None
    with pytest.raises(ValueError, match="metric 'f2': choose from accuracy, balanced_accuracy"):
        make_score("f2")
    loss, accuracy, score = judged(torch.tensor([[0.0, 2.0], [1.0, float("nan")]]), torch.tensor([1, 0]), log)
    assert np.isnan(loss) and accuracy in (0.5, 1.0) and np.isnan(score)


def test_all_metrics_have_top5_only_where_it_says_something() -> None:
    logits, labels = torch.randn(20, 4), torch.arange(20) % 4
    assert set(all_metrics(logits, labels)) == {"balanced_accuracy", "macro_f1", "log_loss", "auroc"}
    assert "top5" in all_metrics(torch.randn(20, 6), labels)
