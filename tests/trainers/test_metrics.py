from __future__ import annotations

import torch

from trainers.metrics import classification_report


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
