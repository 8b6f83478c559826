"""`hpo train`: one configuration, from the flags to the files."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from PIL import Image

from hpo import run_study
from hpo.cli import main
from hpo.study import StudySpec
from trainers import checkpoint


def train(tmp_path: Path, line: str, name: str = "a") -> Path:
    words = ["train", *line.split(), "--dataset", "digits", "--name", name, "--results-dir", str(tmp_path)]
    assert main(words) == 0
    return tmp_path / name


def state(folder: Path) -> dict[str, torch.Tensor]:
    weights: dict[str, torch.Tensor] = checkpoint.load(folder / "best.pt")["state_dict"]
    return weights


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


def read(path: Path) -> Any:
    return json.loads(path.read_text())


def test_what_a_training_leaves(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = train(tmp_path, "--model lenet5 --lr 3e-3 --epochs 2 --augment rotate-crop --dropout 0.1")
    out = capsys.readouterr().out
    assert "lenet5 (44,426 parameters)" in out and "lr=0.003" in out and "epoch 2/2" in out
    assert f"hpo evaluate {folder}/best.pt" in out
    files = {"train.json", "curves.csv", "curves.png", "samples.png", "best.pt", "best.json"}
    assert {path.name for path in folder.iterdir()} == files
    curve = pd.read_csv(folder / "curves.csv")
    assert (
        list(curve["epoch"]) == [1, 2]
        and curve["val_accuracy"].max() == read(folder / "best.json")["trial"]["val_accuracy"]
    )
    settings = read(folder / "train.json")
    assert settings["train"]["lr"] == 3e-3 and settings["train"]["augment"] == "rotate-crop"
    assert settings["config"]["dropout"] == 0.1 and settings["data"]["hashes"] and settings["versions"]["torch"]
    for name in ("curves.png", "samples.png"):
        picture = Image.open(folder / name)
        assert picture.format == "PNG" and picture.width > 500 and len(picture.convert("L").getcolors(1000) or []) > 20


def test_the_same_seed_gives_the_same_weights_bit_for_bit(tmp_path: Path) -> None:
    line = "--model lenet5_bn --epochs 2 --schedule one-cycle --augment rotate-crop --dropout 0.3 --seed 5"
    first, second = (train(tmp_path, line, name) for name in "ab")
    assert same(state(first), state(second))
    assert not same(state(first), state(train(tmp_path, line.replace("--seed 5", "--seed 6"), "c")))


@pytest.mark.parametrize(
    ("flag", "value"),
    [
        ("lr", 0.02),
        ("batch_size", 32),
        ("optimizer", "sgd"),
        ("weight_decay", 0.01),
        ("momentum", 0.5),
        ("schedule", "cosine"),
        ("step_factor", 0.5),
        ("step_epochs", 2),
        ("augment", "rotate-crop"),
        ("dropout", 0.4),
        ("activation", "gelu"),
        ("precision", "bf16"),
        ("train_size", 500),
        ("mean", 0.3),
        ("std", 0.4),
    ],
)
def test_every_flag_changes_the_training(flag: str, value: object, tmp_path: Path) -> None:
    # What only sgd or a step schedule looks at is compared where these are on.
    base = {"model": "lenet5", "epochs": 2, "train_size": 200, "lr": 0.05, "schedule": "step", "step_epochs": 1}
    base |= {"optimizer": "sgd"} if flag != "optimizer" else {}
    losses = []
    for name, settings in (("plain", base), ("changed", {**base, flag: value})):
        line = " ".join(f"--{key.replace('_', '-')} {item}" for key, item in settings.items())
        losses.append(pd.read_csv(train(tmp_path, line, name) / "curves.csv")["train_loss"].tolist())
    assert losses[0] != losses[1]


def test_a_recipe_is_taken_and_flags_come_first(tmp_path: Path) -> None:
    settings = read(train(tmp_path, "--recipe C --model lenet5 --epochs 1 --lr 0.02") / "train.json")
    assert settings["train"] | {"lr": 0.02, "batch_size": 64, "optimizer": "sgd", "epochs": 1} == settings["train"]
    settings = read(train(tmp_path, "--recipe E --model mlp --epochs 1", "b") / "train.json")
    assert settings["data"]["mean"] == [0.1307] and settings["data"]["std"] == [0.3081]
    settings = read(train(tmp_path, "--recipe B --model compact_7k --epochs 1 --train-size 64", "c") / "train.json")
    expected = {"lr": 0.018, "schedule": "step", "step_factor": 0.12, "step_epochs": 6, "augment": "rotate-crop"}
    assert settings["train"] | expected == settings["train"]


@pytest.mark.slow
def test_from_a_run_trains_its_winner_bit_for_bit(tmp_path: Path, ray_local: None) -> None:
    spec = StudySpec.of(
        model="lenet5", trials=2, epochs=2, dataset="digits", train_size=500, mean=0.3, set="schedule=cosine",
        results_dir=tmp_path, name="run", quiet=True, precision="bf16", seed=3,
    )  # fmt: skip
    result = run_study(spec)
    assert result is not None and result.best is not None and result.best["schedule"] == "cosine"
    words = ["train", "--from", str(result.folder), "--results-dir", str(tmp_path), "--name", "again", "--quiet"]
    assert main(words) == 0
    assert same(state(result.folder), state(tmp_path / "again"))
    best, again = (read(folder / "best.json") for folder in (result.folder, tmp_path / "again"))
    assert best["trial"]["val_accuracy"] == again["trial"]["val_accuracy"] and best["hashes"] == again["hashes"]


def test_from_a_training_goes_on_to_another(tmp_path: Path) -> None:
    first = train(tmp_path, "--model mlp_small --epochs 2 --seed 4 --activation tanh")
    second = train(tmp_path, f"--from {first}", "b")
    assert same(state(first), state(second))
    third = read(train(tmp_path, f"--from {first} --epochs 1 --seed 9", "c") / "train.json")
    assert (third["train"]["epochs"], third["train"]["seed"], third["config"]["activation"]) == (1, 9, "tanh")


def test_a_network_of_ones_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "ownnet.py").write_text(
        "from torch import nn\n\n\ndef net(shape, classes, *, width):\n"
        "    return nn.Sequential(nn.Flatten(), nn.Linear(784, width), nn.ReLU(), nn.Linear(width, classes))\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    folder = train(tmp_path, "--model ownnet:net --set width=12 --epochs 1")
    assert state(folder)["1.weight"].shape == (12, 784)
    assert main(["evaluate", str(folder)]) == 0


WRONG = {
    "--model lenet": "--model lenet: unknown (did you mean lenet5?)",
    "--recipe C": "--recipe C: has several models; add --model mlp_small or lenet5 or lenet5_bn",
    "--recipe F": "--recipe F: system F: choose from A",
    "--recipe E --model vgg16": "--recipe E: --model vgg16: no recipe of that name in system E; choose from mlp, cnn",
    "--recipe E --from x": "choose one of them",
    "--from nowhere": "--from nowhere: has no best.json",
    "--lr -1": "--lr -1.0: lr must be over 0",
    "--lr fast": "--lr",
    "--model mlp --dropout 1.5": "--dropout 1.5: dropout must be at least 0 and under 1",
    "--model compact_7k --dropout 0.2": "--dropout 0.2: unknown",
    "--schedule linear": "--schedule linear: unknown; choose from none, step, cosine, one-cycle",
    "--augment flip": "--augment flip: unknown; choose from none, rotate-crop",
    "--pretrained head": "--pretrained head: unknown",
    "--epochs 0": "--epochs 0: must be at least 1",
    "--seed -1": "--seed -1: must be at least 0",
    "--name ../x": "--name ../x: must be a plain folder name",
    "--precision half": "--precision half: unknown; choose from float32, bf16",
    "--device cuda:9": "--device cuda:9: unknown",
    "--train-size 3": "--train-size 3: must be between",
    "--set width": "--set width: write NAME=VALUE",
    "--set width=3": "--set width=3: unknown; choose from lr, dropout",
}


@pytest.mark.parametrize("line", WRONG)
def test_wrong_input_is_one_line_and_leaves_nothing(
    line: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", *line.split(), "--dataset", "digits", "--results-dir", str(tmp_path / "r")]) == 2
    out, err = capsys.readouterr()
    assert err.startswith("hpo: ") and WRONG[line] in err and err.count("\n") == 1 and out == ""
    assert not (tmp_path / "r").exists()


def test_a_name_that_is_taken(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = train(tmp_path, "--model mlp_small --epochs 1")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    words = ["train", "--model", "mlp", "--dataset", "digits", "--name", "a", "--results-dir", str(tmp_path)]
    assert main(words) == 2
    assert f"--name a: {folder} is there already; take another name" in capsys.readouterr().err
    assert before == {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_training_that_diverges(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = "train --model mlp_small --optimizer sgd --lr 1e30 --epochs 3 --dataset digits --name a"
    assert main([*line.split(), "--results-dir", str(tmp_path)]) == 1
    assert "hpo: the loss is not finite in epoch 1; a lower --lr helps" in capsys.readouterr().err
    assert not (tmp_path / "a" / "best.pt").exists()


@pytest.mark.slow
def test_ctrl_c_keeps_what_was_trained(tmp_path: Path) -> None:
    root = Path(__file__).parent.parent.parent
    code = f"import sys; sys.path.insert(0, {str(root)!r}); from hpo.cli import main; sys.exit(main(sys.argv[1:]))"
    words = ["train", "--model", "lenet5", "--epochs", "500", "--dataset", "digits", "--name", "a", "--results-dir"]
    process = subprocess.Popen([sys.executable, "-c", code, *words, str(tmp_path)], stderr=subprocess.PIPE, text=True)
    until = time.monotonic() + 60
    while not (tmp_path / "a" / "curves.csv").exists() and time.monotonic() < until:
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130 and err.startswith("hpo: interrupted; what was trained is in"), err
    epochs = len(pd.read_csv(tmp_path / "a" / "curves.csv"))
    best = read(tmp_path / "a" / "best.json")["trial"]
    assert best["state"] == "stopped" and best["epochs"] == epochs and (tmp_path / "a" / "curves.png").exists()
    assert main(["evaluate", str(tmp_path / "a")]) == 0
