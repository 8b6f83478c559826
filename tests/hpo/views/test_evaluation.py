from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from PIL import Image

from hpo.views.evaluation import Evaluation, Mistake, draw_misclassified, show_evaluation
from trainers.criteria.metrics import classification_report


def evaluation(classes: int) -> Evaluation:
    labels, predicted = torch.arange(classes), torch.arange(classes).roll(1)
    predicted[2:] = labels[2:]
    return Evaluation(
        model="cnn",
        dataset="digits",
        split="validation",
        loss=0.25,
        report=classification_report(labels, predicted, [f"[b]{n}" for n in range(classes)]),
        metrics={"macro_f1": 0.75, "log_loss": 0.25},
        notes=("look out",),
        wrong=(torch.zeros(2, 1, 8, 8), [Mistake("0", "1", 0.9), Mistake("1", "0", 0.6)]),
    )


def test_scores_per_class_and_a_confusion_matrix(capsys: pytest.CaptureFixture[str]) -> None:
    show_evaluation(evaluation(4))
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "note: look out" and lines[1] == "cnn on the validation split of digits"
    assert lines[2].startswith("loss 0.2500, accuracy 0.") and lines[2].endswith(", 4 images")
    assert "confusion matrix (rows: true class, columns: predicted class)" in lines
    assert any(line.split()[:2] == ["[b]2", "1.0000"] for line in lines)


def test_a_confusion_matrix_of_many_classes_is_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    show_evaluation(evaluation(21))
    assert "confusion matrix" not in capsys.readouterr().out


def test_as_json_and_as_a_picture(tmp_path: Path) -> None:
    values = json.loads(json.dumps(evaluation(3).to_dict()))
    assert values["loss"] == 0.25 and values["split"] == "validation" and values["notes"] == ["look out"]
    draw_misclassified(tmp_path / "wrong.png", evaluation(3))
    assert Image.open(tmp_path / "wrong.png").format == "PNG"
