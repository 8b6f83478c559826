from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from hpo.search.plan import shared_by_drivers
from hpo.search.tuning import _within_budget
from hpo.session.preflight.batches import check_batches
from hpo.session.preflight.planning import _concurrency, preflight
from hpo.session.study_json import describe, ended, resumed
from hpo.spec.search import SearchSpec
from hpo.spec.study import StudySpec
from models import MODELS


def spec(resume: str | None = None, **settings: Any) -> StudySpec:
    """With `resume`, of a run whose settings the tests have at hand, and no folder."""
    made = StudySpec.of(**{"dataset": "digits", **settings})
    return replace(made, output=replace(made.output, resume=resume))


def test_a_plan_resolves_everything() -> None:
    plan = preflight(spec(model=["mlp", "lenet5"], trials=3))
    assert [(m.name, m.parameters) for m in plan.models] == [("mlp", 109_386), ("lenet5", 44_426)]
    assert (plan.device, plan.gpus_per_trial, plan.total_trials) == ("cpu", 0.0, 6)
    assert plan.concurrency == plan.cpus and plan.notices == ()


def test_architectures_over_the_budget_are_left_out_and_said_so() -> None:
    plan = preflight(spec(model="all", max_parameters=50_000))
    small = ["mlp_small", "lenet5", "lenet5_bn", "compact_18k", "compact_7k", "compact_6k"]
    assert [m.name for m in plan.models] == small
    (note,) = plan.notices
    assert note.startswith("left out by --max-parameters 50000: mlp has 109,386, mlp_wide has 669,706, cnn has 429,258")


def test_with_its_widths_searched_a_large_architecture_may_fit() -> None:
    models = ["cnn_deep", "compact_190k", "lenet5"]
    plan = preflight(spec(model=models, max_parameters=8000, search_widths=True))
    assert [m.name for m in plan.models] == ["compact_190k"]
    assert "cnn_deep has " in plan.notices[0] and "lenet5 has 44,426" in plan.notices[0]


def test_architectures_that_these_images_are_too_small_for_are_left_out(tmp_path: Path) -> None:
    for number in range(20):
        file = tmp_path / "train" / f"{number}_{number % 2}.png"
        file.parent.mkdir(exist_ok=True)
        Image.new("L", (16, 16), number).save(file)
    plan = preflight(spec(model="all", dataset=str(tmp_path)))
    assert {m.name for m in plan.models} == set(MODELS) - {"compact_18k", "compact_7k", "compact_6k"}
    assert plan.notices[0].startswith("left out: compact_18k: needs images of at least 28x28, these are 16x16; ")
    with pytest.raises(ValueError, match="--model compact_7k: needs images of at least 22x22"):
        preflight(spec(model="compact_7k", dataset=str(tmp_path)))


def test_a_space_for_no_architecture_of_the_run_is_noticed(tmp_path: Path) -> None:
    search = SearchSpec(model=("mlp",), space={"cnn": {"lr": 0.1}})
    (note,) = preflight(replace(spec(model="mlp"), search=search)).notices
    assert note == "--config: [space.cnn] is for no architecture of this run"


