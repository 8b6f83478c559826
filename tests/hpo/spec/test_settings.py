"""The settings of data and of training."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from hpo.spec.commands.fit import FitSpec
from hpo.spec.settings import DataSpec, TrainSpec
from hpo.system.errors import UserError


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"dataset": "mnsit"}, "--dataset mnsit: unknown (did you mean mnist?); choose from auto, mnist, "),
        ({"train_size": 0}, "--train-size 0: must be at least 1"),
        ({"std": 0.0}, "--std 0.0: must be over 0"),
        ({"std": math.nan}, "--std nan: must be over 0"),
        ({"mean": math.inf}, "--mean inf: must be a finite number"),
    ],
)
def test_data_that_cannot_be_is_refused(given: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError) as error:
        DataSpec(**given)
    assert str(error.value).startswith(words)


def test_a_folder_and_a_file_are_data_sets(tmp_path: Path) -> None:
    assert DataSpec(dataset=str(tmp_path)).dataset == str(tmp_path)
    assert DataSpec(dataset="some/where.tar").dataset == "some/where.tar"  # whether it is there is seen when it is read


def test_data_sets_lie_where_the_flag_or_else_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PODIUM_DATA_DIR", "/mine")
    assert DataSpec(data_dir=Path("here")).directory == Path("here") and DataSpec().directory == Path("/mine")
    monkeypatch.setenv("PODIUM_DATA_DIR", "")
    assert DataSpec().directory == Path("data")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"precision": "fp16"}, "--precision fp16: unknown (did you mean bf16?); choose from auto, float32, bf16"),
        ({"device": "tpu"}, "--device tpu: unknown"),
    ],
)
def test_training_that_cannot_be_is_refused(given: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError) as error:
        TrainSpec(**given)
    assert str(error.value).startswith(words)


@pytest.mark.parametrize(("precision", "plain"), [("auto", "float32"), ("float32", "float32"), ("bf16", "bf16")])
def test_without_a_search_auto_is_float32(precision: str, plain: str) -> None:
    assert TrainSpec(precision=precision).plain_precision == plain


def test_a_gpu_is_cuda() -> None:
    assert TrainSpec(device="gpu").device == FitSpec(device="gpu").device == "cuda"
