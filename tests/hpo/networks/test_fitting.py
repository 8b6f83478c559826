"""`hpo train`: one configuration, from the flags to the files."""

from __future__ import annotations

import json
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
from hpo.__main__ import main
from hpo.spec.study import StudySpec
from trainers import checkpoint


def train(tmp_path: Path, line: str, name: str = "a") -> Path:
    words = ["train", *line.split(), "--dataset", "digits", "--name", name, "--results-dir", str(tmp_path)]
    assert main(words) == 0
    return tmp_path / name


def state(folder: Path, file: str = "best.pt") -> dict[str, torch.Tensor]:
    weights: dict[str, torch.Tensor] = checkpoint.load(folder / file)["state_dict"]
    return weights


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


def read(path: Path) -> Any:
    return json.loads(path.read_text())


def test_what_a_training_leaves(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = train(tmp_path, "--model lenet5 --lr 3e-3 --epochs 2 --augment rotate-crop --dropout 0.1")
    out = capsys.readouterr().out
    assert "lenet5 (44,426 parameters)" in out and "lr=0.003" in out and "epoch 2/2" in out
    assert f"hpo evaluate {folder}\n" in out
    files = {"train.json", "curves.csv", "curves.png", "samples.png", "best.pt", "best.json", "report.html"}
    assert {path.name for path in folder.iterdir()} == files
    curve = pd.read_csv(folder / "curves.csv")
    assert (
        list(curve["epoch"]) == [1, 2]
        and curve["val_accuracy"].max() == read(folder / "best.json")["trial"]["val_accuracy"]
    )
    settings = read(folder / "train.json")
    assert settings["train"]["lr"] == 3e-3 and settings["train"]["augment"] == "rotate-crop"
    assert settings["config"]["dropout"] == 0.1 and settings["data"]["hashes"] and settings["versions"]["torch"]
    page = (folder / "report.html").read_text()
    assert "Confusion matrix" in page and "Training images" in page and "could not be drawn" not in page
    assert main(["report", str(folder), "--out", str(tmp_path / "again.html")]) == 0
    assert (tmp_path / "again.html").read_text() == page
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
        ("weight_decay", 0.05),
        ("momentum", 0.5),
        ("schedule", "cosine"),
        ("step_factor", 0.5),
        ("step_epochs", 2),
        ("beta1", 0.5),
        ("augment", "rotate-crop"),
        ("augment", "none"),
        ("augment", "shift-flip"),
        ("schedule", "wsd"),
        ("schedule", "none"),
        ("label_smoothing", 0.0),
        ("ema", 0.0),
        ("clip_norm", 0.1),
        ("dropout", 0.4),
        ("activation", "gelu"),
        ("precision", "bf16"),
        ("train_size", 500),
        ("mean", 0.3),
        ("std", 0.4),
    ],
)
def test_every_flag_changes_the_training(flag: str, value: object, tmp_path: Path) -> None:
    # What only sgd, adam or a step schedule looks at is compared where these are on.
    base = {"model": "lenet5", "epochs": 2, "train_size": 200, "lr": 0.05, "schedule": "step", "step_epochs": 1}
    base |= {"optimizer": "sgd"} if flag not in ("optimizer", "beta1") else {}
    losses = []
    for name, settings in (("plain", base), ("changed", {**base, flag: value})):
        line = " ".join(f"--{key.replace('_', '-')} {item}" for key, item in settings.items())
        losses.append(pd.read_csv(train(tmp_path, line, name) / "curves.csv")[["train_loss", "val_loss"]])
    assert not losses[0].equals(losses[1])


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
    assert result.best is not None and result.best["schedule"] == "cosine"
    words = ["train", "--from", str(result.folder), "--results-dir", str(tmp_path), "--name", "again", "--quiet"]
    assert main(words) == 0
    assert same(state(result.folder, "trial.pt"), state(tmp_path / "again"))
    best, again = (read(folder / "best.json") for folder in (result.folder, tmp_path / "again"))
    assert best["trial"]["val_accuracy"] == again["trial"]["val_accuracy"] and best["hashes"] == again["hashes"]


def test_from_a_training_goes_on_to_another(tmp_path: Path) -> None:
    first = train(tmp_path, "--model mlp_small --epochs 2 --seed 4 --activation tanh")
    second = train(tmp_path, f"--from {first}", "b")
    assert same(state(first), state(second))
    third = read(train(tmp_path, f"--from {first} --epochs 1 --seed 9", "c") / "train.json")
    assert (third["train"]["epochs"], third["train"]["seed"], third["config"]["activation"]) == (1, 9, "tanh")


