"""Early stopping by promotion: trials that wait on a rung, and go on when they are among the best there."""

from __future__ import annotations

from collections.abc import Sequence

from hpo.search.asking import AskedTrial
from hpo.search.telling import Teller
from hpo.trials.ladder import Ladder
from hpo.trials.messages import TrialReport

FIRST_TRIAL = 0  # its number: the architecture's recipe is trained to its end, whatever it reaches on a rung


class Promotions:
    """Keeps the trials that are paused. They have a checkpoint, and no worker."""

    def __init__(self, teller: Teller, ladder: Ladder) -> None:
        self.teller, self.ladder = teller, ladder
        self._paused: dict[str, AskedTrial] = {}

    @property
    def is_on(self) -> bool:
        """Whether trials pause at all."""
        return bool(self.ladder.rungs)

    @property
    def has_next(self) -> bool:
        """Whether one goes on."""
        return self.ladder.next_to_go_on() is not None

    @property
    def waiting(self) -> list[AskedTrial]:
        """All that are paused."""
        return list(self._paused.values())

    def numbers(self) -> set[int]:
        """Returns the numbers of all that are paused."""
        return {asked.request.number for asked in self._paused.values()}

    @property
    def has_last(self) -> bool:
        """Whether one goes on where no new trials come: the best of a rung, or the study's first trial."""
        return self.ladder.next_to_go_on(closing=True) is not None or FIRST_TRIAL in self.numbers()

    def begin(self, asked: AskedTrial) -> AskedTrial:
        """Returns a new trial with the rungs that it pauses at."""
        return asked.that_pauses_at(self.ladder.rungs)

    def take_next(self) -> AskedTrial:
        """Returns the trial that goes on, with the rungs that are left to it. One must be there."""
        trial_id = self.ladder.next_to_go_on()
        assert trial_id is not None
        return self._take(trial_id)

    def take_last(self) -> AskedTrial:
        """Returns one that goes on where no new trials come. One must be there."""
        if trial_id := self.ladder.next_to_go_on(closing=True):
            return self._take(trial_id)
        (first,) = (asked for asked in self._paused.values() if asked.request.number == FIRST_TRIAL)
        return self._take(first.trial_id).that_pauses_at(())

    def _take(self, trial_id: str) -> AskedTrial:
        rung = self.ladder.leave(trial_id)
        return self._paused.pop(trial_id).that_pauses_at([above for above in self.ladder.rungs if above > rung])

    def saw(self, report: TrialReport) -> None:
        """A trial reports what it has come to."""
        self.ladder.add(report.trial_id, dict(report.values))

    def take_paused(self, trials: Sequence[AskedTrial]) -> list[AskedTrial]:
        """Keeps those that paused, and ends those that are far behind; returns the others."""
        paused = [asked for asked in trials if self.teller.is_paused(asked)]
        for asked in paused:
            self._paused[asked.trial_id] = asked
            self.ladder.wait(asked.trial_id, self.teller.epochs(asked))
        for trial_id in self.ladder.hopeless():
            if self._paused[trial_id].request.number != FIRST_TRIAL:
                self._end(trial_id)
        return [asked for asked in trials if asked not in paused]

    def end(self) -> None:
        """Ends all that are paused: the search is over, and they are stopped where they stand."""
        for trial_id in list(self._paused):
            self._end(trial_id)

    def _end(self, trial_id: str) -> None:
        self.ladder.leave(trial_id)
        self.teller.end(self._paused.pop(trial_id))
