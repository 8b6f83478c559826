"""Files are replaced in one step."""

from __future__ import annotations

from pathlib import Path

import pytest

from cluster.host.atomic import half_name, replacing


def test_the_new_file_is_there_at_the_end_and_its_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "state"
    path.write_text("old")
    with replacing(path) as file:
        file.write(b"new")
        file.flush()
        assert path.read_text() == "old" and len(list(tmp_path.glob(f"{half_name('state')}*"))) == 1
    assert path.read_text() == "new" and path.stat().st_mode & 0o777 == 0o600 and list(tmp_path.iterdir()) == [path]


def test_an_error_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "state"
    path.write_text("old")
    with pytest.raises(TypeError), replacing(path) as file:
        file.write("no bytes")  # type: ignore[arg-type]
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]
