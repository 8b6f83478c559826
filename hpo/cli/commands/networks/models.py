"""`hpo models`: lists the architectures, those of a library, or the layers of one of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter
from rich.table import Table

from hpo.cli.command import run_command
from hpo.spec.checks import check_model
from hpo.system.errors import UserError
from hpo.system.terminal import console
from hpo.system.text import shown
from hpo.views.formats import number
from models import MODELS
from models.libraries import LIBRARIES, names

if TYPE_CHECKING:
    from models.summary import Summary

Shape = tuple[int, int, int]


def main(argv: Sequence[str]) -> int:
    """Runs `hpo models [NAME]`; returns its exit code."""
    return run_command("models", _models, argv)


def _models(
    name: str | None = None,
    /,
    *,
    shape: Annotated[Shape, Parameter(show_default=False, negative=())] = (1, 28, 28),
    classes: int = 10,
) -> None:
    """Lists the architectures with parameters, FLOPs per image and source; with a NAME, the layers of that one; with
    torchvision or timm, the names of that library's classifiers.

    Parameters
    ----------
    name
        An architecture, torchvision:NAME, timm:NAME, or your own as MODULE:NAME or FILE.py:NAME; torchvision or timm.
    shape
        Channels, height and width of the images. [default: 1 28 28]
    classes
        Number of classes.
    """
    listed = name in LIBRARIES and bool(names(str(name)))
    if name is not None and not listed:
        check_model(f"model {name}", name)
    if min(*shape, classes) < 1:
        raise UserError(f"--shape {' '.join(map(str, shape))} --classes {classes}: must be at least 1")
    if name is None:
        console().print(_architectures(shape, classes))
    else:
        console().print(_classifiers(name) if listed else _layers(name, shape, classes))


def _architectures(shape: Shape, classes: int) -> Table:
    table = _table("name", "parameters", "MFLOP per image", "source")
    for name, architecture in MODELS.items():
        try:
            summary = _summary(name, shape, classes)
        except ValueError as error:  # this architecture needs larger images
            table.add_row(name, "-", "-", shown(str(error)))
            continue
        table.add_row(name, number(summary.parameters), f"{summary.flops / 1e6:.2f}", architecture.source)
    return table


def _classifiers(library: str) -> Table:
    """The classifiers of a library; torchvision has a table of their parameters, for ImageNet's 1,000 classes."""
    if library != "torchvision":
        table = _table("name")
        for name in names(library):
            table.add_row(f"{library}:{name}")
        return table
    from models.libraries.torchvision_networks import parameters  # imports torch, which --help does without

    table = _table("name", "parameters (1,000 classes)")
    for name in names(library):
        table.add_row(f"{library}:{name}", number(parameters(name)))
    return table


def _layers(name: str, shape: Shape, classes: int) -> Table:
    summary = _summary(name, shape, classes)
    table = _table("layer", "output shape", "parameters")
    for layer in summary.layers:
        table.add_row(shown(layer.kind), "x".join(map(str, layer.output)), number(layer.parameters or None))
    table.add_section()
    table.add_row(shown(f"{name}: {summary.flops / 1e6:.2f} MFLOP per image"), "", number(summary.parameters))
    return table


def _summary(name: str, shape: Shape, classes: int) -> Summary:
    from models.summary import summarize  # imports torch, which --help does without

    return summarize(name, shape, classes)


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False)
    for column in columns:
        left = column in ("name", "layer", "source", "output shape")
        table.add_column(column, justify="left" if left else "right", no_wrap=column != "source")
    return table
