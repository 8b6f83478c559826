"""`hpo export`: trained weights for other programs, checked against the network they come from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from hpo.cli.command import run_command
from hpo.spec.checks import choice
from hpo.spec.evaluate import OwnModel
from hpo.system.files import check_output

SUFFIXES = {"onnx": ".onnx", "pt2": ".pt2", "safetensors": ".safetensors"}


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class ExportSpec:
    """In which form, and where to."""

    format: str = "onnx"
    """onnx, pt2 (a torch.export program, what became of TorchScript) or safetensors (weights alone)."""
    out: Path | None = None
    """The file, with the format's suffix. [default: beside the weights]"""
    model: OwnModel = None

    def __post_init__(self) -> None:
        hint = "; TorchScript is retired, pt2 has taken its place" if self.format == "torchscript" else ""
        choice("--format", self.format, tuple(SUFFIXES), hint)


def main(argv: Sequence[str]) -> int:
    """Runs `hpo export ...`; returns its exit code."""
    return run_command("export", _export, argv)


def _export(weights: Path, /, *, spec: Annotated[ExportSpec, Parameter(name="*")] = ExportSpec()) -> None:
    """Writes the network for other programs, and checks that what was written gives the same outputs.

    onnx and pt2 take pixels in [0, 1], float32 (any number of images, channels, height, width), and give logits:
    the normalization is part of them. safetensors holds the weights, and in its metadata what builds the network.

    Parameters
    ----------
    weights
        A best.pt, or the results/NAME that holds it.
    """
    from hpo.networks.exporting import export
    from hpo.store.model_file import file_of

    source = file_of(weights)
    target = spec.out or source.with_suffix(SUFFIXES[spec.format])
    check_output("--out", target, SUFFIXES[spec.format])
    difference = export(source, target, spec.format, spec.model)
    print(f"{target}: {target.stat().st_size / 1e6:.1f} MB, outputs differ by at most {difference:.1e}")
