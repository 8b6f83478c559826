from __future__ import annotations

import pytest

from hpo.views import formats


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (formats.accuracy(0.98765), "0.9877"),
        (formats.accuracy(None), "-"),
        (formats.loss(0.05), "0.0500"),
        (formats.difference(-0.0021), "-0.0021"),
        (formats.difference(0.0), "+0.0000"),
        (formats.correlation(-0.104), "-0.10"),
        (formats.correlation(None), "-"),
        (formats.interval(0.9, 1.0), "0.9000 - 1.0000"),
        (formats.percent(0.644), "64 %"),
        (formats.percent(0.98765, digits=2), "98.77 %"),
        (formats.percent(None), "-"),
        (formats.number(44_426), "44,426"),
        (formats.number(None), "-"),
        (formats.plural(1, "epoch"), "1 epoch"),
        (formats.plural(0, "run"), "0 runs"),
        (formats.plural(1000, "trial"), "1,000 trials"),
        (formats.seconds(1.25), "1.2 s"),
        (formats.hyperparameter(0.0012345), "0.00123"),
        (formats.hyperparameter(64), "64"),
        (formats.hyperparameter("relu"), "relu"),
    ],
)
def test_each_kind_of_number_has_one_format(shown: str, expected: str) -> None:
    assert shown == expected


@pytest.mark.parametrize(
    ("seconds", "text"), [(None, "-"), (0.4, "0s"), (59.6, "1m00s"), (185, "3m05s"), (3600, "1h00m"), (7630, "2h07m")]
)
def test_durations(seconds: float | None, text: str) -> None:
    assert formats.duration(seconds) == text
