from __future__ import annotations

from dataclasses import replace

from hpo.trials.rung_report import RungReport
from hpo.views.early_stopping import advice

GOOD = RungReport(model="cnn", epochs=2, came=30, went_on=10, next_epochs=6, compared=10, rank_correlation=0.8)


def test_the_worst_rung_is_named_with_what_helps() -> None:
    bad = replace(GOOD, model="mlp", rank_correlation=0.05)
    worst = replace(GOOD, epochs=6, next_epochs=9, compared=11, rank_correlation=-0.1)
    assert advice([GOOD, bad]) == (
        "Hint: the accuracy of mlp after 2 epochs says little about that after 6 (rank correlation 0.05 over 10 trials)"
        "; a new run with --scheduler none trains every trial to its end."
    )
    assert "of cnn after 6 epochs says little about that after 9 (rank correlation -0.10" in advice([bad, worst, GOOD])


def test_nothing_is_said_of_good_rungs_and_of_too_few_trials() -> None:
    assert advice([]) == advice([GOOD, replace(GOOD, compared=4, rank_correlation=None)]) == ""
