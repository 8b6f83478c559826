"""`hpo train`: trains one configuration, given by flags, by a recipe or by an earlier winner."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from hpo.cli.command import run_command
from hpo.spec.commands.fit import GROUP, FitSpec


def main(argv: Sequence[str]) -> int:
    """Runs `hpo train ...`; returns its exit code."""
    return run_command("train", _train, argv)


def _train(*, spec: Annotated[FitSpec, GROUP] = FitSpec()) -> int:
    """Trains one configuration, and saves the weights of its best epoch, its curves and figures."""
    from hpo.networks.fitting import run_fit

    return run_fit(spec)
