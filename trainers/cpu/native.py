"""The kernels of trainers/cpu/kernels.cpp, compiled once per machine with its C++ compiler."""

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
# Not -ffast-math: it assumes that there are no NaNs, which show that a training diverges.
_FLAGS = ("-std=c++17", "-O3", "-march=native", "-ffp-contract=fast", "-shared", "-fPIC")
_COMPILE_TIMEOUT_S = 120
logger = logging.getLogger(__name__)


@functools.cache
def kernels() -> ctypes.CDLL | None:
    """Returns the library, from the user's cache or compiled now (seconds); None where it cannot be compiled.

    $CXX names the compiler, c++ by default. Without one, PyTorch's own operations do the same, slower.
    """
    try:
        return _cached() or _private()
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        words = getattr(error, "stderr", "") or str(error)
        logger.warning(
            "the CPU kernels cannot be compiled, using PyTorch's own operations instead: %s",
            " ".join(words.split())[:300],
        )
        return None


def _cached() -> ctypes.CDLL | None:
    """Returns the library in the user's cache, compiled if it is missing; None where the cache cannot be used."""
    try:
        library = cache_folder() / f"kernels-{_identity()}.so"
        if not library.exists():
            _compile(library)
        return ctypes.CDLL(str(library))
    except (OSError, RuntimeError):  # no home folder, one that is read-only, or a damaged file
        return None


def cache_folder() -> Path:
    """Returns the user's cache folder for what is made or measured once per machine; creates it where it is missing.

    Raises OSError or RuntimeError where there is no home folder, or it cannot be written.
    """
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "podium"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _private() -> ctypes.CDLL:
    """Compiles the library for this process only."""
    with tempfile.TemporaryDirectory(prefix="podium-") as folder:
        library = Path(folder) / "kernels.so"
        _compile(library)
        return ctypes.CDLL(str(library))  # it stays loaded after its file is removed


def _compile(library: Path) -> None:
    handle, made = tempfile.mkstemp(dir=library.parent, suffix=".tmp")
    os.close(handle)
    try:
        command = [*_compiler(), *_FLAGS, str(_SOURCE), "-o", made]
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=_COMPILE_TIMEOUT_S)
        with open(made, "rb") as file:
            os.fsync(file.fileno())
        # A link appears whole or not at all, and never replaces a file that another worker has loaded already.
        with suppress(FileExistsError):
            os.link(made, library)
    finally:
        Path(made).unlink(missing_ok=True)


def _identity() -> str:
    """Returns a hash of all that the library depends on: different machines may share one home folder."""
    parts = [_SOURCE.read_text(encoding="utf-8"), *_FLAGS, *_compiler(), platform.platform(), processor()]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def _compiler() -> list[str]:
    return shlex.split(os.environ.get("CXX") or "c++")


def processor() -> str:
    """Returns the processor's model and features, which -march=native depends on too."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.machine() + platform.processor()
    return "\n".join(sorted({line for line in lines if line.startswith(("flags", "Features", "model name"))}))
