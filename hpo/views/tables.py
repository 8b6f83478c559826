"""Tables of trials and finalists for the terminal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.measure import Measurement
from rich.padding import Padding
from rich.segment import Segment
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
_GAP = 2  # before one behind its trial
_INDENT = 6  # of a configuration under its trial: there the names of the trials begin


class WithConfigurations:
    """A table with the configuration of each row: behind its line where all fit there, else under it.

    configs: the texts, of the last rows. is_cut: whether one that does not fit under it is cut off, instead of wrapped.
    """

    def __init__(self, table: Table, configs: Sequence[str], *, is_cut: bool = False) -> None:
        self._table, self._configs, self._is_cut = table, configs, is_cut

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        lines = console.render_lines(self._table, options, pad=False)
        heads = len(lines) - len(self._configs)
        wide = max(map(Segment.get_line_length, lines), default=0)
        beside = all(wide + _GAP + len(config) <= options.max_width for config in self._configs)
        for line in lines[:heads]:
            yield from (*line, Segment.line())
        for line, config in zip(lines[heads:], self._configs, strict=True):
            words = shown(config)
            if beside:
                yield from line
                yield Segment(" " * (wide - Segment.get_line_length(line) + _GAP))
                yield words
                continue
            words.no_wrap, words.overflow = self._is_cut, "ellipsis" if self._is_cut else None
            yield from (*line, Segment.line())
            yield Padding(words, (0, 0, 0, _INDENT))


def finals_table(finalists: Sequence[Finalist]) -> Table:
    """The finalists, best first, one per line. "=" marks those that are tied with the best."""
    table = Table(box=None, pad_edge=False)
    name_of = _short_metric(finalist.record for finalist in finalists)
    for name in ("rank", "trial", f"test {name_of}", "95 % interval", f"val {name_of}", "optimism", "parameters"):
        table.add_column(name, justify="left" if name == "trial" else "right", no_wrap=True)
    are_ties = sum(finalist.tied_with_best for finalist in finalists) > 1
    for place, finalist in enumerate(finalists, start=1):
        measured, record = finalist.measured, finalist.record
        table.add_row(
            f"{place}{'=' if finalist.tied_with_best and are_ties else ' '}",
            shown(record.trial_id),
            accuracy(measured.mean),
            interval(measured.low, measured.high),
            accuracy(record.value),
            difference(finalist.optimism),
            number(record.parameters),
        )
    return table


def best_table(ranked: Sequence[Ranked], console: Console, top: int = 10) -> RenderableType:
    """The first `top` trials, best first. "*" marks those on the Pareto front.

    It has a column for each hyperparameter in which any of the trials differ (`shared_line` has the others). Where the
    terminal is too narrow for that, each trial has its hyperparameters on a line of their own.
    """
    keys = differing_keys([item.record for item in ranked])
    table = _trials_table(ranked, top, keys)
    needed = Measurement.get(console, console.options.update_width(_ENDLESS), table).maximum
    if needed <= console.width:
        return table
    configs = [configuration_words(item.record.config, keys) for item in ranked[:top]]
    return WithConfigurations(_trials_table(ranked, top, ()), configs)


def shared_line(records: Sequence[TrialRecord]) -> str:
    """ "All trials: 45,846 parameters, schedule linear, ema 0.99": what all trials have in common, or ""."""
    config = [f"{_words(key)} {hyperparameter(value)}" for key, value in shared_config(records).items()]
    size = [f"{number(records[0].parameters)} parameters"] if _are_equally_large(records) else []
    return f"All trials: {', '.join([*size, *config])}" if size or config else ""


def shared_config(records: Sequence[TrialRecord]) -> dict[str, Any]:
    """The hyperparameters that several trials have in common, with their values; none of a single trial."""
    return in_common([record.config for record in records])


def differing_keys(records: Sequence[TrialRecord]) -> list[str]:
    """The hyperparameters in which trials differ, in the order in which they come."""
    shared = shared_config(records)
    return list(dict.fromkeys(key for record in records for key in record.config if key not in shared))


def configuration_words(config: Mapping[str, Any], keys: Iterable[str]) -> str:
    """ "lr=0.00123 batch_size=32 gelu": these hyperparameters of a configuration, where it has them."""
    return " ".join(_short(key, config[key]) for key in keys if key in config)


def in_common(configs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The hyperparameters that several configurations have in common, with their values; none of a single one."""
    if len(configs) < 2:
        return {}
    first, *others = configs
    return {key: value for key, value in first.items() if all(key in other and other[key] == value for other in others)}


def _trials_table(ranked: Sequence[Ranked], top: int, keys: Sequence[str]) -> Table:
    """The trials, one per line, with a column for each of these hyperparameters."""
    records = [item.record for item in ranked]
    sized = not _are_equally_large(records)
    table = Table(box=None, pad_edge=False)
    validated = f"val {_short_metric(records)}"
    for name in ("rank", "trial", validated, *(["parameters"] if sized else []), "time", "epochs", "state"):
        table.add_column(name, justify="left" if name in ("trial", "state") else "right", no_wrap=True)
    for key in keys:
        are_texts = all(isinstance(record.config.get(key, ""), str) for record in records)
        head = Text(printable(_words(key)).replace(" ", "\n"))
        table.add_column(head, justify="left" if are_texts else "right", no_wrap=True)
    for item in ranked[:top]:
        config = item.record.config
        cells = [shown(hyperparameter(config[key]) if key in config else MISSING) for key in keys]
        table.add_row(*_measured(item, sized), *cells)
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
