from __future__ import annotations

from pathlib import Path

import pytest

from hpo.__main__ import main


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a network that has learned something of the digits."""
    results = tmp_path_factory.mktemp("results")
    line = "train --model lenet5_bn --epochs 6 --lr 3e-3 --dropout 0.1 --dataset digits --name a --train-size 1000"
    assert main([*line.split(), "--results-dir", str(results), "--quiet"]) == 0
    return results / "a"
