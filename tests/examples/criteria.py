"""A loss and a metric of one's own:

hpo run --dataset digits --loss tests/examples/criteria.py:poly1 --metric tests/examples/criteria.py:worst_recall
"""

from __future__ import annotations

import numpy as np
import torch
from torch.nn import functional as F


def poly1(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """The cross-entropy plus 1 - p (PolyLoss: Leng et al., 2022). logits: (N, classes). labels: (N,)."""
    p = logits.softmax(1).gather(1, labels[:, None])[:, 0]
    return (F.cross_entropy(logits, labels, reduction="none") + 1 - p).mean()


def worst_recall(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """The recall of the class that is recognized worst. labels: (N,). probabilities: (N, classes)."""
    right = probabilities.argmax(1) == labels
    return float(min(right[labels == each].mean() for each in np.unique(labels)))
