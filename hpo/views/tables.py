"""Tables of trials and finalists for the terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from hpo.system.text import printable, shown
from hpo.trials.metric import ACCURACY, words
from hpo.trials.ranking import Ranked
from hpo.trials.records import TrialRecord
from hpo.views.formats import MISSING, accuracy, difference, hyperparameter, interval, number, seconds

if TYPE_CHECKING:
    from hpo.trials.finalists import Finalist


_ENDLESS = 10_000  # columns of a terminal in which nothing is cut off


def finals_table(finalists: Sequence[Finalist]) -> Table:
    """The finalists, best first, one per line. "=" marks those that are tied with the best."""
    table = Table(box=None, pad_edge=False)
    name_of = _short_metric(finalist.record for finalist in finalists)
    for name in ("rank", "trial", f"test {name_of}", "95 % interval", f"val {name_of}", "optimism", "parameters"):
        table.add_column(name, justify="left" if name == "trial" else "right", no_wrap=True)
    for place, finalist in enumerate(finalists, start=1):
        measured, record = finalist.measured, finalist.record
        table.add_row(
            f"{place}{'=' if finalist.tied_with_best and len(finalists) > 1 else ' '}",
            shown(record.trial_id),
            accuracy(measured.mean),
            interval(measured.low, measured.high),
            accuracy(record.value),
            difference(finalist.optimism),
            number(record.parameters),
        )
    return table


def best_table(ranked: Sequence[Ranked], console: Console, top: int = 10) -> Table:
    """The first `top` trials, one per line. "*" marks those on the Pareto front.

    It has a column for each hyperparameter in which any of the trials differ (`shared_line` has the others). Where the
    terminal is too narrow for that, one column has them all.
    """
    table = _trials_table(ranked, top, in_columns=True)
    needed = Measurement.get(console, console.options.update_width(_ENDLESS), table).maximum
    return table if needed <= console.width else _trials_table(ranked, top, in_columns=False)


def shared_line(records: Sequence[TrialRecord]) -> str:
    """ "All trials: 45,846 parameters, schedule linear, ema 0.99": what all trials have in common, or ""."""
    config = [f"{_words(key)} {hyperparameter(value)}" for key, value in shared_config(records).items()]
    size = [f"{number(records[0].parameters)} parameters"] if _are_equally_large(records) else []
    return f"All trials: {', '.join([*size, *config])}" if size or config else ""


def shared_config(records: Sequence[TrialRecord]) -> dict[str, Any]:
    """The hyperparameters that several trials have in common, with their values; none of a single trial."""
    if len(records) < 2:
        return {}
    first, *others = (record.config for record in records)
    return {key: value for key, value in first.items() if all(key in other and other[key] == value for other in others)}


def differing_keys(records: Sequence[TrialRecord]) -> list[str]:
    """The hyperparameters in which trials differ, in the order in which they come."""
    shared = shared_config(records)
    return list(dict.fromkeys(key for record in records for key in record.config if key not in shared))


def _trials_table(ranked: Sequence[Ranked], top: int, *, in_columns: bool) -> Table:
    records = [item.record for item in ranked]
    keys, sized = differing_keys(records), not _are_equally_large(records)
    table = Table(box=None, pad_edge=False)
    validated = f"val {_short_metric(records)}"
    for name in ("rank", "trial", validated, *(["parameters"] if sized else []), "time", "epochs", "state"):
        table.add_column(name, justify="left" if name in ("trial", "state") else "right", no_wrap=True)
    for key in keys if in_columns else ():
        are_texts = all(isinstance(record.config.get(key, ""), str) for record in records)
        head = Text(printable(_words(key)).replace(" ", "\n"))
        table.add_column(head, justify="left" if are_texts else "right", no_wrap=True)
    if keys and not in_columns:
        table.add_column("configuration")
    for item in ranked[:top]:
        table.add_row(*_measured(item, sized), *_configuration(item.record, keys, in_columns))
    return table


def _measured(item: Ranked, sized: bool) -> list[str | Text]:
    record = item.record
    return [
        f"{item.rank}{'*' if item.pareto else ' '}",
        shown(record.trial_id),
        accuracy(record.value),
        *([number(record.parameters)] if sized else []),
        seconds(record.wall_time_s),
        str(record.epochs),
        record.state.value,
    ]


def _configuration(record: TrialRecord, keys: Sequence[str], in_columns: bool) -> list[Text]:
    """The cells of these hyperparameters: one for each, or a single one."""
    config = record.config
    if in_columns:
        return [shown(hyperparameter(config[key]) if key in config else MISSING) for key in keys]
    return [shown(" ".join(_short(key, config[key]) for key in keys if key in config))] if keys else []


def _are_equally_large(records: Sequence[TrialRecord]) -> bool:
    return len(records) > 1 and len({record.parameters for record in records}) == 1


def _short_metric(records: Iterable[TrialRecord]) -> str:
    """The name of the records' metric at the head of a column."""
    name = next((words(record.metric) for record in records), ACCURACY)
    return "acc" if name == ACCURACY else name


def _words(key: str) -> str:
    return key.replace("_", " ")


def _short(key: str, value: Any) -> str:
    """ "lr=0.00123"; a text (an activation, an optimizer) is shown without its name."""
    return value if isinstance(value, str) else f"{key}={hyperparameter(value)}"
