"""A run that has been: what lies in its results/NAME, read without touching anything."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpo.store.journal import scan
from hpo.store.study_file import check_whole, read_study
from hpo.system.errors import UserError
from hpo.trials.ranking import RankBy, Ranked, rank
from hpo.trials.records import TrialRecord

if TYPE_CHECKING:
    from hpo.trials.finalists import Finalist


@dataclass(frozen=True)
class StoredRun:
    """study: its study.json. records: of its finished trials, in the order they finished."""

    path: Path
    study: dict[str, Any]
    records: list[TrialRecord]

    @property
    def name(self) -> str:
        return self.path.resolve().name

    @property
    def spec(self) -> dict[str, Any]:
        spec: dict[str, Any] = self.study["spec"]
        return spec

    def ranked(self) -> list[Ranked]:
        """As the run ranked them."""
        images = self.study["data"]["sizes"]["validation"] if self.spec.get("one_standard_error") else None
        return rank(self.records, RankBy.of(self.spec.get("rank_by", ()), images, self.spec.get("objective", ())))

    def finalists(self) -> list[Finalist]:
        """Those of the leaderboard that were tested, best first; none where the run had no finals."""
        from hpo.store.finals_file import read_finalists
        from hpo.trials.finalists import choose, final_seeds, order

        seeds = final_seeds(self.spec.get("seed", 0), self.spec.get("final_seeds", 0))
        return order(read_finalists(self.path / "finals.jsonl", choose(self.ranked(), self.finals), seeds))

    @property
    def finals(self) -> int:
        """How many finalists each architecture was to have."""
        return int(self.spec.get("finalists", 0))


_WITHOUT: dict[str, Any] = {"state": "unknown", "machine": {}, "versions": {}}  # what a page can do without


def read_run(path: Path) -> StoredRun:
    """What can be read of the run in `path`; damaged lines of its journal are passed over, with a note on stderr.

    Raises ValueError, in one line, where there is no run or its study.json cannot be read.
    """
    try:
        study = read_study(path / "study.json")
        check_whole(study)
        found = scan(path / "trials.jsonl", TrialRecord.from_dict)
    except (FileNotFoundError, NotADirectoryError):
        raise UserError(f"{path}: is no run; give a results/NAME with a study.json in it") from None
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read ({error})") from error
    if found.damaged:
        lines = f"{len(found.damaged)} damaged line{'s' if len(found.damaged) > 1 else ''}"
        print(f"note: {path}/trials.jsonl: {lines} passed over; a resume mends it", file=sys.stderr)
    return StoredRun(path, {**_WITHOUT, **study}, _records(found.entries))


def read_records(journal: Path) -> list[TrialRecord]:
    """The journal's whole rows, one for each trial."""
    return _records(scan(journal, TrialRecord.from_dict).entries)


def _records(entries: Sequence[dict[str, Any]]) -> list[TrialRecord]:
    rows = {row["trial_id"]: row for row in entries}
    return [TrialRecord.from_dict(row) for row in rows.values()]


def check_comparable(runs: Sequence[StoredRun]) -> None:
    """ValueError unless all ran on the same images, split alike."""
    first = runs[0]
    for other in runs[1:]:
        theirs, ours = other.study["data"], first.study["data"]
        if theirs["name"] != ours["name"]:
            raise UserError(
                f"{other.path}: is of {theirs['name']}, {first.path} of {ours['name']}; to mix them, add --mixed"
            )
        changed = [part for part, sha in ours["hashes"].items() if theirs["hashes"].get(part) != sha]
        if changed:
            raise UserError(
                f"{other.path}: its {', '.join(changed)} split is not that of {first.path}; to mix them, add --mixed"
            )
