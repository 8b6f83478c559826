"""best.pt and best.json: damaged ones, foreign ones, and code that they name."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from hpo.store.model_file import FINAL, TRIAL, Description, file_of, has_weights, load, weights_in
from hpo.trials.records import TrialRecord
from tests.helpers.commands import refused
from trainers import checkpoint


def damaged(trained: Path, kind: str) -> Any:
    """(content of a best.pt that is not one, what is said of it)."""
    state = checkpoint.load(trained / "best.pt")
    if kind == "another architecture":
        return {**state, "model": "mlp"}, "its weights do not fit the architecture mlp"
    if kind == "unknown architecture":
        return {**state, "model": "resnet"}, "uses the architecture resnet, which is unknown here"
    if kind == "without weights":
        return {key: value for key, value in state.items() if key != "state_dict"}, "its weights do not fit"
    if kind == "no description":
        return {"state_dict": state["state_dict"]}, "is not a Podium network (model is missing)"
    return {**state, "arch": {"depth": 3}}, "its weights do not fit the architecture lenet5_bn"


@pytest.mark.parametrize(
    "kind", ["another architecture", "unknown architecture", "without weights", "no description", "unknown argument"]
)
@pytest.mark.parametrize("command", ["evaluate", "export"])
def test_weights_that_do_not_fit(
    command: str, kind: str, trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content, message = damaged(trained, kind)
    checkpoint.save(tmp_path / "x.pt", content)
    assert f"{tmp_path}/x.pt: {message}" in refused(capsys, command, tmp_path / "x.pt")
    assert [path.name for path in tmp_path.iterdir()] == ["x.pt"]


class Malicious:
    def __reduce__(self) -> Any:
        return print, ("it ran",)


def test_files_that_are_no_weights(trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    whole = (trained / "best.pt").read_bytes()
    (tmp_path / "half.pt").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text.pt").write_text("hello")
    torch.save({"model": Malicious()}, tmp_path / "evil.pt")
    for name in ("half", "text", "evil"):
        assert f"{name}.pt: not a readable checkpoint" in refused(capsys, "evaluate", tmp_path / f"{name}.pt")


def test_code_that_a_file_names_does_not_run(trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An architecture may be any MODULE:NAME, and so may be any program: it runs only if the user names it too."""
    mark = tmp_path / "it-ran"
    state = checkpoint.load(trained / "best.pt")
    evil = {**state, "model": "subprocess:Popen", "arch": {}}
    checkpoint.save(tmp_path / "evil.pt", evil)
    for command in ("evaluate", "export"):
        err = refused(capsys, command, tmp_path / "evil.pt")
        assert "evil.pt: uses the architecture subprocess:Popen, whose code would run" in err
    best = json.loads((trained / "best.json").read_text())
    (tmp_path / "best.json").write_text(json.dumps({**best, "model": "subprocess:Popen"}))
    assert "whose code would run" in refused(capsys, "train", "--from", tmp_path)
    checkpoint.save(tmp_path / "evil.pt", {**evil, "input_shape": ["touch", str(mark)]})
    err = refused(capsys, "evaluate", tmp_path / "evil.pt", "--model", "subprocess:Popen")
    assert "is not a Podium network (input_shape is no list)" in err and not mark.exists()
    assert "--model mlp: " in refused(capsys, "evaluate", trained, "--model", "mlp")


@pytest.mark.parametrize(
    "changed",
    [{"arch": None}, {"mean": None}, {"mean": [0.1, 0.2]}, {"hashes": None}, {"classes": [1, 2]}, {"train_size": "x"}],
)
def test_a_description_is_not_taken_at_its_word(
    changed: dict[str, Any], trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint.save(tmp_path / "x.pt", {**checkpoint.load(trained / "best.pt"), **changed})
    assert "x.pt: is not a Podium network (" in refused(capsys, "evaluate", tmp_path / "x.pt")
    best = json.loads((trained / "best.json").read_text())
    (tmp_path / "best.json").write_text(json.dumps({**best, **changed}))
    assert "its best.json cannot be read (" in refused(capsys, "train", "--from", tmp_path)
    torch.save(torch.ones(3), tmp_path / "tensor.pt")
    assert "tensor.pt: not a checkpoint, but a Tensor" in refused(capsys, "evaluate", tmp_path / "tensor.pt")


def test_a_folder_without_weights_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "best.pt: there is no such file" in refused(capsys, "evaluate", tmp_path)


def test_whose_weights_they_are(trained: Path, tmp_path: Path) -> None:
    best = TrialRecord.from_dict(json.loads((trained / "best.json").read_text())["trial"])
    assert has_weights(trained, best) and weights_in(trained / "best.pt", best, TRIAL)
    assert not weights_in(trained / "best.pt", best, FINAL)
    other = replace(best, trial_id="other")
    assert not has_weights(trained, other) and not weights_in(trained / "best.pt", other, TRIAL)
    assert not has_weights(tmp_path, best) and not weights_in(tmp_path / "best.pt", best, TRIAL)
    (tmp_path / "best.pt").write_text("damaged")
    assert not weights_in(tmp_path / "best.pt", best, TRIAL)


def test_the_network_of_the_search_is_a_file_of_its_own_beside_that_of_the_finals(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert file_of(trained) == file_of(trained, trial_network=True) == trained / "best.pt"
    folder = tmp_path / "a"
    shutil.copytree(trained, folder)
    best = json.loads((folder / "best.json").read_text())
    (folder / "best.json").write_text(json.dumps({**best, "network": FINAL}))
    record = TrialRecord.from_dict(best["trial"])
    assert has_weights(folder, record) and not has_weights(folder, record, trial_network=True)
    assert "has only the network of the finals" in refused(capsys, "evaluate", folder, "--trial-network")
    shutil.copy(folder / "best.pt", folder / "trial.pt")
    assert has_weights(folder, record, trial_network=True) and file_of(folder, True) == folder / "trial.pt"
    for command in ("evaluate", "predict", "export"):
        told = refused(capsys, command, folder / "best.pt", *["x.png"] * (command == "predict"), "--trial-network")
        assert told == f"hpo: --trial-network: {folder / 'best.pt'} is not a run's folder\n"


def test_a_description_survives_json(trained: Path) -> None:
    description, network = load(trained)
    again = Description.from_dict(json.loads(json.dumps(description.to_dict())))
    assert again == description and again.build().state_dict().keys() == network.state_dict().keys()
