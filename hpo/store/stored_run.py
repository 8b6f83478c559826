"""A run or a training of the past, read from its folder results/NAME without changing anything."""

from __future__ import annotations

import csv
import json
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpo.store.journal import scan
from hpo.store.places import find, not_a_run
from hpo.store.study_file import RunState, check_whole, read_study
from hpo.system.errors import UserError
from hpo.trials.ranking import RankBy, Ranked, rank
from hpo.trials.records import TrialRecord
from hpo.trials.rung_report import RungReport, report_rungs
from trainers.config import EpochResult

if TYPE_CHECKING:
    from hpo.trials.finalists import Finalist


@dataclass(frozen=True)
class StoredRun:
    """A run, as its files describe it."""

    path: Path
    study: dict[str, Any]
    """The content of study.json."""
    records: list[TrialRecord]
    """The finished trials, in the order in which they finished."""

    @property
    def name(self) -> str:
        return self.path.resolve().name

    @property
    def spec(self) -> dict[str, Any]:
        """The settings of the run."""
        spec: dict[str, Any] = self.study["spec"]
        return spec

    def ranked(self) -> list[Ranked]:
        """Ranks the trials as the run did."""
        images = self.study["data"]["sizes"]["validation"] if self.spec.get("one_standard_error") else None
        return rank(self.records, RankBy.of(self.spec.get("rank_by", ()), images, self.spec.get("objective", ())))

    def finalists(self) -> list[Finalist]:
        """Reads the finalists that were tested, best first; none when the run had no finals."""
        from hpo.store.finals_file import read_finalists
        from hpo.trials.finalists import choose, final_seeds, growth, order

        seeds = final_seeds(self.spec.get("seed", 0), self.spec.get("final_seeds", 0))
        chosen, sizes = choose(self.ranked(), self.finals), self.study["data"]["sizes"]
        more = growth(sizes["train"], sizes["validation"])
        return order(read_finalists(self.path / "finals.jsonl", chosen, seeds, more))

    def rungs(self) -> list[RungReport]:
        """Reports on the rungs of early stopping; none when no trial was stopped early."""
        rungs = self.study["early_stopping"].get("rungs", ())
        return report_rungs(self.records, rungs, self.spec["epochs"]) if rungs else []

    @property
    def finals(self) -> int:
        """The number of finalists of each architecture."""
        return int(self.spec.get("finalists", 0))


@dataclass(frozen=True)
class StoredTraining:
    """What `hpo train` made, as its files describe it."""

    path: Path
    settings: dict[str, Any]
    """The content of train.json."""
    record: TrialRecord
    """The training as a trial, with its best epoch."""
    curve: list[EpochResult]

    @property
    def name(self) -> str:
        return self.path.resolve().name

    @property
    def samples(self) -> Path:
        """A sheet of training images, as the network saw them; it may be missing."""
        return self.path / "samples.png"


def read_training(path: Path) -> StoredTraining | None:
    """Reads the training in `path`, or of that name; None where that is a run, or nothing.

    Raises UserError where its files cannot be read, as before the end of its first epoch.
    """
    path = find(path)
    if not (path / "train.json").exists():
        return None
    try:
        settings = json.loads((path / "train.json").read_text(encoding="utf-8"))
        best = json.loads((path / "best.json").read_text(encoding="utf-8"))
        with (path / "curves.csv").open(newline="", encoding="utf-8") as file:
            curve = [_epoch(row) for row in csv.DictReader(file)]
        return StoredTraining(path, settings, TrialRecord.from_dict(best["trial"]), curve)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path}: a training whose files cannot be read ({error})") from error


def _epoch(row: Mapping[str, str]) -> EpochResult:
    values: dict[str, Any] = {key: float(value) if value else None for key, value in row.items()}
    missing = {key: math.nan for key in ("val_loss", "val_accuracy") if values[key] is None}
    whole = {key: int(values[key]) for key in ("epoch", "images")}
    return EpochResult(**{**values, **missing, **whole})


# A report works without these.
_DEFAULTS: dict[str, Any] = {"state": RunState.UNKNOWN, "machine": {}, "versions": {}, "early_stopping": {}}


def read_run(path: Path) -> StoredRun:
    """Reads the run in `path`, or of that name. Damaged lines of its journal are skipped, with a note on stderr.

    Raises UserError when there is no run, or when its study.json cannot be read.
    """
    path = find(path)
    try:
        study = read_study(path / "study.json")
        check_whole(study)
        found = scan(path / "trials.jsonl", TrialRecord.from_dict)
    except (FileNotFoundError, NotADirectoryError):
        raise not_a_run(path) from None
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read ({error})") from error
    if found.damaged:
        lines = f"{len(found.damaged)} damaged line{'s' if len(found.damaged) > 1 else ''}"
        print(f"note: {path}/trials.jsonl: skipped {lines}; --resume repairs the file", file=sys.stderr)
    return StoredRun(path, {**_DEFAULTS, **study}, _records(found.entries))


def read_records(journal: Path) -> list[TrialRecord]:
    """Reads the undamaged rows of the journal, one for each trial."""
    return _records(scan(journal, TrialRecord.from_dict).entries)


def _records(entries: Sequence[dict[str, Any]]) -> list[TrialRecord]:
    rows = {row["trial_id"]: row for row in entries}
    return [TrialRecord.from_dict(row) for row in rows.values()]


def check_comparable(runs: Sequence[StoredRun]) -> None:
    """Raises UserError unless all runs used the same images, split in the same way."""
    first = runs[0]
    for other in runs[1:]:
        theirs, ours = other.study["data"], first.study["data"]
        if theirs["name"] != ours["name"]:
            raise UserError(
                f"{other.path}: used the data set {theirs['name']}, and {first.path} used {ours['name']}; "
                "to compare them anyway, add --mixed"
            )
        changed = [part for part, sha in ours["hashes"].items() if theirs["hashes"].get(part) != sha]
        if changed:
            raise UserError(
                f"{other.path}: its {', '.join(changed)} split differs from that of {first.path}; "
                "to compare them anyway, add --mixed"
            )
