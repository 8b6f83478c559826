"""Trained weights, evaluated: on their own data, on other data, and on every split."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from hpo.__main__ import main
from hpo.store.model_file import load, save
from tests.helpers.commands import printed, refused
from trainers.data.dataset import load_dataset
from trainers.loop import evaluate


def test_evaluate_opens_the_test_split(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = printed(capsys, "evaluate", trained / "best.pt")
    description, network = load(trained)
    data = load_dataset("digits", Path("x"), mean=description.mean, std=description.std)
    loss, accuracy = evaluate(network, data.test.open(), "float32")
    assert f"loss {loss:.4f}, accuracy {accuracy:.4f}, 359 images" in out and "test split of digits" in out
    assert accuracy > 0.9 and "overall (weighted)" in out and "confusion matrix" in out and "note:" not in out


def test_evaluate_as_json(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = json.loads(printed(capsys, "evaluate", trained, "--json"))
    assert set(report["overall"]) == {"precision", "recall", "f1", "num_samples"}
    assert set(report["class"]) == {str(n) for n in range(10)} and set(report["class"]["3"]) == set(report["overall"])
    assert report["overall"]["num_samples"] == 359 == np.sum(report["confusion_matrix"])
    assert report["accuracy"] == np.trace(report["confusion_matrix"]) / 359 and report["split"] == "test"


def test_other_splits_are_labelled_as_what_they_are(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train = json.loads(printed(capsys, "evaluate", trained, "--split", "train", "--json"))
    assert train["overall"]["num_samples"] == 1000  # the subset it was trained on, not the whole split
    assert train["notes"] == ["the network was trained on these images, so this accuracy says nothing about new images"]
    out = printed(capsys, "evaluate", trained, "--split", "validation")
    assert "note: the epoch and the configuration were chosen by these images" in out
    best = json.loads((trained / "best.json").read_text())["trial"]
    assert f"accuracy {best['val_accuracy']:.4f}, 288 images" in out


def test_misclassified_images_are_drawn(trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    printed(capsys, "evaluate", trained, "--misclassified", tmp_path / "wrong.png")
    assert Image.open(tmp_path / "wrong.png").format == "PNG"
    nowhere = tmp_path / "none" / "wrong.png"
    err = refused(capsys, "evaluate", trained, "--misclassified", nowhere)
    assert f"--misclassified {nowhere}: {tmp_path}/none is no folder" in err


def test_evaluate_on_another_data_set(trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    digits = load_dataset("digits", Path("x"), mean=0.0, std=1.0).training.train
    for at, part in enumerate(("train", "test")):
        (tmp_path / part).mkdir()
        for n in range(200 * at, 200 * at + 200):
            pixels = (255 * digits.pixels(torch.tensor([n]))[0, 0]).round().to(torch.uint8).numpy()
            # Twice as large: evaluate scales images to the network's size.
            Image.fromarray(pixels).resize((56, 56)).save(tmp_path / part / f"{n}_{digits.labels[n]}.png")
    out = printed(capsys, "evaluate", trained, "--dataset", tmp_path)
    assert "note: the network was trained on digits" in out and "200 images" in out
    # Named anew, it is still what it was trained on, and the same subset of it.
    out = printed(capsys, "evaluate", trained, "--dataset", "digits", "--split", "train")
    assert "note: the network was trained on these images" in out and "1,000 images" in out
    small = tmp_path / "small"
    for part in ("train", "test"):
        (small / part).mkdir(parents=True)
        for n in range(20):
            Image.new("L", (16, 16)).save(small / part / f"{n}_{n % 2}.png")
    err = refused(capsys, "evaluate", trained, "--dataset", small)
    assert "has images of 1x28x28 in 2 classes (0, 1); the network was trained on images of 1x28x28 in 10" in err


def test_classes_may_have_got_other_names_since(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    description, network = load(trained)
    for hashes, expected in ((description.hashes, 0), ({**description.hashes, "test": "another"}, 2)):
        renamed = replace(description, classes=tuple("abcdefghij"), hashes=hashes)
        save(tmp_path / "best.pt", renamed, network.state_dict())
        assert main(["evaluate", str(tmp_path / "best.pt")]) == expected, capsys.readouterr()


def test_a_split_that_there_is_not(trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "--split all: unknown; choose from test, validation, train" in refused(
        capsys, "evaluate", trained, "--split", "all"
    )
