from __future__ import annotations

from pathlib import Path

from hpo.search.recorder import Recorder, ReportRecorder, SharedColumns
from hpo.store.checkpoint_stores import FolderStorage
from hpo.store.checkpoints import Checkpoints
from hpo.store.journal import Journal, read_journal
from hpo.trials.messages import TrialReport, TrialRequest
from hpo.trials.records import TrialRecord
from tests.helpers.reports import report, request

COLUMNS = SharedColumns(model="cnn", parameters=7, dataset="digits", metric="accuracy", precision="float32", seed=10)


class Follower:
    """Writes down what it hears, and fails at the end."""

    def __init__(self, journal: Path) -> None:
        self.journal = journal
        self.heard: list[tuple[str, int]] = []

    def started(self, request: TrialRequest) -> None:
        self.heard.append(("started", 0))

    def reported(self, request: TrialRequest, report: TrialReport) -> None:
        self.heard.append(("reported", report.epochs))

    def finished(self, record: TrialRecord) -> None:
        self.heard.append(("finished", len(read_journal(self.journal))))
        raise OSError("a closed pipe")


def test_a_trial_becomes_a_row_that_is_on_disk_before_anyone_hears_of_it(tmp_path: Path) -> None:
    follower, records = Follower(tmp_path / "trials.jsonl"), list[TrialRecord]()
    checkpoints = Checkpoints(FolderStorage(tmp_path / "checkpoints"))
    recorder = Recorder(records, Journal(follower.journal), checkpoints, [follower])
    one = ReportRecorder(recorder, COLUMNS)
    asked = request("cnn-0003", params={"lr": 0.1})
    one.started(asked)
    one.reported(asked, report("running", (1, 0.5)))
    last = report("completed", (2, 0.75), epochs=2, best_epoch=2, retries=1)
    one.reported(asked, last)
    one.finished(asked, last)
    assert follower.heard == [("started", 0), ("reported", 1), ("reported", 2), ("finished", 1)]
    (record,) = records
    assert (record.trial_id, record.seed, record.parameters, record.config) == ("cnn-0003", 13, 7, {"lr": 0.1})
    assert [row["val_accuracy"] for row in record.curve] == [0.5, 0.75] and record.retries == 1
    (row,) = read_journal(follower.journal)
    assert TrialRecord.from_dict(row) == record


def test_a_trial_that_failed_before_it_had_a_network_has_the_parameters_that_were_planned(tmp_path: Path) -> None:
    records: list[TrialRecord] = []
    checkpoints = Checkpoints(FolderStorage(tmp_path / "checkpoints"))
    one = ReportRecorder(Recorder(records, Journal(tmp_path / "trials.jsonl"), checkpoints), COLUMNS)
    asked = request("cnn-0000")
    one.finished(asked, report("failed", error="OSError: no disk"))
    assert records[0].parameters == 7 and records[0].error == "OSError: no disk" and records[0].curve == []
