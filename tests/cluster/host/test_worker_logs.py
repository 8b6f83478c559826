"""What workers left in Ray's session on this machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from cluster.host import worker_logs
from cluster.host.worker_logs import keep_worker_logs, last_words


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    folder = tmp_path / "ray" / "session_2026-01-01" / "logs"
    folder.mkdir(parents=True)
    return folder


@pytest.mark.parametrize(
    ("after", "words"),
    [
        ("Fatal Python error: Segmentation fault\n\nThread", "Segmentation fault"),
        ("File x, line 3, called os._exit(7)\n", "called os._exit(7)"),
        ("", ""),
        (":trains cnn-0002\nFatal Python error: Aborted\n", ""),
    ],
)
def test_the_end_of_the_process_that_last_trained_it(after: str, words: str, logs: Path) -> None:
    (logs / "worker-crash-1").write_text(f":trains cnn-0001\n{after}")
    (logs / "worker-crash-2").write_text(":trains mlp-0001\nFatal Python error: Bus error\n")
    assert last_words(logs.parents[1], "cnn-0001") == (words, "worker-crash-1" if words else "")


def test_what_was_printed_is_kept_up_to_a_size(logs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_logs, "KEPT_BYTES", 12)
    (logs / "worker-a.out").write_text(":job_id:01\n0123456789abc\n")
    (logs / "worker-b.out").write_text(":job_id:01\n")
    kept = tmp_path / "kept"
    kept.mkdir()
    keep_worker_logs(logs.parents[1], kept)
    assert {file.name: file.read_text() for file in kept.iterdir()} == {
        "worker-a.out": "(the first 13 bytes are left out)\n23456789abc\n"
    }
    keep_worker_logs(logs.parents[1], None)
