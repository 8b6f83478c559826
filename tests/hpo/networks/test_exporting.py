"""Exported networks, opened as the users of a format do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from hpo.__main__ import main
from hpo.store.model_file import load
from tests.helpers.commands import printed, refused


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


def test_a_format_that_there_is_not(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "--format torchscript: unknown; choose from onnx, pt2, safetensors; TorchScript is deprecated" in refused(
        capsys, "export", trained, "--format", "torchscript"
    )
