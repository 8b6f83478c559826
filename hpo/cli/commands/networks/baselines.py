"""`hpo baselines`: published results of the reproduced systems, compared with measured ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from cyclopts import Parameter

from hpo.cli.command import run_command
from hpo.spec.commands.baselines import BaselinesSpec


def main(argv: Sequence[str]) -> int:
    """Runs `hpo baselines ...`; returns its exit code."""
    return run_command("baselines", _baselines, argv)


def _baselines(*, spec: Annotated[BaselinesSpec, Parameter(name="*")] = BaselinesSpec()) -> None:
    """Trains the recipes of the reproduced systems, and compares the results with the published ones.

    Every run is saved when it ends. The same command continues where an earlier one was stopped.
    """
    from hpo.networks.reproduction.baselines import run_baselines

    run_baselines(spec)
