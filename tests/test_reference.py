"""The measured study of results/reference/study: whole, consistent, and as results/README.md shows it."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

ROOT = Path(__file__).resolve().parent.parent
STUDY = ROOT / "results" / "reference" / "study"
MODELS = ("mlp", "mlp_small", "cnn", "lenet5", "lenet5_bn", "compact_7k")


def markdown(board: pd.DataFrame) -> str:
    """The leaderboard as results/README.md shows it."""
    head = "| rank | model | test accuracy | 95 % interval | validation | parameters | seconds | tied with the first |"
    lines = [head, "|---|---|---|---|---|---|---|---|"]
    for row in board.itertuples():
        lines.append(
            f"| {row.rank} | `{row.model}` | {row.test_accuracy_mean:.4f} ± {row.test_accuracy_std:.4f} "
            f"| {row.test_accuracy_low:.4f}-{row.test_accuracy_high:.4f} | {row.val_accuracy:.4f} "
            f"| {row.parameters:,} | {row.wall_time_s:.0f} | {'yes' if row.tied_with_best else 'no'} |"
        )
    return "\n".join(lines) + "\n"


def test_every_trial_is_there_and_the_finalists_are_the_best_of_them() -> None:
    trials, board = (pd.read_csv(STUDY / name) for name in ("trials.csv", "leaderboard.csv"))
    assert trials.groupby("model").size().to_dict() == dict.fromkeys(MODELS, 12)
    assert set(trials["dataset"]) == {"mnist"} and trials["epochs"].max() == 6
    best = trials.sort_values("rank").groupby("model").first()
    for row in board.itertuples():
        assert row.trial_id == best.loc[row.model, "trial_id"] and len(row.test_accuracies.split()) == 3
        assert row.test_accuracy_low < row.test_accuracy_mean < row.test_accuracy_high
    assert sorted(board["model"]) == sorted(MODELS) and board["test_accuracy_mean"].is_monotonic_decreasing


def test_the_readme_shows_it() -> None:
    readme = (ROOT / "results" / "README.md").read_text()
    assert markdown(pd.read_csv(STUDY / "leaderboard.csv")) in readme
    assert "reference/study/pareto.png" in readme
