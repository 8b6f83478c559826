from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from hpo.store.trust import check_named, check_records, check_trusted, consent, functions_of
from hpo.system.errors import UserError
from tests.helpers.records import record


def test_code_of_the_users_needs_consent() -> None:
    assert consent(["cnn", "mlp"]) == "" and consent(["cnn", "my:net"]) == " --model cnn my:net"
    check_named("a", ["cnn"], given=[])
    check_named("a", ["cnn", "my:net"], given=["my:net"])
    with pytest.raises(UserError, match=r"--resume a: uses the architecture my:net, .* add --model cnn my:net"):
        check_named("a", ["cnn", "my:net"], given=["other:net"])


def test_a_librarys_network_needs_none() -> None:
    assert consent(["torchvision:resnet18"]) == ""
    check_named("a", ["timm:resnet18"], given=[])
    check_trusted("x.pt", "torchvision:resnet18", None)
    with pytest.raises(UserError, match=r"x\.pt: uses the architecture timm:resnet81: timm has no such classifier"):
        check_trusted("x.pt", "timm:resnet81", None)


@pytest.mark.parametrize(
    ("model", "trusted", "message"),
    [
        ("my:net", None, "x.pt: uses the architecture my:net, whose code would run"),
        ("my:net", "other:net", "--model other:net: x.pt uses the architecture my:net"),
        ("resnet", None, "x.pt: uses the architecture resnet, which is unknown here"),
    ],
)
def test_a_file_names_code_that_may_not_run(model: str, trusted: str | None, message: str) -> None:
    check_trusted("x.pt", "cnn", None)
    check_trusted("x.pt", "my:net", "my:net")
    with pytest.raises(UserError, match=message):
        check_trusted("x.pt", model, trusted)


@pytest.mark.parametrize("changed", [{"model": "evil:net"}, {"trial_id": "../../x"}])
def test_trials_of_another_run_are_refused(changed: dict[str, str]) -> None:
    check_records("a", [record(0)], ["cnn"])
    with pytest.raises(UserError, match=r"--resume a: its trials\.jsonl belongs to another run"):
        check_records("a", [record(0, **changed)], ["cnn"])


def test_functions_of_the_users_need_consent_too() -> None:
    functions = [("--metric", ("a:m",)), ("--range", ("lr=1:2", "loss=bce,b:l"))]
    assert consent(["cnn"], functions) == " --metric a:m --range lr=1:2 loss=bce,b:l"
    check_named("a", ["cnn"], (), functions, functions)
    with pytest.raises(UserError, match=r"--resume a: uses code of its own, .* add --range lr=1:2 loss=bce,b:l"):
        check_named("a", ["cnn"], (), functions, functions[:1])
    trial = record(0, config={"loss": "b:l"}, metric="a:m")
    assert functions_of(trial) == [("--loss", ("b:l",)), ("--metric", ("a:m",))] and functions_of(record(1)) == []


@pytest.mark.parametrize("changed", [{"config": {"loss": "evil:f"}}, {"metric": "evil:m"}])
def test_trials_with_other_code_are_refused(changed: dict[str, Any]) -> None:
    trial = record(0, config={"loss": "b:l"}, metric="a:m")
    check_records("a", [trial], ["cnn"], ["b:l"], "a:m")
    with pytest.raises(UserError, match="belongs to another run"):
        check_records("a", [replace(trial, **changed)], ["cnn"], ["b:l"], "a:m")
