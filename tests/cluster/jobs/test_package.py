"""What travels with a job."""

from __future__ import annotations

import os
import subprocess
import zipfile
from pathlib import Path

import pytest

from cluster.jobs import package
from cluster.jobs.package import make_package


def packed(tmp_path: Path, project: Path, **extra: Path) -> set[str]:
    target = tmp_path / "p.zip"
    count = make_package(target, project, extra)
    with zipfile.ZipFile(target) as archive:
        names = set(archive.namelist())
    assert len(names) == count
    return names


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    for name in (
        "mynets.py",
        "lib/deep/x.py",
        "data/MNIST/raw/images.gz",
        "results/a/trials.csv",
        ".config/x",
        ".env",
        "lib/__pycache__/x.pyc",
        "own-venv/pyvenv.cfg",
        "own-venv/lib/big.so",
        "lib/data/kept.csv",
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    return folder


def test_the_project_travels_without_data_results_secrets_and_caches(tmp_path: Path, project: Path) -> None:
    names = packed(tmp_path, project)
    own = {name for name in names if name.split("/")[0] not in package.PACKAGES}
    assert own == {"mynets.py", "lib/deep/x.py", "lib/data/kept.csv"}
    assert {"hpo/run.py", "cluster/jobs/head.py", "models/cnn.py", "trainers/data/dataset.py"} <= names


def test_in_a_git_repository_what_git_ignores_stays(tmp_path: Path, project: Path) -> None:
    subprocess.run(["git", "-C", str(project), "init", "-q"], check=True)
    (project / ".gitignore").write_text("deep/\nown-venv/\n")
    own = {name for name in packed(tmp_path, project) if name.split("/")[0] not in package.PACKAGES}
    assert own == {"mynets.py", "lib/data/kept.csv"}


def test_a_repository_that_git_does_not_read_is_no_reason_to_send_everything(tmp_path: Path, project: Path) -> None:
    (project / ".git").mkdir()
    with pytest.raises(ValueError, match="git cannot tell what is to stay here") as error:
        packed(tmp_path, project)
    assert "\n" not in str(error.value)


def test_links_that_lead_out_and_a_projects_own_models_stay(tmp_path: Path, project: Path) -> None:
    (tmp_path / "secret.txt").write_text("geheim")
    (project / "link.txt").symlink_to(tmp_path / "secret.txt")
    (project / "models").mkdir()
    (project / "models" / "__init__.py").write_text("mine")
    (project / "models" / "mynet.py").write_text("mine")
    names = packed(tmp_path, project)
    assert "link.txt" not in names and "models/mynet.py" not in names
    with zipfile.ZipFile(tmp_path / "p.zip") as archive:
        assert archive.read("models/__init__.py") == (package.ROOT / "models" / "__init__.py").read_bytes()


def test_extra_files_and_folders_lie_apart(tmp_path: Path, project: Path) -> None:
    names = packed(tmp_path, project, data=project / "data", config=project / ".env")
    assert {"_podium/data/MNIST/raw/images.gz", "_podium/config"} <= names


def test_the_same_files_make_the_same_bytes(tmp_path: Path, project: Path) -> None:
    make_package(tmp_path / "1.zip", project, {})
    os.utime(project / "mynets.py", (1, 1))
    make_package(tmp_path / "2.zip", project, {})
    assert (tmp_path / "1.zip").read_bytes() == (tmp_path / "2.zip").read_bytes()


def test_too_much_is_refused_with_what_is_big(tmp_path: Path, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(package, "MAX_BYTES", 3 * package.MIB)
    (project / "weights.bin").write_bytes(os.urandom(4 * package.MIB))
    (project / "lib" / "table.bin").write_bytes(os.urandom(2 * package.MIB))
    with pytest.raises(
        ValueError, match=r"more than the 3 MiB that a job can carry: weights\.bin \(4 MiB\), lib/"
    ) as error:
        make_package(tmp_path / "p.zip", project, {})
    assert "lib/table.bin (2 MiB)" in str(error.value) and "\n" not in str(error.value)
