from __future__ import annotations

import io
import os
import pickle
import zipfile
from contextlib import suppress
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from trainers import checkpoint


def test_round_trip_leaves_no_other_file(tmp_path: Path) -> None:
    path = tmp_path / "a" / "c.pt"
    checkpoint.save(path, {"epoch": 3, "w": torch.arange(4.0), "words": ["x"]})
    checkpoint.save(path, {"epoch": 4, "w": torch.arange(4.0), "words": ["x"]})
    state = checkpoint.load(path)
    assert state["epoch"] == 4 and torch.equal(state["w"], torch.arange(4.0))
    assert os.listdir(path.parent) == ["c.pt"]


def test_a_failed_save_keeps_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "c.pt"
    checkpoint.save(path, {"epoch": 3})
    with pytest.raises((pickle.PicklingError, AttributeError, TypeError)):
        checkpoint.save(path, {"epoch": lambda: 1})
    assert checkpoint.load(path) == {"epoch": 3} and os.listdir(tmp_path) == ["c.pt"]


def test_damage_is_found(tmp_path: Path) -> None:
    path = tmp_path / "c.pt"
    checkpoint.save(path, {"w": torch.zeros(1000)})
    whole = path.read_bytes()
    at = whole.index(b"\0" * 500) + 100
    for damaged in (whole[: len(whole) // 2], whole[:at] + b"\x01" + whole[at + 1 :], b"", b"no zip"):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"c\.pt: (not a readable checkpoint|damaged)"):
            checkpoint.load(path)


@pytest.mark.parametrize("bytes_more", [-500, -3, 3, 500])
def test_a_shifted_archive_is_damage_and_no_fault_of_the_disk(bytes_more: int, tmp_path: Path) -> None:
    whole = checkpoint.dumps({"a": torch.arange(1000)})
    for at in (600, len(whole) // 2, len(whole) - 600):
        shifted = whole[:at] + b"x" * bytes_more + whole[at - min(0, bytes_more) :]
        (tmp_path / "a.pt").write_bytes(shifted)
        with pytest.raises(ValueError, match=r"a\.pt"):
            checkpoint.load(tmp_path / "a.pt")


def test_no_code_in_a_checkpoint_runs(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.mkdir, (str(tmp_path / "ran"),)

    torch.save({"x": Evil()}, tmp_path / "evil.pt")
    with pytest.raises(ValueError, match=r"evil\.pt: not a readable checkpoint"):
        checkpoint.load(tmp_path / "evil.pt")
    assert not (tmp_path / "ran").exists()


WHOLE = checkpoint.dumps(
    {"epoch": 3, "w": torch.arange(40.0), "curve": [{"epoch": 1, "loss": 0.5}], "name": "lenet5", "none": None}
)


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A checkpoint that is cut, has other bytes, bits, zeros or blocks in other places, or several of these."""
    content = bytearray(WHOLE)
    place = st.integers(0, len(WHOLE) - 1)
    for how in draw(st.lists(st.sampled_from(["cut", "bit", "byte", "zeros", "swap", "drop"]), min_size=1, max_size=3)):
        at, length = draw(place) % max(1, len(content)), draw(st.sampled_from([1, 4, 64, 512]))
        block = content[at : at + length]
        if how == "cut":
            del content[at:]
        elif how == "drop":
            del content[at : at + length]
        elif how == "zeros":
            content[at : at + length] = bytes(len(block))
        elif how == "swap":
            other = draw(place)
            content[at : at + length], content[other : other + length] = content[other : other + length], block
        elif content:
            content[at] = draw(st.integers(0, 255)) if how == "byte" else content[at] ^ (1 << draw(st.integers(0, 7)))
    return bytes(content)


@settings(max_examples=400, deadline=None)
@given(damaged())
def test_whatever_is_damaged_only_a_value_error_leaves(content: bytes) -> None:
    with suppress(ValueError):
        assert isinstance(checkpoint.loads(content, "c.pt"), dict)


def _with(method: int, content: bytes) -> bytes:
    """An archive of one file that says it is compressed so, and is not."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("archive/data.pkl", content)
    raw = bytearray(file.getvalue())
    for mark, place in ((b"PK\x03\x04", 8), (b"PK\x01\x02", 10)):
        raw[raw.index(mark) + place] = method
    return bytes(raw)


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA, 99])
def test_what_cannot_be_decompressed_is_damage(method: int) -> None:
    with pytest.raises(ValueError, match=r"^c\.pt: not a readable checkpoint"):
        checkpoint.loads(_with(method, b"\x5d\x00\x00\x00" * 40), "c.pt")


@pytest.mark.parametrize("state", [[1, 2], 7, "text", None, torch.zeros(3)], ids=str)
def test_what_is_no_dict_is_no_checkpoint(state: object) -> None:
    file = io.BytesIO()
    torch.save(state, file)
    with pytest.raises(ValueError, match=rf"^c\.pt: not a checkpoint, but a {type(state).__name__}$"):
        checkpoint.loads(file.getvalue(), "c.pt")
