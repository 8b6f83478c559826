"""Exports a trained network to other formats. Each file is read back and compared before it gets its name."""

from __future__ import annotations

import importlib
import json
import logging
import os
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from hpo.store import model_file
from hpo.store.model_file import Description
from hpo.system.errors import UserError
from hpo.system.text import single_line
from models.layers import Normalized

TOLERANCE = 1e-4  # difference of logits, as a share of large ones: other kernels add in another order
_EXTRAS = {"onnx": ("onnx", "onnxscript", "onnxruntime"), "pt2": (), "safetensors": ("safetensors",)}


def export(source: Path, target: Path, form: str, trusted: str | None) -> float:
    """Writes the network of `source` to `target` as onnx, pt2 or safetensors.

    `trusted` is as in `model_file.load`. Returns the largest difference between the file's logits and the network's, on
    batches of several sizes; as a share of the largest logit where that is over 1, since float32 has only so many
    digits. A failed export leaves no file. Raises UserError for unusable weights, a missing package, a network that the
    format cannot express, or a difference above `TOLERANCE`.
    """
    _require_packages(form)
    description, network = model_file.load(source, trusted)
    deployed = Normalized(network, description.mean, description.std).eval()
    writers: dict[str, Callable[..., Callable[[Tensor], Tensor]]] = {
        "onnx": _onnx,
        "pt2": _pt2,
        "safetensors": _safetensors,
    }
    with _temporary(target) as file:
        try:
            with _quiet():
                run = writers[form](file, deployed, description)
        except OSError:
            raise
        except Exception as error:  # exporters raise many kinds of errors, over many lines
            reason = single_line(str(error))[:200]
            raise UserError(f"--format {form}: {description.model} cannot be exported ({reason})") from error
        difference = _difference(run, deployed, description.input_shape)
        if not difference <= TOLERANCE:
            raise UserError(
                f"--format {form}: the exported network's outputs differ by {difference:.1e}, more than {TOLERANCE:.0e}"
            )
        os.chmod(file, 0o644)
        os.replace(file, target)
    return difference


def _require_packages(form: str) -> None:
    for package in _EXTRAS[form]:
        try:
            importlib.import_module(package)
        except ImportError:
            raise UserError(f'--format {form}: needs {package}: pip install -e ".[export]"') from None


@contextmanager
def _temporary(target: Path) -> Iterator[Path]:
    """Gives a file name beside `target`, and removes the file at the end if it still exists."""
    try:
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}-", suffix=target.suffix)
        os.close(handle)
    except OSError as error:
        raise UserError(f"--out {target}: cannot be written ({error.strerror})") from error
    try:
        yield Path(name)
    except OSError as error:
        raise UserError(f"--out {target}: cannot be written ({error.strerror or error})") from error
    finally:
        Path(name).unlink(missing_ok=True)


@contextmanager
def _quiet() -> Iterator[None]:
    """Silences the exporters, which warn and log about their own inner workings."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def _onnx(file: Path, deployed: Normalized, description: Description) -> Callable[[Tensor], Tensor]:
    program = torch.onnx.export(
        deployed,
        (_images(2, description.input_shape),),
        input_names=["pixels"],
        output_names=["logits"],
        dynamic_shapes={"pixels": {0: torch.export.Dim("batch")}},
        dynamo=True,
        verbose=False,
    )
    assert program is not None
    program.model.metadata_props["podium"] = _metadata(description)
    program.save(file, external_data=False)
    import onnxruntime

    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    return lambda pixels: torch.from_numpy(session.run(["logits"], {"pixels": pixels.numpy()})[0])


def _pt2(file: Path, deployed: Normalized, description: Description) -> Callable[[Tensor], Tensor]:
    shapes = {"pixels": {0: torch.export.Dim("batch")}}
    program = torch.export.export(deployed, (_images(2, description.input_shape),), dynamic_shapes=shapes)
    torch.export.save(program, file, extra_files={"podium.json": _metadata(description)})
    loaded: Callable[[Tensor], Tensor] = torch.export.load(file).module()
    return loaded


def _safetensors(file: Path, deployed: Normalized, description: Description) -> Callable[[Tensor], Tensor]:
    from safetensors.torch import load_file, save_file

    state = {name: value.contiguous() for name, value in deployed.network.state_dict().items()}
    save_file(state, file, metadata={"podium": _metadata(description)})
    network = description.build()
    network.load_state_dict(load_file(file))
    return Normalized(network, description.mean, description.std).eval()


def _metadata(description: Description) -> str:
    return json.dumps(description.to_dict())


def _difference(run: Callable[[Tensor], Tensor], deployed: nn.Module, shape: tuple[int, int, int]) -> float:
    worst = 0.0
    with torch.no_grad():
        for size in (1, 2, 7):
            pixels = _images(size, shape)
            logits = deployed(pixels)
            difference = (run(pixels) - logits).abs().max() / logits.abs().max().clamp(min=1)
            worst = max(worst, difference.item())
    return worst


def _images(size: int, shape: tuple[int, int, int]) -> Tensor:
    values: Any = torch.rand(size, *shape, generator=torch.Generator().manual_seed(size))
    return values  # type: ignore[no-any-return]
