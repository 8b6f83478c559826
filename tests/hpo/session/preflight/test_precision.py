"""Which precision auto stands for, by what was measured."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
import torch

from hpo.session.preflight import precision
from hpo.session.preflight.planning import preflight
from hpo.session.preflight.precision import (
    BF16_AS_GOOD,
    MIN_BF16_SPEEDUP,
    bf16_speedup,
    choose_precision,
    is_bf16_fast,
    measured_speedup,
)
from hpo.session.study_json import describe
from hpo.spec.study import StudySpec
from models import MODELS
from tests.benchmarks.throughput import product_s


def test_what_is_asked_for_is_taken() -> None:
    assert choose_precision("bf16", "mlp", is_fast=False) == "bf16"
    assert choose_precision("float32", BF16_AS_GOOD[0], is_fast=True) == "float32"


def test_auto_wants_a_fast_device_and_a_measured_architecture() -> None:
    assert set(BF16_AS_GOOD) <= set(MODELS)
    assert choose_precision("auto", "cnn", is_fast=True) == "bf16"
    assert choose_precision("auto", "cnn", is_fast=False) == "float32"
    assert choose_precision("auto", "mlp", is_fast=True) == "float32"
    assert choose_precision("auto", "my_nets:net", is_fast=True) == "float32"


def test_a_processor_is_fast_by_measurement_and_a_gpu_by_its_generation(monkeypatch: pytest.MonkeyPatch) -> None:
    for speedup, expected in ((MIN_BF16_SPEEDUP, True), (MIN_BF16_SPEEDUP - 0.01, False)):
        monkeypatch.setattr(precision, "bf16_speedup", lambda speedup=speedup: speedup)
        assert is_bf16_fast("cpu") is expected and not is_bf16_fast("mps")
    for generations, expected in (([(9, 0), (8, 0)], True), ([(9, 0), (7, 5)], False)):
        monkeypatch.setattr(torch.cuda, "device_count", lambda generations=generations: len(generations))
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda n, generations=generations: generations[n])
        assert is_bf16_fast("cuda") is expected


def test_the_speed_is_a_measurement(monkeypatch: pytest.MonkeyPatch) -> None:
    threads = torch.get_num_threads()
    found = measured_speedup()
    assert torch.get_num_threads() == threads
    torch.set_num_threads(1)
    try:
        in_float32, in_bf16 = (product_s(dtype, 512, 15) for dtype in (torch.float32, torch.bfloat16))
    finally:
        torch.set_num_threads(threads)
    assert found == pytest.approx(in_float32 / in_bf16, rel=0.5)
    monkeypatch.setattr(precision, "_seconds", lambda one, _: 3.0 if one.dtype == torch.float32 else 2.0)
    assert measured_speedup() == 1.5


@pytest.mark.parametrize("busy", ["first", "second"])
def test_a_machine_that_is_busy_for_a_while_decides_as_one_that_is_not(
    busy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def seconds(one: torch.Tensor, _: torch.Tensor) -> float:
        calls.append(one.dtype)
        slow = (len(calls) <= whole / 2) == (busy == "first") if whole else False
        return (3.0 if one.dtype == torch.float32 else 2.0) * (7.0 if slow else 1.0)

    calls: list[torch.dtype] = []
    whole = 0
    monkeypatch.setattr(precision, "_seconds", seconds)
    assert measured_speedup() == 1.5
    whole, calls = len(calls), []
    assert measured_speedup() == 1.5


def test_only_the_time_of_the_thread_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "perf_counter", lambda: pytest.fail("it also runs while others have the processor"))
    clock = iter([1.0, 1.25])
    monkeypatch.setattr(time, "thread_time", lambda: next(clock))
    assert precision._seconds(torch.ones(2, 2), torch.ones(2, 2)) == 0.25


def test_it_is_measured_once_on_a_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    measured = iter([2.5, 0.9, 1.7])
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(precision, "measured_speedup", lambda: next(measured))
    assert [bf16_speedup() for _ in range(3)] == [2.5] * 3
    (file,) = (tmp_path / "podium").iterdir()
    monkeypatch.setattr(precision, "processor", lambda: "model name: another one")
    assert [bf16_speedup() for _ in range(2)] == [0.9] * 2
    monkeypatch.undo()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(precision, "measured_speedup", lambda: next(measured))
    for damaged in ("", "nan", "-1", "fast"):
        file.write_text(damaged)
        assert precision._read(file) is None
    assert bf16_speedup() == 1.7 and float(file.read_text()) == 1.7


def test_without_a_cache_it_is_measured_each_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    measured = iter([2.5, 0.9])
    (tmp_path / "podium").write_text("no folder")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(precision, "measured_speedup", lambda: next(measured))
    assert [bf16_speedup() for _ in range(2)] == [2.5, 0.9]


@pytest.mark.parametrize(("speedup", "expected"), [(4.0, ["bf16", "float32"]), (0.7, ["float32", "float32"])])
def test_a_plan_has_a_precision_for_each_architecture_and_keeps_it(
    speedup: float, expected: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def plan(stored: Any = None, **settings: Any) -> Any:
        settings = {"model": ["cnn", "mlp"], "dataset": "digits", "trials": 1, **settings}
        return preflight(StudySpec.of(**settings), stored)

    monkeypatch.setattr(precision, "bf16_speedup", lambda: speedup)
    first = plan()
    assert [model.precision for model in first.models] == expected
    study = describe(first)
    assert [entry["precision"] for entry in study["models"].values()] == expected
    monkeypatch.setattr(precision, "bf16_speedup", lambda: 1.0)  # resumed on another machine
    assert [model.precision for model in plan(study).models] == expected
    del study["models"]["mlp"]["precision"], study["models"]["cnn"]["precision"]  # of a version that had only float32
    study["spec"]["precision"] = "float32"
    assert [model.precision for model in plan(study).models] == ["float32", "float32"]
    monkeypatch.setattr(precision, "bf16_speedup", lambda: pytest.fail("measured for nothing"))
    assert [model.precision for model in plan(precision="bf16").models] == ["bf16", "bf16"]
    assert [model.precision for model in plan(model="mlp").models] == ["float32"]
    shared = plan(storage=f"sqlite:///{tmp_path}/shared.db", study="together")
    assert [model.precision for model in shared.models] == ["float32", "float32"]
