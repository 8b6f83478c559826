"""A data set of one's own, made by a function:

hpo run --model mlp_small --dataset tests/examples/even_or_odd.py:make --metric auroc
"""

from __future__ import annotations

from typing import Any

from sklearn.datasets import load_digits


def make() -> dict[str, Any]:
    """Handwritten digits, 8x8, of which the network is to tell the even from the odd ones."""
    digits = load_digits()
    named = zip(digits.images, digits.target, strict=True)
    pairs = [(image / 16, "odd" if label % 2 else "even") for image, label in named]
    return {"train": pairs[:1400], "test": pairs[1400:]}
