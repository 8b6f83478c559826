"""The lock of a run that is resumed, and what its folder must hold before anything is done in it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from hpo.spec.search import SearchSpec
from hpo.spec.study import StudySpec
from hpo.store import run_folder as folders
from hpo.store.run_folder import RunFolder
from hpo.store.stored_run import read_records
from hpo.store.trust import check_records
from hpo.system.errors import UserError
from hpo.trials.records import TrialRecord


@contextmanager
def locked(spec: StudySpec) -> Iterator[RunFolder | None]:
    """The locked folder of a run to resume; None for a new run, whose name must be free.

    Raises UserError where another driver has it, or its trials are not those of the spec.
    """
    output = spec.output
    if output.resume is None:
        folders.check_free(output.results_dir, output.name)
        yield None
        return
    folder = folders.reopen(output.results_dir, output.resume)
    try:
        _check(read_records(folder.journal), output.resume, spec.search)
        yield folder
    finally:
        folder.unlock()


def _check(finished: list[TrialRecord], name: str, search: SearchSpec) -> None:
    done = max(Counter(record.model for record in finished).values(), default=0)
    if search.trials < done:
        raise UserError(f"--trials {search.trials}: {done} are finished already")
    check_records(name, finished, search.model, search.losses, search.metric)
