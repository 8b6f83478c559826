"""`hpo export`: writes trained weights for other programs, and checks them against the network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from hpo.cli.command import run_command
from hpo.spec.checks import choice
from hpo.spec.commands.evaluate import OwnModel, TrialNetwork
from hpo.system.files import check_output

SUFFIXES = {"onnx": ".onnx", "pt2": ".pt2", "safetensors": ".safetensors"}


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class ExportSpec:
    """The format, and the file."""

    format: str = "onnx"
    """onnx, pt2 (a torch.export program, the successor of TorchScript) or safetensors (only the weights)."""
    out: Path | None = None
    """The file to write, with the format's suffix. [default: beside the weights]"""
    model: OwnModel = None
    trial_network: TrialNetwork = False

    def __post_init__(self) -> None:
        hint = "; TorchScript is deprecated, use pt2" if self.format == "torchscript" else ""
        choice("--format", self.format, tuple(SUFFIXES), hint)


def main(argv: Sequence[str]) -> int:
    """Runs `hpo export ...`; returns its exit code."""
    return run_command("export", _export, argv)


def _export(weights: Path, /, *, spec: Annotated[ExportSpec, Parameter(name="*")] = ExportSpec()) -> None:
    """Exports trained weights for other programs, and checks that the exported network gives the same outputs.

    onnx and pt2 take float32 pixels in [0, 1], with shape (images, channels, height, width), and return logits. They
    include the normalization. safetensors contains the weights; its metadata describes the network.

    Parameters
    ----------
    weights
        A run: NAME, or its folder. Or the file of a network, such as results/NAME/finals/TRIAL.pt.
    """
    from hpo.networks.exporting import export
    from hpo.store.model_file import file_of

    source = file_of(weights, spec.trial_network)
    target = spec.out or source.with_suffix(SUFFIXES[spec.format])
    check_output("--out", target, SUFFIXES[spec.format])
    difference = export(source, target, spec.format, spec.model)
    print(f"{target}: {target.stat().st_size / 1e6:.1f} MB, the outputs differ by at most {difference:.1e}")
