"""NAME=VALUE and LOW:HIGH as the user writes them."""

from __future__ import annotations

import pytest

from hpo.spec.spaces.assignments import parse_assignments, parse_range, parse_value


@pytest.mark.parametrize(
    ("text", "value"),
    [("16", 16), ("1e-3", 1e-3), ("True", True), ("false", False), ("relu", "relu"), ("-2", -2), ("1_000", 1000)],
)
def test_values_are_what_they_look_like(text: str, value: object) -> None:
    parsed = parse_value(text)
    assert parsed == value and type(parsed) is type(value)


def test_names_are_written_with_either_dash() -> None:
    assert parse_assignments("--set", ["batch-size=32", "lr = 0.1", "tag=a=b"]) == {
        "batch_size": 32,
        "lr": 0.1,
        "tag": "a=b",
    }


@pytest.mark.parametrize("text", ["lr", "lr=", "=1"])
def test_what_is_no_assignment_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match=f"--set {text}: write NAME=VALUE, such as --set lr=0.01"):
        parse_assignments("--set", [text])


def test_ranges() -> None:
    assert parse_range("--range lr=1e-4:1e-2:log", "1e-4:1e-2:log") == (1e-4, 1e-2, True)
    assert parse_range("--range width_1=8:64", "8:64") == (8, 64, False)
    for text in ("1", "1:", "1:2:ln"):
        with pytest.raises(ValueError, match=r"write NAME=LOW:HIGH, NAME=LOW:HIGH:log or NAME=VALUE,VALUE"):
            parse_range("--range lr", text)
