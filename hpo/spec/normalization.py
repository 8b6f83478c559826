"""The normalization that a network gets: that of its pretrained weights, else that of the training images."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from models import wanted_normalization

if TYPE_CHECKING:
    from trainers.data.images.scaling import Scaling


def scaling_for(model: str, arch: Mapping[str, Any], measured: Scaling) -> Scaling:
    """Returns how images are normalized for this configuration of an architecture.

    measured: that of the data set, which stays where the user has chosen it (--mean, --std), or the network begins with
    random weights.
    """
    from trainers.data.images.scaling import Scaling

    wanted = None if measured.is_given else wanted_normalization(model, len(measured.mean), arch)
    return measured if wanted is None else Scaling(*wanted)
