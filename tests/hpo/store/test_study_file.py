from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hpo.store.study_file import check_whole, describe_data, read_study
from trainers.data.dataset import load_dataset

WHOLE: dict[str, Any] = {
    "spec": {},
    "data": {"name": "digits", "hashes": {}, "sizes": {}, "notice": ""},
    "models": {"cnn": {}},
}


@pytest.mark.parametrize("content", ["", "[]", '{"spec": 3}', "{}", "\x00", "[" * 100_000])
def test_what_is_no_study_is_refused(content: str, tmp_path: Path) -> None:
    (tmp_path / "study.json").write_text(content)
    with pytest.raises(ValueError, match=r"it contains no settings|Error: "):
        read_study(tmp_path / "study.json")


def test_a_missing_file_is_told_apart(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_study(tmp_path / "study.json")


@pytest.mark.parametrize("sessions", [None, "x", [1, {"host": "a"}]])
def test_sessions_are_always_a_list_of_tables(sessions: Any, tmp_path: Path) -> None:
    (tmp_path / "study.json").write_text(json.dumps({"spec": {}, "sessions": sessions}))
    assert read_study(tmp_path / "study.json")["sessions"] == ([{"host": "a"}] if isinstance(sessions, list) else [])


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"data": None}, "it has no data"),
        ({"data": {**WHOLE["data"], "hashes": []}}, "its data have no hashes"),
        ({"models": [1]}, "it has no models"),
        ({"models": {"cnn": 1}}, "its models are no tables"),
    ],
)
def test_a_study_names_its_images_and_architectures(changed: dict[str, Any], message: str) -> None:
    check_whole(WHOLE)
    with pytest.raises(ValueError, match=message):
        check_whole({**WHOLE, **changed})


def test_a_data_set_is_described_down_to_its_hashes() -> None:
    described = describe_data(load_dataset("digits", Path("x")))
    assert described["sizes"] == {"train": 1150, "validation": 288, "test": 359}
    assert {len(sha) for sha in described["hashes"].values()} == {64} and json.dumps(described)
