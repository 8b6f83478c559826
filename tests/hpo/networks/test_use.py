"""What is done with trained weights: evaluate, predict, export."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from hpo.__main__ import main
from hpo.store.model_file import load
from tests.helpers.images import folder_of_digits
from trainers import checkpoint
from trainers.data.dataset import load_dataset
from trainers.loop import evaluate, predict


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a network that has learned something of the digits."""
    results = tmp_path_factory.mktemp("results")
    line = "train --model lenet5_bn --epochs 6 --lr 3e-3 --dropout 0.1 --dataset digits --name a --train-size 1000"
    assert main([*line.split(), "--results-dir", str(results), "--quiet"]) == 0
    return results / "a"


def printed(capsys: pytest.CaptureFixture[str], *words: object) -> str:
    capsys.readouterr()
    assert main([str(word) for word in words]) == 0
    return capsys.readouterr().out


def refused(capsys: pytest.CaptureFixture[str], *words: object) -> str:
    capsys.readouterr()
    assert main([str(word) for word in words]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("hpo: ") and err.count("\n") == 1
    return err


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


def test_no_output_replaces_weights_or_pictures(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = tmp_path / "a.png"
    Image.new("L", (28, 28)).save(picture)
    before = picture.read_bytes(), (trained / "best.pt").read_bytes()
    (tmp_path / "folder.csv").mkdir()
    best = trained / "best.pt"
    assert f"--out {picture}: must end in .csv" in refused(capsys, "predict", trained, picture, "--out", picture)
    assert f"--out {best}: must end in .csv" in refused(capsys, "predict", trained, picture, "--out", best)
    assert f"--misclassified {best}: must end in .png" in refused(capsys, "evaluate", trained, "--misclassified", best)
    assert f"--out {picture}: must end in .onnx" in refused(capsys, "export", trained, "--out", picture)
    out = tmp_path / "folder.csv"
    assert "is there and no plain file" in refused(capsys, "predict", trained, picture, "--out", out)
    assert before == (picture.read_bytes(), best.read_bytes())


def test_evaluate_on_another_data_set(trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    digits = load_dataset("digits", Path("x"), mean=0.0, std=1.0).training.train
    for at, part in enumerate(("train", "test")):
        (tmp_path / part).mkdir()
        for n in range(200 * at, 200 * at + 200):
            pixels = (255 * digits.images[n, 0]).round().to(torch.uint8).numpy()
            Image.fromarray(pixels).save(tmp_path / part / f"{n}_{digits.labels[n]}.png")
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
    assert "has images of 1x16x16 in 2 classes (0, 1); the network was trained on images of 1x28x28 in 10" in err


def test_predict_inverts_what_is_ink_on_paper(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    description, network = load(trained)
    data = load_dataset("digits", Path("x"), mean=description.mean, std=description.std).test.open()
    expected = predict(network, data, "float32")[:6].softmax(1)
    files = sorted(folder_of_digits(tmp_path).iterdir())
    lines = printed(capsys, "predict", trained / "best.pt", *files).splitlines()
    for line, values in zip(lines, expected, strict=True):
        assert f": {values.argmax()}  {values.max():.3f}" in line and line.endswith("[inverted]")
    assert "inverted" not in printed(capsys, "predict", trained, files[0], "--invert", "no")


def test_predict_of_a_folder_is_csv(trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder_of_digits(tmp_path, size=56)
    (tmp_path / "broken.png").write_text("no picture")
    (tmp_path / "notes.txt").write_text("left alone")
    capsys.readouterr()
    assert main(["predict", str(trained), str(tmp_path)]) == 1
    out, err = capsys.readouterr()
    assert err == "hpo: 1 of 7 files could not be read\n"
    (tmp_path / "out.csv").write_text(out)
    frame = pd.read_csv(tmp_path / "out.csv").set_index("file")
    assert len(frame) == 7 and "cannot be read as a picture" in frame.loc[str(tmp_path / "broken.png"), "error"]
    good = frame.dropna(subset="probability")
    chances = good[[f"p_{n}" for n in range(10)]]
    assert np.allclose(chances.sum(axis=1), 1, atol=1e-4) and np.allclose(chances.max(axis=1), good["probability"])
    right = [int(name.rpartition("_")[2][0]) == int(row["class"]) for name, row in good.iterrows()]
    assert sum(right) >= 5
    (tmp_path / "broken.png").unlink()
    printed(capsys, "predict", trained, tmp_path, "--out", tmp_path / "answers.csv")
    assert len(pd.read_csv(tmp_path / "answers.csv")) == 6


def test_wrong_input(trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.png").write_text("no picture")
    empty = tmp_path / "empty"
    empty.mkdir()
    assert "give at least one picture" in refused(capsys, "predict", trained)
    assert "a.png: cannot be read as a picture" in refused(capsys, "predict", trained, tmp_path / "a.png")
    assert "b.png: there is no such file" in refused(capsys, "predict", trained, tmp_path / "b.png")
    assert "contains no pictures" in refused(capsys, "predict", trained, empty)
    assert "--invert maybe: unknown" in refused(capsys, "predict", trained, tmp_path / "a.png", "--invert", "maybe")
    assert "best.pt: there is no such file" in refused(capsys, "evaluate", tmp_path)
    assert "--split all: unknown; choose from test, validation, train" in refused(
        capsys, "evaluate", trained, "--split", "all"
    )
    assert "--format torchscript: unknown; choose from onnx, pt2, safetensors; TorchScript is deprecated" in refused(
        capsys, "export", trained, "--format", "torchscript"
    )


def damaged(trained: Path, kind: str) -> Any:
    """(content of a best.pt that is not one, what is said of it)."""
    state = checkpoint.load(trained / "best.pt")
    if kind == "another architecture":
        return {**state, "model": "mlp"}, "its weights do not fit the architecture mlp"
    if kind == "unknown architecture":
        return {**state, "model": "resnet"}, "uses the architecture resnet, which is unknown here"
    if kind == "without weights":
        return {key: value for key, value in state.items() if key != "state_dict"}, "its weights do not fit"
    if kind == "no description":
        return {"state_dict": state["state_dict"]}, "is not a Podium network (model is missing)"
    return {**state, "arch": {"depth": 3}}, "its weights do not fit the architecture lenet5_bn"


@pytest.mark.parametrize(
    "kind", ["another architecture", "unknown architecture", "without weights", "no description", "unknown argument"]
)
@pytest.mark.parametrize("command", ["evaluate", "export"])
def test_weights_that_do_not_fit(
    command: str, kind: str, trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content, message = damaged(trained, kind)
    checkpoint.save(tmp_path / "x.pt", content)
    assert f"{tmp_path}/x.pt: {message}" in refused(capsys, command, tmp_path / "x.pt")
    assert [path.name for path in tmp_path.iterdir()] == ["x.pt"]


class Malicious:
    def __reduce__(self) -> Any:
        return print, ("it ran",)


def test_files_that_are_no_weights(trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    whole = (trained / "best.pt").read_bytes()
    (tmp_path / "half.pt").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text.pt").write_text("hello")
    torch.save({"model": Malicious()}, tmp_path / "evil.pt")
    for name in ("half", "text", "evil"):
        assert f"{name}.pt: not a readable checkpoint" in refused(capsys, "evaluate", tmp_path / f"{name}.pt")


def test_code_that_a_file_names_does_not_run(trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An architecture may be any MODULE:NAME, and so may be any program: it runs only if the user names it too."""
    mark = tmp_path / "it-ran"
    state = checkpoint.load(trained / "best.pt")
    evil = {**state, "model": "subprocess:Popen", "arch": {}}
    checkpoint.save(tmp_path / "evil.pt", evil)
    for command in ("evaluate", "export"):
        err = refused(capsys, command, tmp_path / "evil.pt")
        assert "evil.pt: uses the architecture subprocess:Popen, whose code would run" in err
    best = json.loads((trained / "best.json").read_text())
    (tmp_path / "best.json").write_text(json.dumps({**best, "model": "subprocess:Popen"}))
    assert "whose code would run" in refused(capsys, "train", "--from", tmp_path)
    checkpoint.save(tmp_path / "evil.pt", {**evil, "input_shape": ["touch", str(mark)]})
    err = refused(capsys, "evaluate", tmp_path / "evil.pt", "--model", "subprocess:Popen")
    assert "is not a Podium network (input_shape is no list)" in err and not mark.exists()
    assert "--model mlp: " in refused(capsys, "evaluate", trained, "--model", "mlp")


@pytest.mark.parametrize(
    "changed",
    [{"arch": None}, {"mean": None}, {"mean": [0.1, 0.2]}, {"hashes": None}, {"classes": [1, 2]}, {"train_size": "x"}],
)
def test_a_description_is_not_taken_at_its_word(
    changed: dict[str, Any], trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint.save(tmp_path / "x.pt", {**checkpoint.load(trained / "best.pt"), **changed})
    assert "x.pt: is not a Podium network (" in refused(capsys, "evaluate", tmp_path / "x.pt")
    best = json.loads((trained / "best.json").read_text())
    (tmp_path / "best.json").write_text(json.dumps({**best, **changed}))
    assert "its best.json cannot be read (" in refused(capsys, "train", "--from", tmp_path)
    torch.save(torch.ones(3), tmp_path / "tensor.pt")
    assert "tensor.pt: not a checkpoint, but a Tensor" in refused(capsys, "evaluate", tmp_path / "tensor.pt")


@pytest.mark.slow
@pytest.mark.parametrize("form", ["onnx", "pt2", "safetensors"])
def test_an_export_gives_the_same_outputs(
    form: str, trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / f"net.{form}"
    assert "the outputs differ by at most" in printed(capsys, "export", trained, "--format", form, "--out", file)
    assert [path.name for path in tmp_path.iterdir()] == [file.name]
    description, network = load(trained)
    pixels = torch.rand(5, 1, 28, 28)
    expected = network((pixels - torch.tensor(description.mean)) / torch.tensor(description.std)).detach()
    assert torch.allclose(opened(form, file)(pixels), expected, atol=1e-4)


def opened(form: str, file: Path) -> Any:
    """The exported network, as a user of the format opens it."""
    if form == "onnx":
        import onnxruntime

        session = onnxruntime.InferenceSession(file)
        assert "lenet5_bn" in session.get_modelmeta().custom_metadata_map["podium"]
        return lambda pixels: torch.from_numpy(session.run(None, {"pixels": pixels.numpy()})[0])
    if form == "pt2":
        return torch.export.load(file).module()
    import safetensors
    from safetensors.torch import load_file

    from models import build_model

    with safetensors.safe_open(file, "pt") as opened:
        about = json.loads(opened.metadata()["podium"])
    network = build_model(about["model"], tuple(about["input_shape"]), about["num_classes"], **about["arch"])
    network.load_state_dict(load_file(file))
    return lambda pixels: network.eval()((pixels - torch.tensor(about["mean"])) / torch.tensor(about["std"])).detach()


@pytest.mark.slow
@pytest.mark.parametrize("model", ["mlp", "cnn_dropout", "compact_6k", "compact_7k"])
def test_the_other_families_can_be_exported_too(model: str, tmp_path: Path) -> None:
    line = f"train --model {model} --epochs 1 --dataset digits --train-size 64 --name a --quiet"
    assert main([*line.split(), "--results-dir", str(tmp_path)]) == 0
    assert main(["export", str(tmp_path / "a")]) == 0


def test_a_failed_export_leaves_nothing(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "best.pt"
    source.write_bytes((trained / "best.pt").read_bytes())
    monkeypatch.setattr("hpo.networks.exporting._difference", lambda *_: 0.3)
    assert "outputs differ by 3.0e-01, more than 1e-04" in refused(capsys, "export", source, "--format", "safetensors")
    nowhere = tmp_path / "none" / "x.onnx"
    assert f"--out {nowhere}: {tmp_path}/none is no folder" in refused(capsys, "export", source, "--out", nowhere)
    assert [path.name for path in tmp_path.iterdir()] == ["best.pt"]
