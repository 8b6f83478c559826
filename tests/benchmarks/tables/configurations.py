"""The configurations of the tables: Podium's default search space, and random configurations of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np

from hpo.search.samplers.encoding import Encoding
from hpo.spec.search import SearchSpec
from hpo.spec.spaces.search_space import Space, search_space
from hpo.spec.spaces.stored import parse_distribution

ARCHITECTURES = ("mlp_small", "lenet5", "compact_7k", "cnn")
SPACES = "spaces.json"


def default_spaces() -> dict[str, Space]:
    """Returns what Podium searches by default, by architecture."""
    return {name: search_space(name, SearchSpec(model=(name,))) for name in ARCHITECTURES}


def draw(architecture: str, space: Space, number: int) -> dict[str, Any]:
    """Returns configuration `number` of an architecture: always the same, on each data set. Number 0 is the recipe."""
    if number == 0:
        return dict(space.default)
    rng = np.random.default_rng((crc32(architecture.encode()), number))
    encoding = Encoding(space.distributions)
    return encoding.config(encoding.random(1, rng)[0])


def read_spaces(folder: Path) -> dict[str, Space]:
    """Returns the spaces that a folder's tables were drawn from: Podium's own may be another one by now."""
    stored = json.loads((folder / SPACES).read_text())
    return {
        name: Space({key: parse_distribution(text) for key, text in entry["distributions"].items()}, entry["default"])
        for name, entry in stored.items()
    }


def write_spaces(folder: Path, spaces: Mapping[str, Space]) -> None:
    """Writes the spaces that a folder's tables are drawn from."""
    stored = {name: {"distributions": space.texts(), "default": space.default} for name, space in spaces.items()}
    (folder / SPACES).write_text(json.dumps(stored, indent=1) + "\n")
