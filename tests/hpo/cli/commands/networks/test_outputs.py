"""Files that commands write: never in place of weights or pictures."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from tests.helpers.commands import refused


def test_no_output_replaces_weights_or_pictures(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = tmp_path / "a.png"
    Image.new("L", (28, 28)).save(picture)
    before = picture.read_bytes(), (trained / "best.pt").read_bytes()
    (tmp_path / "folder.csv").mkdir()
    best = trained / "best.pt"
    assert f"--out {picture}: must end in .csv" in refused(capsys, "predict", trained, picture, "--out", picture)
    assert f"--out {best}: must end in .csv" in refused(capsys, "predict", trained, picture, "--out", best)
    assert f"--misclassified {best}: must end in .png" in refused(capsys, "evaluate", trained, "--misclassified", best)
    assert f"--out {picture}: must end in .onnx" in refused(capsys, "export", trained, "--out", picture)
    out = tmp_path / "folder.csv"
    assert "is there and no plain file" in refused(capsys, "predict", trained, picture, "--out", out)
    assert before == (picture.read_bytes(), best.read_bytes())