def test_a_network_of_ones_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "ownnet.py").write_text(
        "from torch import nn\n\n\ndef net(shape, classes, *, width):\n"
        "    return nn.Sequential(nn.Flatten(), nn.Linear(784, width), nn.ReLU(), nn.Linear(width, classes))\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    folder = train(tmp_path, "--model ownnet:net --set width=12 --epochs 1")
    assert state(folder)["1.weight"].shape == (12, 784)
    capsys.readouterr()
    assert main(["evaluate", str(folder)]) == 2
    err = capsys.readouterr().err
    assert "uses the architecture ownnet:net, whose code would run; to trust it, add --model ownnet:net" in err
    assert main(["evaluate", str(folder), "--model", "ownnet:net"]) == 0
    assert main(["train", "--from", str(folder)]) == 2
    again = train(tmp_path, f"--from {folder} --model ownnet:net", "b")
    assert same(state(folder), state(again))


FAULTY = {
    "momentum": ("def net(shape, classes, *, momentum=0.1): ...", "its momentum is a setting of the training too"),
    "seed": ("def net(shape, classes, *, seed=1, device=2): ...", "its seed, device is a setting of the training too"),
    "training": (
        "from torch import nn\nclass net(nn.Module):\n def __init__(self, s, c):\n  super().__init__()\n"
        "  self.l = nn.Linear(784, c)\n def forward(self, x):\n"
        "  if self.training: raise RuntimeError('only then')\n  return self.l(x.flatten(1))\n",
        "raises RuntimeError: only then",
    ),
}


@pytest.mark.parametrize("kind", FAULTY)
def test_a_faulty_network_of_ones_own(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, message = FAULTY[kind]
    (tmp_path / f"own_{kind}.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    line = f"train --model own_{kind}:net --dataset digits --results-dir {tmp_path / 'r'}"
    assert main(line.split()) == 2
    assert message in capsys.readouterr().err and not (tmp_path / "r").exists()


def test_a_network_of_ones_own_may_have_any_defaults_and_torchs_dropout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "anynet.py").write_text(
        "from torch import nn\n\n\ndef net(shape, classes, *, act=nn.ReLU, norm=None, bias=True):\n"
        "    layers = nn.Linear(784, 9, bias=bias), act(), nn.Dropout(0.3), nn.Linear(9, classes)\n"
        "    return nn.Sequential(nn.Flatten(), *layers)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    line = "--model anynet:net --set bias=false --epochs 2 --seed 3"
    first = train(tmp_path, line)
    torch.rand(7)  # its dropout draws from torch's global generator, which follows the seed all the same
    assert same(state(first), state(train(tmp_path, line, "b")))
    assert "1.bias" not in state(first)


def test_a_winner_that_was_stopped_early_is_trained_to_the_end_of_its_schedule(tmp_path: Path) -> None:
    whole = train(tmp_path, "--model mlp_small --epochs 6 --schedule cosine --lr 0.01 --train-size 300")
    best = read(whole / "best.json")
    best["trial"]["epochs"] = 2  # as if it had been stopped there
    (tmp_path / "stopped").mkdir()
    (tmp_path / "stopped" / "best.json").write_text(json.dumps(best))
    again = train(tmp_path, f"--from {tmp_path / 'stopped'}", "again")
    losses = [pd.read_csv(folder / "curves.csv")["train_loss"].tolist() for folder in (whole, again)]
    assert losses[1] == losses[0]


def test_from_on_other_data_leaves_what_was_of_the_first(tmp_path: Path) -> None:
    (tmp_path / "data" / "train").mkdir(parents=True)
    for n in range(60):
        Image.new("RGB", (28, 28), (n, 4 * (n % 3), 200)).save(tmp_path / "data" / "train" / f"{n}_{n % 3}.png")
    first = train(tmp_path, "--model mlp_small --epochs 1 --train-size 300")
    words = ["train", "--from", str(first), "--dataset", str(tmp_path / "data"), "--results-dir", str(tmp_path)]
    assert main([*words, "--name", "b"]) == 0
    settings = read(tmp_path / "b" / "train.json")["data"]
    assert len(settings["mean"]) == 3 and settings["sizes"]["train"] == 38
    # And back, with paths that are written in another way.
    assert main(["evaluate", str(tmp_path / "b"), "--dataset", f"{tmp_path}/./data/", "--split", "train"]) == 0


def test_names_that_are_no_formulas(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["train", "--model", "mlp_small", "--epochs", "1", "--dataset", "digits", "--results-dir", str(tmp_path)]
    assert main([*words, "--name", "cost $a_b^c^d$ 猫"]) == 0
    assert capsys.readouterr().err == "" and (tmp_path / "cost $a_b^c^d$ 猫" / "curves.png").exists()
    assert main([*words, "--name", "é" * 200]) == 2
    assert "must be a plain folder name" in capsys.readouterr().err


def test_an_error_before_the_first_epoch_leaves_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "failing.py").write_text(FAILING)
    monkeypatch.chdir(tmp_path)
    line = "train --model failing:Net --epochs 1 --dataset digits --name a --results-dir results"
    with pytest.raises(ValueError, match="it fails in training"):
        main(line.split())
    assert not list((tmp_path / "results").iterdir())


FAILING = """
import torch

class Net(torch.nn.Linear):
    def __init__(self, shape, classes):
        super().__init__(shape[1] * shape[2], classes)

    def forward(self, x):
        if len(x) > 2:  # more than the two images that it is tried with before
            raise ValueError("it fails in training")
        return super().forward(x.flatten(1))
"""
WRONG = {
    "--model lenet5_bn --batch-size 1": "--batch-size 1: lenet5_bn needs batches of at least 2 images",
    "--model lenet": "--model lenet: unknown (did you mean lenet5?)",
    "--recipe C": "--recipe C: has several models; choose one with --model mlp_small or lenet5 or lenet5_bn",
    "--recipe F": "--recipe F: choose from A",
    "--recipe E --model vgg16": "--model vgg16: no recipe of that name in system E; choose from mlp, cnn",
    "--recipe E --from x": "choose one of them",
    "--from nowhere": "--from nowhere: contains no best.json",
    "--lr -1": "--lr -1.0: lr must be over 0",
    "--lr fast": "--lr",
    "--model mlp --dropout 1.5": "--dropout 1.5: dropout must be at least 0 and under 1",
    "--model compact_7k --dropout 0.2": "--dropout 0.2: compact_7k has no dropout; it has lr, batch_size",
    "--schedule lines": "--schedule lines: unknown (did you mean linear?); choose from none, step, cosine, one-cycle",
    "--augment turn": "--augment turn: unknown; choose from none, rotate-crop, shift, shift-flip",
    "--label-smoothing 1": "--label-smoothing 1.0: label_smoothing must be at least 0 and under 1",
    "--ema 1": "--ema 1.0: ema must be at least 0 and under 1; 0 is no average",
    "--clip-norm -1": "--clip-norm -1.0: clip_norm must be at least 0 and finite; 0 is no clipping",
    "--beta1 1": "--beta1 1.0: beta1 must be at least 0 and under 1",
    "--pretrained head": "--pretrained head: cnn has no pretrained; it has lr",
    "--epochs 0": "--epochs 0: must be at least 1",
    "--seed -1": "--seed -1: must be at least 0",
    "--name ../x": "--name ../x: must be a plain folder name",
    "--precision half": "--precision half: unknown (did you mean bf16?); choose from float32, bf16",
    "--device cuda:9": "--device cuda:9: unknown",
    "--device nvidia": "--device nvidia: unknown (did you mean cuda?); choose from auto, cpu, cuda, mps",
    "--train-size 3": "--train-size 3: must be between",
    "--set width": "--set width: write NAME=VALUE",
    "--set lr=3 --lr 2": "--set lr=3: --lr 2.0 is given too; choose one of them",
    "--set depth=3": "--set depth=3: unknown; choose from lr, dropout",
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
    assert f"--name a: {folder} already exists; choose another name" in capsys.readouterr().err
    assert before == {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_training_that_diverges(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = "train --model mlp_small --optimizer sgd --lr 1e30 --epochs 3 --dataset digits --name a"
    assert main([*line.split(), "--results-dir", str(tmp_path)]) == 1
    assert "hpo: the loss is not finite in epoch 1; use a lower --lr" in capsys.readouterr().err
    assert not (tmp_path / "a" / "best.pt").exists()


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.usefixtures("listens_to_ctrl_c")
def test_an_interrupt_keeps_what_was_trained(tmp_path: Path, number: signal.Signals) -> None:
    root = Path(__file__).parents[3]
    code = f"import sys; sys.path.insert(0, {str(root)!r}); from hpo.__main__ import main; sys.exit(main(sys.argv[1:]))"
    words = ["train", "--model", "lenet5", "--epochs", "500", "--dataset", "digits", "--name", "a", "--results-dir"]
    process = subprocess.Popen([sys.executable, "-c", code, *words, str(tmp_path)], stderr=subprocess.PIPE, text=True)
    until = time.monotonic() + 60
    while not (tmp_path / "a" / "best.json").exists() and time.monotonic() < until:
        time.sleep(0.05)
    assert read(tmp_path / "a" / "best.json")["trial"]["epochs"] >= 1  # there from the first epoch on
    process.send_signal(number)
    try:
        _, err = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == 128 + number and err.startswith(
        "hpo: interrupted; the epochs that were trained are in"
    ), err
    epochs = len(pd.read_csv(tmp_path / "a" / "curves.csv"))
    best = read(tmp_path / "a" / "best.json")["trial"]
    assert best["state"] == "stopped" and best["epochs"] == epochs and (tmp_path / "a" / "curves.png").exists()
    assert main(["evaluate", str(tmp_path / "a")]) == 0
