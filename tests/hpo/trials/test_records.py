"""A trial's record, as JSON and back."""

from __future__ import annotations

import json
from typing import Any

import pytest

from hpo.trials.records import TrialRecord, TrialState
from tests.helpers.records import record


def test_records_go_through_json_and_unknown_keys_are_left_out() -> None:
    one = record(3)
    back = TrialRecord.from_dict({**json.loads(json.dumps(one.to_dict())), "of_next_version": 1})
    assert back == one and back.state is TrialState.COMPLETED


@pytest.mark.parametrize("changed", [{"seed": "x"}, {"epochs": True}, {"curve": [{"epoch": "1"}]}, {"state": "gone"}])
def test_a_damaged_record_is_refused(changed: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"is '?\w+'?|its curve is damaged|not a valid TrialState"):
        TrialRecord.from_dict({**record(0).to_dict(), **changed})
