"""`hpo report`: writes the report page of a run."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from hpo.cli.command import run_command
from hpo.spec.commands.evaluate import OwnModel
from hpo.store.stored_run import StoredTraining, read_run, read_training
from hpo.system.files import check_output


def main(argv: Sequence[str]) -> int:
    """Runs `hpo report ...`; returns its exit code."""
    return run_command("report", _report, argv)


def _report(run: Path, /, *, out: Path | None = None, data_dir: Path | None = None, model: OwnModel = None) -> None:
    """Writes the report page of a run, or of a training: results, figures and provenance. The page opens offline.

    Parameters
    ----------
    run
        A run or a training: NAME, or its folder.
    out
        The file to write, NAME.html. [default: report.html in its folder]
    data_dir
        The folder of the data sets. [default: $PODIUM_DATA_DIR, or data]
    """
    if out:
        check_output("--out", out, ".html")
    from hpo.networks.evaluation import evaluate_winner
    from hpo.views.page.report import write_report
    from hpo.views.page.training import write_training_page

    stored = read_training(run) or read_run(run)
    path = out or stored.path / "report.html"
    evaluate = partial(evaluate_winner, stored.path, data_dir, [model] if model else [])
    if isinstance(stored, StoredTraining):
        write_training_page(stored, path, evaluate)
    else:
        write_report(stored, path, evaluate)
    print(path)
