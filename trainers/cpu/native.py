"""The compiled kernels of trainers/cpu/kernels.cpp: built once per machine with its C++ compiler."""

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
from contextlib import suppress
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
        return _cached() or _private()
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        words = getattr(error, "stderr", "") or str(error)
        logger.warning("no compiled kernels, PyTorch's own operations instead: %s", " ".join(words.split())[:300])
        return None


def _cached() -> ctypes.CDLL | None:
    """The library in the user's cache, put there if it is missing; None where there is no use in such a folder."""
    try:
        library = cache_folder() / f"kernels-{_identity()}.so"
        if not library.exists():
            _compile(library)
        return ctypes.CDLL(str(library))
    except (OSError, RuntimeError):  # no home, one that cannot be written, or a file that is damaged
        return None


def cache_folder() -> Path:
    """The user's folder for what is found out once on a machine; made where it is missing.

    Raises OSError or RuntimeError where there is no home, or one that cannot be written.
    """
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "podium"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _private() -> ctypes.CDLL:
    """The library, compiled for this process alone."""
    with tempfile.TemporaryDirectory(prefix="podium-") as folder:
        library = Path(folder) / "kernels.so"
        _compile(library)
        return ctypes.CDLL(str(library))  # stays loaded without its file


def _compile(library: Path) -> None:
    handle, made = tempfile.mkstemp(dir=library.parent, suffix=".tmp")
    os.close(handle)
    try:
        command = [*_compiler(), *_FLAGS, str(_SOURCE), "-o", made]
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=_PATIENCE_S)
        with open(made, "rb") as file:
            os.fsync(file.fileno())
        # Whole or not at all, and the first of several workers wins: the file may be in use by then.
        with suppress(FileExistsError):
            os.link(made, library)
    finally:
        Path(made).unlink(missing_ok=True)


def _identity() -> str:
    """What a compiled library depends on: a home folder may be shared by machines that are not alike."""
    parts = [_SOURCE.read_text(encoding="utf-8"), *_FLAGS, *_compiler(), platform.platform(), processor()]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def _compiler() -> list[str]:
    return shlex.split(os.environ.get("CXX") or "c++")


def processor() -> str:
    """The processor's model and what it can do, at which -march=native looks too."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.machine() + platform.processor()
    return "\n".join(sorted({line for line in lines if line.startswith(("flags", "Features", "model name"))}))
