"""Numbers as a reader sees them: one format for each kind of number, on the terminal and on the report page."""

from __future__ import annotations

from datetime import datetime
from typing import Any

MISSING = "-"


def accuracy(value: float | None) -> str:
    """ "0.9876": a fraction in [0, 1]; "-" for None."""
    return MISSING if value is None else f"{value:.4f}"


def loss(value: float | None) -> str:
    """ "0.0512", in nats per image; "-" for None."""
    return MISSING if value is None else f"{value:.4f}"


def difference(value: float | None) -> str:
    """ "+0.0021": a difference of accuracies, always with its sign; "-" for None."""
    return MISSING if value is None else f"{value:+.4f}"


def correlation(value: float | None) -> str:
    """ "0.87"; "-" for None."""
    return MISSING if value is None else f"{value:.2f}"


def interval(low: float, high: float) -> str:
    """ "0.9712 - 0.9801"."""
    return f"{accuracy(low)} - {accuracy(high)}"


def percent(fraction: float | None, digits: int = 0) -> str:
    """ "64 %"; "-" for None."""
    return MISSING if fraction is None else f"{100 * fraction:.{digits}f} %"


def probability(value: float) -> str:
    """ "0.98"; "over 0.99": near certainty says no more."""
    return "over 0.99" if value > 0.99 else f"{value:.2f}"


def number(value: float | None) -> str:
    """ "44,426": a count, with commas; "-" for None."""
    return MISSING if value is None else f"{value:,.0f}"


def plural(count: int, noun: str) -> str:
    """ "1 epoch", "1,000 epochs": a count and its noun, which takes an s in the plural."""
    return f"{number(count)} {noun}{'' if count == 1 else 's'}"


def seconds(value: float) -> str:
    """ "12.3 s": a time that was measured."""
    return f"{value:.1f} s"


def megabytes(size: int) -> str:
    """ "1.2 MB": of a number of bytes."""
    return f"{size / 1e6:,.1f} MB"


def duration(value_s: float | None) -> str:
    """ "42s", "3m05s", "2h07m": a time that a reader plans with; "-" for None."""
    if value_s is None:
        return MISSING
    whole = round(value_s)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02d}s"
    return f"{whole // 3600}h{whole % 3600 // 60:02d}m"


def moment(when: datetime) -> str:
    """ "2026-11-27 14:05", in the time of this machine."""
    return when.astimezone().strftime("%Y-%m-%d %H:%M")


def hyperparameter(value: Any) -> str:
    """ "0.00123", "64", "relu": a hyperparameter's value, a float with three significant digits."""
    return f"{value:.3g}" if isinstance(value, float) else str(value)
