"""Checks of single settings."""

from __future__ import annotations

import re

import pytest

from hpo.spec.checks import MAX_SEED, at_least, check_name, check_seed, choice, unknown


@pytest.mark.parametrize(
    ("value", "close"),
    [("mnsit", "mnist"), ("FMNIST", "fashion-mnist"), ("gpu:1", ""), ("digit", "digits"), ("x", "")],
)
def test_the_closest_choice_is_offered(value: str, close: str) -> None:
    error = str(unknown(f"--dataset {value}", value, ["mnist", "fashion-mnist", "digits"], ", or a folder"))
    hint = f" (did you mean {close}?)" if close else ""
    assert error == f"--dataset {value}: unknown{hint}; choose from mnist, fashion-mnist, digits, or a folder"


def test_what_is_allowed_passes() -> None:
    choice("--device", "cpu", ("cpu", "cuda"))
    at_least("--trials", 1, 1)
    at_least("--trials", None, 1)
    check_seed(MAX_SEED)
    check_name("--name", "übung-1")
    check_name("--name", None)


@pytest.mark.parametrize("value", [True, 2.0, "2"])
def test_only_whole_numbers_are_counts(value: object) -> None:
    with pytest.raises(ValueError, match=f"--trials {value}: must be a whole number"):
        at_least("--trials", value, 1)  # type: ignore[arg-type]


@pytest.mark.parametrize("seed", [-1, MAX_SEED + 1])
def test_seeds_have_bounds(seed: int) -> None:
    with pytest.raises(ValueError, match=f"--seed {seed}: must be at "):
        check_seed(seed)


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a\\b", "a\0", "ü" * 101])
def test_a_name_is_a_plain_folder_name(name: str) -> None:
    with pytest.raises(ValueError, match=re.escape(f"--name {name}: must be a plain folder name")):
        check_name("--name", name)
