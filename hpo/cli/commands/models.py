"""`hpo models`: the architectures as a table, or one of them layer by layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter
from rich.table import Table

from hpo.cli.command import run_command
from hpo.spec.checks import unknown
from hpo.system.errors import UserError
from hpo.system.terminal import console
from hpo.system.text import shown
from models import MODELS, is_known

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
    shape: Annotated[Shape, Parameter(show_default=False)] = (1, 28, 28),
    classes: int = 10,
) -> None:
    """The architectures: parameters, FLOPs per image and source; with a name, that one layer by layer.

    Parameters
    ----------
    name
        An architecture, or MODULE:NAME of your own.
    shape
        Channels, height and width of the images. [default: 1 28 28]
    classes
        How many classes there are.
    """
    if name is not None and not is_known(name):
        raise unknown(f"model {name}", name, MODELS, ", or give MODULE:NAME")
    if min(*shape, classes) < 1:
        raise UserError(f"--shape {' '.join(map(str, shape))} --classes {classes}: must be at least 1")
    table = _zoo(shape, classes) if name is None else _layers(name, shape, classes)
    console().print(table)


def _zoo(shape: Shape, classes: int) -> Table:
    table = _table("name", "parameters", "MFLOP per image", "source")
    for name, architecture in MODELS.items():
        try:
            summary = _summary(name, shape, classes)
        except ValueError as error:  # the images are too small for this one
            table.add_row(name, "-", "-", shown(str(error)))
            continue
        table.add_row(name, f"{summary.parameters:,}", f"{summary.flops / 1e6:.2f}", architecture.source)
    return table


def _layers(name: str, shape: Shape, classes: int) -> Table:
    summary = _summary(name, shape, classes)
    table = _table("layer", "output shape", "parameters")
    for layer in summary.layers:
        table.add_row(
            shown(layer.kind), "x".join(map(str, layer.output)), f"{layer.parameters:,}" if layer.parameters else "-"
        )
    table.add_section()
    table.add_row(shown(f"{name}: {summary.flops / 1e6:.2f} MFLOP per image"), "", f"{summary.parameters:,}")
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
