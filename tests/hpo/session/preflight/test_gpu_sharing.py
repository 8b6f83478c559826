"""How trials are packed on a GPU: decisions from measurements, and the measurement itself on a worker without one."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hpo.session.preflight import gpu_sharing
from hpo.session.preflight.gpu_sharing import (
    GpuSharing,
    best_group_size,
    group_sizes_to_try,
    largest_architecture,
    plan_gpu_sharing,
    probe_on_ray,
    share_of,
)
from hpo.session.preflight.planning import preflight
from hpo.spec.plan import Plan
from hpo.spec.resources import ResourceSpec
from hpo.spec.study import StudySpec
from trainers.gpu.probe import Probe

GIB = 2**30


def plan(**settings: Any) -> Plan:
    return preflight(StudySpec.of(**{"model": "lenet5", "dataset": "digits", "trials": 50, **settings}))


@pytest.mark.parametrize(
    ("peak", "busy", "share"),
    [
        (1 * GIB, 0.1, 0.1111),  # by its time: 0.9 / 0.1
        (20 * GIB, 0.1, 0.3333),  # by its memory: 0.8 * 80 / 20 = 3.2
        (1 * GIB, 0.001, 0.0625),  # at most 16 processes
        (1 * GIB, 0.6, 1.0),
        (60 * GIB, 0.01, 1.0),
    ],
)
def test_a_share_is_what_fits_with_a_margin(peak: int, busy: float, share: float) -> None:
    found = share_of(Probe(peak_bytes=peak, total_bytes=80 * GIB, busy=busy))
    assert found == share
    count = int(1 / found + 1e-9)
    assert count * peak <= 0.8 * 80 * GIB or count == 1


def test_lanes_are_those_that_train_most_if_it_is_worth_it() -> None:
    found = Probe(images_per_s={1: 1000.0, 8: 5000.0, 16: 9000.0, 32: 8000.0})
    assert best_group_size(found) == 16
    assert (
        best_group_size(Probe(images_per_s={1: 1000.0, 8: 1400.0}))
        == best_group_size(Probe(images_per_s={1: 1000.0}))
        == 1
    )
    # A search is made of three arrays at least, and of one for each GPU.
    assert [group_sizes_to_try(trials) for trials in (20, 30, 50, 100)] == [(6,), (8,), (8, 16), (8, 16, 32)]
    assert [group_sizes_to_try(50, at_once=gpus) for gpus in (4, 8)] == [(8,), (6,)]


def test_on_a_cpu_nothing_is_fused_unless_it_is_asked_for() -> None:
    assert {m.group_size for m in plan().models} == {1} == {m.group_size for m in plan(fuse="off").models}
    asked = plan(fuse=8, model=["lenet5", "mlp"])
    assert [m.group_size for m in asked.models] == [8, 8] and asked.max_group_size == 8
    assert [m.group_size for m in plan(fuse=8, trials=3).models] == [3]
    assert plan(gpus_per_trial="auto").gpus_per_trial == 0.0


def test_what_cannot_be_fused_is_said() -> None:
    mixed = plan(fuse=4, model=["vgg16", "lenet5"], trials=4)
    assert [m.group_size for m in mixed.models] == [1, 4]
    assert "not fused, because no plain stack of layers: vgg16" in mixed.notices
    with pytest.raises(
        ValueError,
        match="--fuse 4: vgg16 is no plain stack of layers that can be fused, or has a loss of your own; choose off",
    ):
        plan(fuse=4, model="vgg16")


def test_a_gpu_is_asked_before_a_run_but_not_before_a_dry_run(monkeypatch: pytest.MonkeyPatch) -> None:
    made = plan()
    asked: list[Any] = []

    def measured(resources: Any, dataset: Any, model: Any, lanes: Any) -> Probe | None:
        asked.append((model.name, lanes))
        if model.name == "mlp":
            return None
        rates = {1: 100.0, **dict.fromkeys(lanes, 900.0)}
        return Probe(peak_bytes=GIB, total_bytes=80 * GIB, busy=0.25, images_per_s=rates)

    monkeypatch.setattr(gpu_sharing, "probe_on_ray", measured)

    def packed(models: list[str], gpus: int | None = 1, trials: int = 50, **resources: Any) -> GpuSharing:
        plans = tuple(replace(made.models[0], name=name, space=plan(model=name).models[0].space) for name in models)
        return plan_gpu_sharing(ResourceSpec(**resources), trials, made.dataset, plans, "cuda", gpus)

    both = packed(["lenet5", "vgg16"], trials=50)
    assert both.group_sizes == {"lenet5": 8} and both.notes == ("lenet5: 8 trials at a time as one network",)
    assert asked == [("lenet5", (8, 16)), ("vgg16", ())]
    assert packed(["vgg16"]).group_sizes == {} and len(asked) == 2  # nothing to decide
    assert packed(["lenet5"], gpus=8, trials=50).group_sizes == {"lenet5": 6}  # all GPUs have one
    assert packed(["lenet5"], gpus=8, trials=50, concurrency=2).group_sizes == {"lenet5": 8}
    assert packed(["vgg16"], gpus_per_trial="auto") == GpuSharing(
        {}, 0.3333, ("each trial takes 0.3333 of a GPU, as measured",)
    )
    unknown = packed(["mlp"], gpus_per_trial="auto")
    assert unknown == GpuSharing({}, 1.0, ("what a trial takes of a GPU could not be measured: mlp",))
    assert packed(["lenet5", "vgg16"], gpus_per_trial="auto").gpus == 1.0  # an array takes a whole one
    assert packed(["lenet5"], fuse=4, gpus_per_trial="auto").gpus == 1.0
    assert packed(["lenet5"], trials=19) == GpuSharing({})  # too few for a probe
    count = len(asked)
    assert packed(["lenet5"], gpus=None).notes == ("how trials are packed on a GPU is measured at the start of a run",)
    assert packed(["lenet5"], gpus_per_trial=0.5) == GpuSharing({})  # the user packs
    assert packed(["lenet5"], fuse="off") == packed(["lenet5"], workers_per_trial=2) == GpuSharing({})
    assert len(asked) == count


def test_memory_is_measured_with_the_largest_network_of_the_space(monkeypatch: pytest.MonkeyPatch) -> None:
    ranges = ("dropout=0.1:0.7", "batch_size=16:512", "ema=0:0.999")
    (model,) = plan(model="cnn", search_widths=True, range=ranges).models
    (fixed,) = plan(model="cnn", set=("dropout=0.2", "activation=gelu")).models
    assert largest_architecture(model) == {
        "activation": "relu",
        "dropout": 0.7,
        "width_1": 64,
        "width_2": 128,
        "width_3": 256,
        "width_4": 128,
    }
    assert largest_architecture(fixed) == {"activation": "gelu", "dropout": 0.2}
    probed: dict[str, Any] = {}

    def probe(make: Any, data: Any, config: Any, lanes: Any, largest: Any, optimizers: Any) -> Probe:
        probed.update(make=make.keywords, largest=largest[0].keywords, batch_size=largest[1], ema=config.ema)
        return Probe()

    made = plan(model="cnn")
    monkeypatch.setattr(gpu_sharing, "probe", probe)
    monkeypatch.setattr("ray.remote", lambda **_: lambda task: Task(task))
    monkeypatch.setattr("ray.get", lambda found, **_: found)
    monkeypatch.setattr(gpu_sharing, "connect", lambda _: contextlib.nullcontext())
    probe_on_ray(made.spec.resources, made.dataset, model, (), device="cpu")
    assert probed["batch_size"] == 512 and probed["largest"] == largest_architecture(model)
    assert probed["ema"] == 0.999  # a copy of the weights
    assert probed["make"]["dropout"] == 0.7 and probed["make"]["width_1"] == 32  # the published one


class Task:
    """A remote function that is called at once."""

    def __init__(self, call: Any) -> None:
        self.remote = call

    def options(self, **_: Any) -> Task:
        return self


SOMETIMES = """
from torch import nn


def net(input_shape, num_classes, *, dropout=0.0):
    layers = [nn.Dropout(dropout)] if dropout else []
    return nn.Sequential(nn.Flatten(), *layers, nn.Linear(784, num_classes))
"""


def test_a_network_whose_layers_depend_on_dropout_is_not_fused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sometimes.py").write_text(SOMETIMES)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ValueError, match="--fuse 4: sometimes:net is no plain stack of layers"):
        plan(fuse=4, model="sometimes:net")


@pytest.mark.slow
@pytest.mark.usefixtures("ray_local")
def test_a_worker_measures(tmp_path: Path) -> None:
    made = plan()
    found = probe_on_ray(made.spec.resources, made.dataset, made.models[0], (2,), device="cpu")
    assert found and list(found.images_per_s) == [1, 2]
    broken = replace(made.models[0], name="vgg16")  # which takes no activation
    assert probe_on_ray(made.spec.resources, made.dataset, broken, (2,), device="cpu") is None
