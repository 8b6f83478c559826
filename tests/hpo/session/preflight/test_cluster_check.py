"""What the nodes of a cluster must have, with the answers they may give."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hpo.session.preflight import cluster_check
from hpo.session.preflight.cluster_check import check_nodes
from hpo.store.checkpoint_stores import FolderStorage


def answering(monkeypatch: pytest.MonkeyPatch, *answers: Any) -> None:
    """Lets each node do its visit, or answer what is given."""

    def ask(function: Any, place: Any) -> dict[str, Any]:
        return {f"node-{n}": answer or function(place) for n, answer in enumerate(answers)}

    monkeypatch.setattr(cluster_check, "on_every_node", ask)


def test_nodes_that_share_the_place_are_fine_and_nothing_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answering(monkeypatch, None, None, None)
    check_nodes(str(tmp_path / "shared"), joined=True)
    check_nodes(None, joined=True)
    assert list((tmp_path / "shared").iterdir()) == []


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (FileNotFoundError("probe"), "node node-1 does not see what the others write there"),
        ("written elsewhere", "node node-1 does not see what the others write there"),
        (ModuleNotFoundError("No module named 'optuna'"), r"--address: node node-1 cannot run trials \(ModuleNotFound"),
        (TimeoutError("no answer within 60 s"), r"--address: node node-1 cannot run trials \(TimeoutError: no answer"),
    ],
)
def test_a_node_that_cannot_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: Any, message: str
) -> None:
    answering(monkeypatch, None, answer)
    with pytest.raises(ValueError, match=message) as error:
        check_nodes(str(tmp_path), joined=True)
    assert "\n" not in str(error.value) and list(tmp_path.iterdir()) == []


def test_a_place_that_takes_nothing_is_refused_without_a_cluster_too(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match=r"--storage-path .*file: cannot be written"):
        check_nodes(str(tmp_path / "file"), joined=False)
    assert not FolderStorage(tmp_path / "nowhere").names("")
