"""The compiled kernels of trainers/kernels.cpp: built once per machine with its own C++ compiler, where it has one."""

from __future__ import annotations

import ctypes
import functools
import hashlib
import logging
import os
import platform
import shlex
import subprocess
import tempfile
from pathlib import Path

_SOURCE = Path(__file__).with_name("kernels.cpp")
# -ffast-math would lose what is not a number, by which a training that diverges is seen.
_FLAGS = ("-std=c++17", "-O3", "-march=native", "-ffp-contract=fast", "-shared", "-fPIC")
_PATIENCE_S = 120
logger = logging.getLogger(__name__)


@functools.cache
def kernels() -> ctypes.CDLL | None:
    """The library, compiled now (seconds) or taken from the user's cache; None where that is not possible.

    $CXX names the compiler, else it is c++. Without one everything works with PyTorch's own operations, slower.
    """
    try:
        return _load(_cached())
    except (OSError, subprocess.SubprocessError) as error:
        words = getattr(error, "stderr", "") or str(error)
        logger.warning("no compiled kernels, PyTorch's own operations instead: %s", " ".join(words.split())[:300])
        return None


def _load(library: Path) -> ctypes.CDLL:
    try:
        return ctypes.CDLL(str(library))
    except OSError:  # left half-written by a machine that lost its power
        library.unlink(missing_ok=True)
        return ctypes.CDLL(str(_compile(library)))


def _cached() -> Path:
    """The compiled library of this source for this processor, in the user's cache folder."""
    identity = "\0".join([_SOURCE.read_text(), *_FLAGS, *_compiler(), _processor()])
    name = f"kernels-{hashlib.sha256(identity.encode()).hexdigest()[:16]}.so"
    library = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "podium" / name
    return library if library.exists() else _compile(library)


def _compile(library: Path) -> Path:
    try:
        library.parent.mkdir(parents=True, exist_ok=True)
        handle, made = tempfile.mkstemp(dir=library.parent, suffix=".so")
    except OSError:  # a home that cannot be written: for this process alone
        library = Path(tempfile.mkdtemp(prefix="podium-")) / library.name
        handle, made = tempfile.mkstemp(dir=library.parent, suffix=".so")
    os.close(handle)
    try:
        command = [*_compiler(), *_FLAGS, str(_SOURCE), "-o", made]
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=_PATIENCE_S)
        os.replace(made, library)  # whole or not at all: several workers may be at it
    finally:
        Path(made).unlink(missing_ok=True)
    return library


def _compiler() -> list[str]:
    return shlex.split(os.environ.get("CXX") or "c++")


def _processor() -> str:
    """What -march=native looks at: a home folder may be shared by unlike machines."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.machine() + platform.processor()
    return "\n".join(sorted({line for line in lines if line.startswith(("flags", "Features", "model name"))}))