@pytest.mark.parametrize("model", ["cnn", "all"])
def test_a_budget_that_nothing_fits_is_refused(model: str) -> None:
    with pytest.raises(ValueError, match=r"--max-parameters 10: fewer than any configuration has \(.*cnn has 429,258"):
        preflight(spec(model=model, max_parameters=10))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"device": "cuda"}, "--device cuda: there is no GPU here; choose from cpu, auto"),
        ({"gpus_per_trial": 1}, "--gpus-per-trial 1: there are 0 GPUs"),
        ({"gpus_per_trial": 0.5}, "--gpus-per-trial 0.5: there are 0 GPUs"),
        ({"device": "cpu", "gpus_per_trial": 1}, "--gpus-per-trial 1: --device cpu uses none"),
        ({"device": "mps"}, "--device mps: there is no Apple GPU here"),
        ({"cpus_per_trial": 9999}, "--cpus-per-trial 9999: there are"),
        ({"workers_per_trial": 9999}, "--workers-per-trial 9999, with --cpus-per-trial 1 for each: there are"),
        ({"workers_per_trial": 2, "gpus_per_trial": 1}, "--gpus-per-trial 1 for each of --workers-per-trial 2: there"),
        ({"workers_per_trial": 2, "gpus_per_trial": 0.5}, "--gpus-per-trial 0.5: each of --workers-per-trial needs"),
    ],
)
def test_resources_that_are_not_there_are_refused(settings: dict[str, Any], message: str) -> None:
    import torch

    if torch.cuda.is_available() or torch.backends.mps.is_available():
        pytest.skip("this machine has an accelerator")
    with pytest.raises(ValueError, match=message):
        preflight(spec(**settings))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"set": ("batch_size=1",)}, "mlp needs batches of at least 2 images, batch_size is at most 1; give a larger"),
        ({"model": "lenet5_bn", "set": ("batch_size=3",)}, "lenet5_bn needs batches of at least 4 images, batch_size"),
        ({"model": ["mlp", "lenet5_bn"], "range": ("batch_size=1:3",)}, "lenet5_bn needs batches of at least 4 images"),
    ],
)
def test_batches_that_are_too_small_for_the_workers_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^--workers-per-trial 2: {message}"):
        preflight(spec(**{"model": "mlp", "workers_per_trial": 2, **settings}))


def test_batches_that_are_large_enough_for_the_workers_are_taken() -> None:
    preflight(spec(model="mlp", set=("batch_size=2",), workers_per_trial=2))
    preflight(spec(model="lenet5_bn", range=("batch_size=1:4",), workers_per_trial=2))


def test_fewer_images_than_workers_are_refused() -> None:
    plan = preflight(spec(model="mlp", train_size=30))
    message = (
        "^--workers-per-trial 31: mlp needs batches of at least 31 images, there are 30 training images; take fewer"
    )
    check_batches(plan.models, plan.dataset, 30)
    with pytest.raises(ValueError, match=message):
        check_batches(plan.models, plan.dataset, 31)


@pytest.mark.parametrize(
    ("gpus", "share", "room"), [(1, 0.3, 3), (2, 0.6, 2), (4, 0.25, 16), (4, 1, 4), (5, 2, 2), (1, 0.1, 10)]
)
def test_a_share_of_a_gpu_lies_on_one_gpu(gpus: int, share: float, room: int) -> None:
    made = spec(device="cuda", gpus_per_trial=share)
    assert _concurrency(made, share, {"CPU": 64, "GPU": gpus}) == (room, "")


def test_concurrency_is_cut_to_what_the_resources_hold_and_said_so() -> None:
    resources = {"CPU": 4.0, "GPU": 0.0}
    assert _concurrency(spec(cpus_per_trial=2), 0, resources) == (2, "")
    assert _concurrency(spec(concurrency=1), 0, resources) == (1, "")
    assert _concurrency(spec(workers_per_trial=2), 0, resources) == (2, "")
    assert _concurrency(spec(workers_per_trial=3, device="cuda"), 1, {"CPU": 64, "GPU": 8}) == (2, "")
    at_once, note = _concurrency(spec(concurrency=9), 0, resources)
    assert at_once == 4 and note == "--concurrency 9 is more than the resources hold: 4 at once"


@pytest.mark.parametrize("sampler", ["gp", "cmaes"])
def test_samplers_without_early_stopping_say_so(sampler: str) -> None:
    (note,) = preflight(spec(sampler=sampler)).notices
    assert note.startswith(f"no early stopping: {sampler} learns from whole trials only")


def test_a_resumed_run_may_change_how_but_not_what() -> None:
    stored = ended(describe(preflight(spec(model="mlp", trials=3))), "interrupted", {})
    plan = preflight(spec(model="mlp", trials=9, concurrency=1, resume="x"), stored)
    study = resumed(stored, plan)
    assert study["spec"]["trials"] == 9 and len(study["sessions"]) == 2
    assert "outcome" in study["sessions"][0] and study["state"] == "running"


def test_a_run_from_before_a_setting_was_one_can_be_resumed() -> None:
    stored = describe(preflight(spec(model="mlp", trials=3)))
    for key in ("objective", "finalists", "final_seeds"):
        del stored["spec"][key]
    assert preflight(spec(model="mlp", trials=9, resume="x"), stored).spec.search.trials == 9
    with pytest.raises(ValueError, match="cannot change --objective"):
        preflight(spec(model="mlp", objective=["accuracy", "time"], resume="x"), stored)


