"""`hpo baselines`: the reproduced systems, claimed against measured."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Generator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from hpo.cli.command import run_command
from hpo.spec.checks import at_least
from hpo.spec.settings import MANY, SWITCH, DataSpec, TrainSpec
from hpo.store.journal import Journal, read_journal
from hpo.system.errors import UserError
from hpo.system.files import write_atomically
from hpo.system.text import say

if TYPE_CHECKING:
    import pandas as pd

    from hpo.networks.baselines import Job


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class BaselinesSpec:
    """Which recipes are run, how often, and where the tables go."""

    system: str | None = None
    """A, B, C, D, E or P. [default: all]"""
    model: Annotated[tuple[str, ...], MANY] = ()
    """Some of its architectures. [default: all]"""
    seeds: int = 3
    """Runs of each recipe, with seeds 0, 1, 2, ..."""
    max_epochs: int | None = None
    """Fewer epochs than a recipe wants; the table says so."""
    jobs: int = 1
    """Runs at once, each in a process of one thread."""
    again: Annotated[bool, SWITCH] = False
    """Repeats runs that are there already."""
    dataset: str = "mnist"
    """Trains on another data set than the claims are of; its files are called baselines-NAME."""
    data_dir: Path | None = None
    """Where data sets are looked for and downloaded to. [default: $PODIUM_DATA_DIR, or data]"""
    train: Annotated[TrainSpec, Parameter(name="*")] = field(default_factory=TrainSpec)
    out: Path = Path("results/reference")
    """The folder for baselines.jsonl (a line per run), baselines.csv and baselines.md."""

    def __post_init__(self) -> None:
        at_least("--seeds", self.seeds, 1)
        at_least("--max-epochs", self.max_epochs, 1)
        at_least("--jobs", self.jobs, 1)
        if self.dataset == "auto":
            raise UserError("--dataset auto: name the data set; choose from mnist, fashion-mnist, digits")

    @property
    def stem(self) -> Path:
        """The path of the files, without their suffix."""
        return self.out / ("baselines" if self.dataset == "mnist" else f"baselines-{Path(self.dataset).stem}")


def main(argv: Sequence[str]) -> int:
    """Runs `hpo baselines ...`; returns its exit code."""
    return run_command("baselines", _baselines, argv)


def _baselines(*, spec: Annotated[BaselinesSpec, Parameter(name="*")] = BaselinesSpec()) -> None:
    """Trains the recipes of the reproduced systems and writes what they claim next to what they reach.

    Every run is kept when it ends; the same command goes on where an earlier one was stopped.
    """
    from hpo.networks.baselines import markdown, missing

    jobs, path = _jobs(spec), spec.stem.with_suffix(".jsonl")
    todo = jobs if spec.again else missing(jobs, path)
    print(f"{len(jobs)} runs, {len(jobs) - len(todo)} of them are in {path}", flush=True)
    _run(todo, spec)
    for line in markdown(_write(spec.stem)).split("\n"):
        say(line)
    print(f"written to {spec.stem}.csv and {spec.stem}.md")


def _jobs(spec: BaselinesSpec) -> list[Job]:
    from hpo.networks.baselines import Job
    from hpo.networks.recipes import recipes
    from hpo.networks.training import resolve_device

    data = DataSpec(dataset=spec.dataset, data_dir=spec.data_dir)
    device = resolve_device(spec.train.device)
    return [
        Job(
            recipe=recipe,
            seed=seed,
            epochs=min(recipe.train.epochs, spec.max_epochs or recipe.train.epochs),
            precision=spec.train.plain_precision,
            device=device,
            dataset=data.dataset,
            data_dir=data.directory,
        )
        for recipe in recipes(spec.system, spec.model)
        for seed in range(spec.seeds)
    ]


def _run(todo: list[Job], spec: BaselinesSpec) -> None:
    """Runs the jobs; keeps every row, and the tables, as soon as it is there."""
    try:
        spec.out.mkdir(parents=True, exist_ok=True)
        journal = Journal(spec.stem.with_suffix(".jsonl"))
        journal.lock()
    except BlockingIOError:
        raise UserError(f"--out {spec.out}: another hpo baselines is at work there") from None
    except OSError as error:
        raise UserError(f"--out {spec.out}: cannot be written ({error.strerror})") from error
    # Closed here, not when it is collected: an error between two rows must end the processes too.
    with closing(journal), closing(_rows(todo, spec.jobs)) as rows:
        for number, row in enumerate(rows, 1):
            journal.append(row)
            _write(spec.stem)
            say(f"[{number}/{len(todo)}] {_told(row)}")


def _told(row: dict[str, Any]) -> str:
    accuracy = row.get("error") or f"test accuracy {100 * row['test_accuracy']:.2f} %"
    what = f"{row['system']} {row['model']} seed {row['seed']}"
    return f"{what}: {accuracy}, {row['epochs']} epochs, {row['minutes']:.1f} min"


def _rows(todo: list[Job], at_once: int) -> Generator[dict[str, Any], None, None]:
    from hpo.networks.baselines import run_job

    if at_once == 1:
        yield from map(run_job, todo)
        return
    # Spawned, not forked: torch's threads do not survive a fork.
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(at_once, mp_context=spawn, initializer=_leave_signals_to_parent) as pool:
        try:
            for done in as_completed([pool.submit(run_job, job) for job in todo]):
                yield done.result()
        except BaseException:  # Ctrl-C, or a job's error: what still runs would be hours of work for nothing
            pool.shutdown(wait=False, cancel_futures=True)
            for process in multiprocessing.active_children():
                process.terminate()
            raise


def _leave_signals_to_parent() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _write(stem: Path) -> pd.DataFrame:
    """Makes both tables from the journal anew."""
    from hpo.networks.baselines import markdown, table

    frame = table(read_journal(stem.with_suffix(".jsonl")))
    write_atomically(stem.with_suffix(".csv"), frame.to_csv(index=False))
    write_atomically(stem.with_suffix(".md"), markdown(frame))
    return frame
