"""Networks that have no room in memory are refused before anything is built."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from hpo.__main__ import main
from hpo.session.preflight.planning import preflight
from hpo.session.preflight.resources import Available
from hpo.spec.study import StudySpec

HUGE = "has 25,717,442 parameters for these images"  # cnn's, of 224x224
ROOM = 10**8
OWN = """
from torch import nn


def wide(input_shape, num_classes, *, width=100_000):
    assert "meta" in str(nn.Linear(1, 1).weight.device), "it was built"
    return nn.Sequential(nn.Flatten(), nn.Linear(784, width), nn.Linear(width, num_classes))
"""


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A data set of images that make large networks, on a machine that has no room for those."""
    (tmp_path / "photos" / "train").mkdir(parents=True)
    for number in range(12):
        Image.new("L", (224, 224), number).save(tmp_path / "photos" / "train" / f"{number}_{number % 2}.png")
    monkeypatch.setattr("hpo.networks.capacity.available_bytes", lambda: ROOM)
    monkeypatch.setattr("hpo.networks.capacity._ALWAYS_FREE", 10**6)
    return str(tmp_path / "photos")


def test_a_search_of_a_network_too_large_for_this_machine_is_refused(photos: str) -> None:
    with pytest.raises(ValueError, match=f"--model cnn: {HUGE}") as caught:
        preflight(StudySpec.of(model="cnn", dataset=photos))
    words = (
        "training it (float32, with gradients, Adam's moments and averaged weights) takes 0.5 GB of memory, and 0.1 GB"
    )
    assert words in str(caught.value) and "\n" not in str(caught.value)


def test_a_network_whose_weights_are_not_averaged_needs_less(photos: str) -> None:
    with pytest.raises(ValueError, match=r"\(float32, with gradients and Adam's moments\) takes 0\.4 GB"):
        preflight(StudySpec.of(model="cnn", dataset=photos, set="ema=0"))


def test_among_others_it_is_left_out_and_said_so(photos: str) -> None:
    plan = preflight(StudySpec.of(model=["cnn", "compact_6k"], dataset=photos))
    assert [model.name for model in plan.models] == ["compact_6k"]
    assert plan.notices[0].startswith(f"left out: cnn: {HUGE}")


def test_a_clusters_nodes_may_have_more_memory(photos: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hpo.session.preflight.planning.joins_cluster", lambda address: True)
    monkeypatch.setattr("hpo.session.preflight.planning.find_resources", lambda _: Available(cpus=2, gpus=0))
    (model,) = preflight(StudySpec.of(model="cnn", dataset=photos)).models
    assert model.parameters == 25_717_442


def test_networks_over_a_budget_are_not_trained_and_need_no_memory(photos: str) -> None:
    spec = StudySpec.of(model="cnn", dataset=photos, search_widths=True, max_parameters=1_000_000)
    assert preflight(spec).models[0].parameters == 25_717_442


def test_a_gpus_memory_counts_where_it_trains(photos: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from hpo.networks.capacity import counted
    from trainers.data.dataset import load_dataset

    dataset = load_dataset(photos, Path("x"))
    config = {"lr": 0.1, "dropout": 0.2}
    monkeypatch.setattr("hpo.networks.capacity._largest_gpu", lambda: 3 * 10**8)
    for device in ("auto", "cuda"):
        with pytest.raises(ValueError, match=r"takes 0\.4 GB of memory, and the GPU has 0\.3 GB"):
            counted("cnn", dataset, config, device)
    monkeypatch.setattr("hpo.networks.capacity._largest_gpu", lambda: 10**9)
    assert counted("cnn", dataset, config, "auto") == 25_717_442
    with pytest.raises(ValueError, match=r"0\.1 GB are free"):
        counted("cnn", dataset, config, "cpu")


def test_hpo_train_refuses_it_too_and_leaves_nothing(
    photos: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results = tmp_path / "results"
    assert main(["train", "--model", "cnn", "--dataset", photos, "--results-dir", str(results)]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith(f"hpo: cnn: {HUGE}") and err.count("\n") == 1 and not results.exists()


def test_an_own_architecture_is_counted_before_it_is_built(
    photos: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "wide_one.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ValueError, match=r"--model wide_one:wide: has 79,500,010 parameters .* takes 1\.6 GB"):
        preflight(StudySpec.of(model="wide_one:wide", dataset="digits"))
