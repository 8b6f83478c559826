"""Lines of a journal: whole, torn or damaged."""

from __future__ import annotations

import json
import resource
import signal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpo.store.journal import Journal, read_journal, scan, set_aside

ROWS = [{"trial_id": f"cnn-{n:04d}", "value": n / 7, "text": 'a "b" ü', "curve": [{"epoch": n}]} for n in range(4)]


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("journal") / "j"
    journal = Journal(path)
    for row in ROWS:
        journal.append(row)
    journal.close()
    return path.read_bytes()


def test_each_line_is_json_with_a_checksum_that_readers_do_not_see(content: bytes, tmp_path: Path) -> None:
    lines = [json.loads(line) for line in content.splitlines()]
    assert all(len(line.pop("crc")) == 8 for line in lines) and lines == ROWS
    (tmp_path / "j").write_bytes(content)
    assert read_journal(tmp_path / "j") == ROWS


@given(data=st.data())
def test_a_bit_that_flips_costs_at_most_the_lines_it_touches(
    data: st.DataObject, content: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    at = data.draw(st.integers(0, len(content) - 2))
    bit = data.draw(st.integers(0, 7))
    path = tmp_path_factory.mktemp("flipped") / "j"
    path.write_bytes(content[:at] + bytes([content[at] ^ (1 << bit)]) + content[at + 1 :])
    found = scan(path)
    kept = [{key: value for key, value in row.items() if key in ROWS[0]} for row in found.entries]
    touched = {content[:at].count(b"\n"), content[: at + 1].count(b"\n")}
    whole = [row for number, row in enumerate(ROWS) if number not in touched]
    # What is read is what was written, never something else.
    assert all(row in ROWS for row in kept) and all(row in kept for row in whole)


def test_damaged_lines_are_set_aside_and_the_others_stay_as_they_are(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "j"
    first, second, *rest = content.splitlines(keepends=True)
    path.write_bytes(first + b"\xff\n" + second.replace(b"0.14", b"0.15") + b"[1]\n" + b"".join(rest))
    found = scan(path)
    assert found.entries == [ROWS[0], *ROWS[2:]] and len(found.damaged) == 3
    aside = set_aside(path, found)
    assert aside == tmp_path / "j.damaged" and aside.read_bytes().count(b"\n") == 3
    assert path.read_bytes() == first + b"".join(rest)
    assert set_aside(path, scan(path)) is None
    path.write_bytes(path.read_bytes() + b"5\n")
    set_aside(path, scan(path))
    assert aside.read_bytes().count(b"\n") == 4  # nothing set aside before is lost


def test_lines_of_earlier_versions_have_no_checksum(tmp_path: Path) -> None:
    (tmp_path / "j").write_text('{"a": 1}\n{"crc": "x", "a": 2}\n')
    assert read_journal(tmp_path / "j") == [{"a": 1}, {"crc": "x", "a": 2}]


def test_an_entry_that_is_not_what_it_must_be_is_damaged(tmp_path: Path) -> None:
    (tmp_path / "j").write_text('{"a": 1}\n{"b": 2}\n')
    found = scan(tmp_path / "j", lambda entry: entry["a"])
    assert found.entries == [{"a": 1}] and found.damaged == [b'{"b": 2}']


def test_a_torn_last_line_is_cut_off_and_the_journal_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "trials.jsonl"
    journal = Journal(path)
    journal.append({"a": 1})
    journal.append({"a": 2})
    journal.close()
    for torn in (b'{"a": 3', b"\xff\xfe", b'{"a": 3}'):
        whole = path.read_bytes()
        path.write_bytes(whole + torn)
        assert read_journal(path)[-1]["a"] == 2
        Journal(path).close()
        assert path.read_bytes() == whole


def test_a_journal_refuses_what_json_cannot_hold(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j")
    with pytest.raises(ValueError, match="Out of range float values"):
        journal.append({"x": float("nan")})
    assert read_journal(tmp_path / "j") == []


def test_a_row_that_the_disk_does_not_take_leaves_no_part_behind(tmp_path: Path) -> None:
    path = tmp_path / "j"
    journal = Journal(path)
    journal.append({"a": 1})
    size = path.stat().st_size
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 20, hard))
    try:
        for _ in range(2):
            with pytest.raises(OSError, match=r"No space left|File too large"):
                journal.append({"a": "x" * 100})
            assert path.stat().st_size == size
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
        signal.signal(signal.SIGXFSZ, before)
    journal.append({"a": 2})
    journal.close()
    assert read_journal(path) == [{"a": 1}, {"a": 2}]