def test_a_password_is_neither_kept_nor_shown(tmp_path: Path) -> None:
    uri = "http://user:secret@127.0.0.1:9"
    with pytest.raises(ValueError, match=r"--mlflow http://user:\*\*\*@127.0.0.1:9: cannot be used") as caught:
        preflight(spec(mlflow=uri))
    assert "secret" not in str(caught.value)
    stored = describe(preflight(spec(mlflow=uri, dry_run=True)))
    assert stored["spec"]["mlflow"] == "http://user:***@127.0.0.1:9"
    with pytest.raises(ValueError, match="--resume x: give --mlflow again, its password is not kept"):
        preflight(spec(mlflow=stored["spec"]["mlflow"], resume="x"), stored)


def test_drivers_of_one_study_have_the_same_objectives() -> None:
    plan = preflight(spec(objective=["accuracy", "time"]))
    assert shared_by_drivers(plan, plan.models[0])["objective"] == ["accuracy", "time"]


def test_a_budget_takes_an_own_architecture_as_it_comes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "heads.py").write_text(
        "from torch import nn\n"
        "def net(input_shape, num_classes, *, dim=64, heads=8):\n"
        "    assert dim % heads == 0\n"
        "    return nn.Sequential(nn.Flatten(), nn.Linear(784, dim), nn.Linear(dim, num_classes))\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    space = {"heads:net": {"dim": {"low": 8, "high": 64}, "heads": {"low": 3, "high": 8}}}
    plan = preflight(spec(model="heads:net", max_parameters=10_000, space=space))
    fits = _within_budget(plan, plan.models[0])
    assert fits({"lr": 0.1, "dim": 8, "heads": 4}) and not fits({"lr": 0.1, "dim": 64, "heads": 4})
    assert fits({"lr": 0.1, "dim": 8, "heads": 3})  # it fails, as a trial, and says why


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"model": "cnn"}, r"cannot change --model \['mlp'\] -> \['cnn'\]"),
        ({"epochs": 3}, "cannot change --epochs 10 -> 3"),
        ({"set": "lr=0.1"}, r"cannot change --set unset -> \['lr=0.1'\]"),
        ({"seed": 4, "sampler": "gp"}, "cannot change --sampler tpe -> gp; --seed 0 -> 4"),
        ({"train_size": 50}, "cannot change --train-size unset -> 50"),
        ({"rank_by": "time"}, r"cannot change --rank-by unset -> \['time'\]"),
        ({"dataset": "mnist"}, "--dataset digits -> mnist"),
        ({"storage": "sqlite:///other.db"}, "--storage must be the one it began with, none"),
    ],
)
def test_another_study_is_refused_with_the_difference(changed: dict[str, Any], message: str) -> None:
    stored = describe(preflight(spec(model="mlp")))
    with pytest.raises(ValueError, match=f"--resume x: .*{message}") as caught:
        preflight(spec(**{"model": "mlp", "resume": "x", **changed}), stored)
    assert "\n" not in str(caught.value)


def test_data_that_changed_since_is_refused() -> None:
    stored = describe(preflight(spec(model="mlp")))
    stored["data"]["hashes"]["train"] = "0" * 64
    with pytest.raises(ValueError, match="--dataset digits: its train split is not the one of the run"):
        preflight(spec(model="mlp", resume="x"), stored)


def test_study_json_tells_what_was_run(tmp_path: Any) -> None:
    url = f"sqlite:///{tmp_path}/shared.db"
    study = describe(preflight(spec(model="mlp", storage=url)))
    assert study["data"]["name"] == "digits" and len(study["data"]["hashes"]) == 3
    assert study["data"]["sizes"] == {"train": 1150, "validation": 288, "test": 359}
    assert {"torch", "ray", "optuna", "python"} <= set(study["versions"])
    assert study["models"]["mlp"]["parameters"] == 109_386
    assert study["early_stopping"] == {"scheduler": "asha", "rungs": [1, 3, 9]}
    assert study["spec"]["storage"] == url
