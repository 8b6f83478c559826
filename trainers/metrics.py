"""What a classifier gets right and wrong, class by class."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from torch import Tensor


def classification_report(labels: Tensor, predicted: Tensor, classes: tuple[str, ...]) -> dict[str, Any]:
    """Precision, recall, F1 and count, overall (weighted by the classes' counts) and per class.

    labels, predicted: int64 (N,). The shape is {"overall": {"precision", "recall", "f1", "num_samples"},
    "class": {name: the same}, "accuracy", "confusion_matrix"}; row i, column j of the matrix counts the images
    of class i taken for class j. What has no denominator, such as the precision of a class never predicted, is 0.
    """
    from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

    truth, answers, every = labels.numpy(), predicted.numpy(), np.arange(len(classes))
    each = np.stack(precision_recall_fscore_support(truth, answers, labels=every, zero_division=0), 1)
    overall = precision_recall_fscore_support(truth, answers, labels=every, average="weighted", zero_division=0)
    return {
        "overall": _entry((*overall[:3], len(truth))),
        "class": {name: _entry(values) for name, values in zip(classes, each, strict=True)},
        "accuracy": float((truth == answers).mean()),
        "confusion_matrix": confusion_matrix(truth, answers, labels=every).tolist(),
    }


def _entry(scores: Iterable[float]) -> dict[str, Any]:
    precision, recall, f1, count = scores
    return {"precision": float(precision), "recall": float(recall), "f1": float(f1), "num_samples": int(count)}
