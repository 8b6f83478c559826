"""Packs what travels with a job: Podium and the project, without what a cluster does not need, in one zip file."""

from __future__ import annotations

import os
import subprocess
import zipfile
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

from cluster import ROOT
from cluster.errors import ClusterError

PACKAGES = ("hpo", "models", "trainers", "cluster")
MIB = 2**20
MAX_BYTES = 100 * MIB  # Ray refuses larger ones, after it has taken them
FLAGS = "flags.json"
REQUIREMENTS = "requirements.json"
EXTRA = "_podium"  # holds what is no part of the project: data, a configuration, a run to go on with
_LEFT_OUT = {"data", "results", "venv", "env", "node_modules", "__pycache__", "build", "dist"}


def make_package(target: Path, project: Path, extra: Mapping[str, Path]) -> int:
    """Writes Podium's packages, the files of `project` and, under _podium/NAME, each file or folder in `extra` to
    the zip file `target`; returns how many files.

    The same files make the same bytes, so that Ray uploads them once. Raises ClusterError, with the largest files, if
    the zip file would be larger than Ray takes.
    """
    # A project's own models/ stays here: in its place a job has Podium's.
    own = {name: file for name, file in _project(project) if name.partition("/")[0] not in PACKAGES}
    files = {**own, **_podium()}
    for name, path in extra.items():
        files |= {f"{EXTRA}/{name}{inner}": file for inner, file in _inside(path)}
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(files):
            entry = zipfile.ZipInfo(name)  # of 1980, whenever the file is from
            entry.compress_type, entry.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
            with files[name].open("rb") as source, archive.open(entry, "w", force_zip64=True) as copy:
                while block := source.read(MIB):
                    copy.write(block)
                    if target.stat().st_size > MAX_BYTES:
                        raise ClusterError(_too_big(project, files))
    return len(files)


def size_of(path: Path) -> int:
    """The bytes of a file, or of all files in a folder."""
    return sum(file.stat().st_size for _, file in _inside(path))


def _too_big(project: Path, files: Mapping[str, Path]) -> str:
    sizes: Counter[str] = Counter()
    for name, file in files.items():
        parts = name.split("/")
        sizes["/".join(parts[:2]) if len(parts) > 2 else name] += file.stat().st_size
    big = ", ".join(f"{name} ({size / MIB:.0f} MiB)" for name, size in sizes.most_common(5))
    return (
        f"{project}: more than the {MAX_BYTES // MIB} MiB that a job can carry: {big}; move them away, or name "
        "them in a .gitignore"
    )


def _podium() -> dict[str, Path]:
    return {
        str(file.relative_to(ROOT)): file
        for package in PACKAGES
        for file in (ROOT / package).rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }


def _project(folder: Path) -> Iterator[tuple[str, Path]]:
    """The project's files by their path in it: in a git repository those that git tracks or would add, elsewhere all
    that are not hidden."""
    names = _listed_by_git(folder)
    if names is None:
        names = [str(file.relative_to(folder)) for file in _walk(folder)]
    whole = folder.resolve()
    for name in names:
        parts, file = Path(name).parts, folder / name
        hidden = any(part.startswith(".") for part in parts)
        inside = file.resolve().is_relative_to(whole)  # a link may lead to anything
        if inside and not hidden and not _LEFT_OUT & set(parts[:1]) and "__pycache__" not in parts and file.is_file():
            yield "/".join(parts), file


def _listed_by_git(folder: Path) -> list[str] | None:
    """The paths that git tracks or would add; None outside of a repository. ClusterError where git cannot read it."""
    if not any((place / ".git").exists() for place in (folder.resolve(), *folder.resolve().parents)):
        return None
    listing = ["git", "-C", str(folder), "ls-files", "-co", "--exclude-standard", "-z"]
    try:
        done = subprocess.run(listing, capture_output=True, check=True, timeout=60)
    except (OSError, subprocess.SubprocessError) as error:
        reason = getattr(error, "stderr", b"") or str(error).encode()
        words = " ".join(reason.decode(errors="replace").split())[:200]
        raise ClusterError(f"{folder}: git cannot tell what is to stay here ({words})") from error
    return [os.fsdecode(name) for name in done.stdout.split(b"\0") if name]


def _walk(folder: Path) -> Iterator[Path]:
    for place, folders, names in os.walk(folder):
        top = Path(place) == folder
        folders[:] = [
            f for f in folders if not f.startswith(".") and f != "__pycache__" and not (top and f in _LEFT_OUT)
        ]
        folders[:] = [f for f in folders if not (Path(place) / f / "pyvenv.cfg").exists()]
        yield from (Path(place) / name for name in names)


def _inside(path: Path) -> Iterator[tuple[str, Path]]:
    """("", path) of a file; ("/a/b", path/a/b) of every file in a folder."""
    if path.is_file():
        yield "", path
        return
    for file in path.rglob("*"):
        if file.is_file():
            yield "/" + "/".join(file.relative_to(path).parts), file
