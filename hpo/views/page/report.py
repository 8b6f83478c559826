"""report.html: a run on one page, which opens offline and loads nothing from the network."""

from __future__ import annotations

import random
import shlex
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from hpo.spec.spaces.stored import describe, parse_distribution
from hpo.store.stored_run import StoredRun
from hpo.system.files import write_atomically
from hpo.trials.ranking import Ranked
from hpo.views.formats import number
from hpo.views.page.headline import headline
from hpo.views.page.origin import images, made_with
from hpo.views.page.sections import Evaluate, metric_of, sections
from hpo.views.page.template import render_template
from hpo.views.tables import differing_keys, shared_line

_MOST_COUNTS, _COUNTED = 20, " (training + validation)"
MAX_ROWS = 1000  # in the table of trials; with ten thousand the page opens slowly
_SAMPLE_SEED = 0


def write_report(run: StoredRun, path: Path, evaluate: Evaluate) -> None:
    """Writes the page of a run, whole or not at all. Raises OSError.

    `evaluate` runs a trial's network on the validation split. What cannot be drawn, because no trial is usable or the
    data set is missing, is named on the page.
    """
    write_atomically(path, render(run, evaluate))


def render(run: StoredRun, evaluate: Evaluate) -> str:
    """The page, as HTML."""
    ranked, finalists, rungs = run.ranked(), run.finalists(), run.rungs()
    shown = sample(ranked)
    parts = ["The run", "Leaderboard", "", *(["Early stopping"] if rungs else []), "Trials"]
    return render_template(
        "report",
        parts=parts,
        title=run.name,
        headline=headline(run, ranked, finalists),
        about=list(_about(run)),
        finals=run.finals,
        finalists=finalists,
        best=_best_of_each(ranked),
        rungs=rungs,
        sections=list(sections(run, ranked, shown, evaluate)),
        provenance=list(_provenance(run)),
        **trials_table(ranked, shown),
    )


def trials_table(ranked: Sequence[Ranked], shown: Sequence[Ranked]) -> dict[str, Any]:
    """What the template of the table of trials needs: all trials, of which these are in the table."""
    records = [item.record for item in ranked]
    return {
        "ranked": shown,
        "left_out": len(ranked) - len(shown),
        "config_keys": sorted(differing_keys(records)),
        "in_common": shared_line(records),
        "metric": metric_of(records),
    }


def sample(ranked: Sequence[Ranked]) -> list[Ranked]:
    """All trials; of more than `MAX_ROWS`, half that many of the best and the same number of the others, at random."""
    if len(ranked) <= MAX_ROWS:
        return list(ranked)
    best, rest = ranked[: MAX_ROWS // 2], ranked[MAX_ROWS // 2 :]
    drawn = random.Random(_SAMPLE_SEED).sample(range(len(rest)), MAX_ROWS - len(best))
    return [*best, *(rest[at] for at in sorted(drawn))]


def _about(run: StoredRun) -> Iterator[tuple[str, str]]:
    study, data = run.study, run.study["data"]
    yield "state", study["state"]
    yield (
        "architectures",
        ", ".join(f"{name} ({number(m['parameters'])} parameters)" for name, m in study["models"].items()),
    )
    states = Counter(str(record.state) for record in run.records)
    yield "trials", ", ".join(f"{count} {state}" for state, count in states.items()) or "none has finished"
    yield "data", images(data)
    if "class_counts" in data:
        yield "images of each class", _class_counts(data)
    if data["notice"]:
        yield "note", data["notice"]


def _class_counts(data: dict[str, Any]) -> str:
    """ "cat 96 + 24, dog 12 + 3 (training + validation)", the fewest first; of many classes the first and the last."""
    counts = data["class_counts"]
    fewest_first = sorted(zip(counts["train"], counts["validation"], data["classes"], strict=True))
    words = [f"{name} {number(train)} + {number(validation)}" for train, validation, name in fewest_first]
    half = _MOST_COUNTS // 2
    return ", ".join(words if len(words) <= _MOST_COUNTS else [*words[:half], "...", *words[-half:]]) + _COUNTED


def _best_of_each(ranked: Sequence[Ranked]) -> list[Ranked]:
    """The best trial of each architecture: the leaderboard of a run without finals."""
    best: dict[str, Ranked] = {}
    for item in ranked:
        best.setdefault(item.record.model, item)
    return list(best.values())


def _provenance(run: StoredRun) -> Iterator[tuple[str, str]]:
    study = run.study
    yield "command", command(run.spec)
    yield "run", study.get("id", "")
    for session in study["sessions"]:
        yield "session", f"{session['started']} to {session.get('ended', '?')} on {session['host']}"
    yield from made_with(study)
    for name, model in study["models"].items():
        yield f"space of {name}", "; ".join(f"{key} {_range(text)}" for key, text in model["space"].items())


def _range(text: str) -> str:
    """ "0.0001 ... 0.1 (log)", or "relu, elu": what a distribution, as study.json has it, may be."""
    try:
        return describe(parse_distribution(text))
    except ValueError:
        return text


def command(spec: dict[str, Any]) -> str:
    """The command line that starts a new run with the spec of a study.json.

    --resume and --quiet are left out. So are the spaces of a --config file, which have no flags; the page shows them.
    """
    words = ["python", "hpo/run.py"]
    for key, value in spec.items():
        if key in ("space", "resume", "quiet"):
            continue
        words.append(f"--{key.replace('_', '-')}")
        words += [] if value is True else [str(each) for each in (value if isinstance(value, list) else [value])]
    return shlex.join(words)
