"""Where runs are: a run is named by NAME, by results/NAME or by any other path."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path

from hpo.system.errors import UserError

RESULTS = Path("results")


def find(path: Path) -> Path:
    """The path itself where it is a run, a training or a file; otherwise results/NAME, where that is one."""
    inside = RESULTS / path
    return inside if not _is_meant(path) and _is_meant(inside) else path


def _is_meant(path: Path) -> bool:
    return path.is_file() or any((path / name).exists() for name in ("study.json", "train.json", "best.pt"))


def runs_in(results_dir: Path) -> list[str]:
    """The names of the runs in a folder."""
    return sorted(path.parent.name for path in results_dir.glob("*/study.json"))


def not_a_run(said: Path | str, results_dir: Path = RESULTS) -> UserError:
    """The one-line error for what was said of a run: that there is none of that name, and the names that there are."""
    names = runs_in(results_dir)
    close = get_close_matches(Path(said).name, names, n=1)
    meant = f"; did you mean {close[0]}?" if close else ""
    some = ", ".join(names[:20]) + (", ..." if len(names) > 20 else "")
    return UserError(f"{said}: not a run folder{meant} (runs in {results_dir}: {some or 'none'})")
