"""What a classifier gets right and wrong: the metrics that a search can go by, and the scores of each class.

A metric is a function of the labels and the probabilities; the names are `METRICS`. They are computed after every epoch
in every worker, and on hundreds of resampled test sets, so that they are NumPy here, and not scikit-learn's, which
takes a second to import and up to 40 times as long.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from torch import Tensor
from torch.nn import functional as F

from trainers.config import LOWER_IS_BETTER, METRICS

Metric = Callable[[np.ndarray, np.ndarray], float]
"""Takes labels, int64 (N,), and probabilities, float32 (N, classes), whose rows add up to 1."""


def make_score(name: str, own: Metric | None = None) -> Metric | None:
    """Returns the metric as a score, of which more is better: minus the metric for log_loss. None for the accuracy.

    own: the user's metric, of which more is better, where `name` is no name of `METRICS`. Raises ValueError for an
    unknown name.
    """
    if name == "accuracy":
        return None
    if name not in METRICS:
        if own is None:
            raise ValueError(f"metric {name!r}: choose from {', '.join(METRICS)}")
        return own
    metric = _METRICS[name]
    return (lambda labels, probabilities: -metric(labels, probabilities)) if name in LOWER_IS_BETTER else metric


def judged(logits: Tensor, labels: Tensor, score: Metric) -> tuple[float, float, float]:
    """Returns the mean cross-entropy, the accuracy and the score of logits (N, classes) with labels (N,), N > 0."""
    logits, labels = logits.float().cpu(), labels.cpu()
    hits = (logits.argmax(1) == labels).double().mean()
    value = float(score(labels.numpy(), logits.softmax(1).numpy())) if bool(logits.isfinite().all()) else float("nan")
    return float(F.cross_entropy(logits, labels)), float(hits), value


def balanced_accuracy(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """The mean recall of the classes that occur."""
    right, images, _ = _counts(labels, probabilities)
    return float((right[images > 0] / images[images > 0]).mean())


def macro_f1(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """The mean F1 score of the classes that occur or are predicted."""
    right, images, predicted = _counts(labels, probabilities)
    both = images + predicted
    return float((2 * right[both > 0] / both[both > 0]).mean())


def top5(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """The share of images whose class is among the five most probable ones."""
    own = probabilities[np.arange(len(labels)), labels][:, None]
    return float(((probabilities > own).sum(1) < 5).mean())


def log_loss(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """The mean cross-entropy, in nats per image."""
    own = probabilities[np.arange(len(labels)), labels]
    return float(-np.log(np.maximum(own, np.finfo(np.float32).tiny), dtype=np.float64).mean())


def auroc(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """The mean area under the ROC curve of the classes that occur, each against all others; 0.5 where only one does.

    It is the share of pairs of an image of the class and another one that are in the right order (Hanley and McNeil,
    1982).
    """
    counts = np.bincount(labels, minlength=probabilities.shape[1])
    classes = np.flatnonzero((counts > 0) & (counts < len(labels)))
    areas = [_area(labels == each, probabilities[:, each]) for each in classes]
    return float(np.mean(areas)) if areas else 0.5


_METRICS: dict[str, Metric] = {
    "balanced_accuracy": balanced_accuracy,
    "macro_f1": macro_f1,
    "top5": top5,
    "log_loss": log_loss,
    "auroc": auroc,
}


def _counts(labels: np.ndarray, probabilities: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """By class: images of it that are classified correctly, images of it, and images taken for it."""
    answers, classes = probabilities.argmax(1), probabilities.shape[1]
    right = np.bincount(labels[answers == labels], minlength=classes)
    return right, np.bincount(labels, minlength=classes), np.bincount(answers, minlength=classes)


def _area(is_own: np.ndarray, values: np.ndarray) -> float:
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks = np.cumsum(counts) - (counts - 1) / 2  # equal values share the mean of their ranks
    own = int(is_own.sum())
    return float((ranks[places[is_own]].sum() - own * (own + 1) / 2) / (own * (len(values) - own)))


def all_metrics(logits: Tensor, labels: Tensor) -> dict[str, float]:
    """Returns every metric of `METRICS` but the accuracy; top5 only where there are more classes than five."""
    probabilities = logits.float().softmax(1).numpy()
    names = [name for name in _METRICS if name != "top5" or logits.shape[1] > 5]
    return {name: _METRICS[name](labels.numpy(), probabilities) for name in names}


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
