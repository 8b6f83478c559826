"""Architectures of the user's own, in a folder whose packages are called as Podium's."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

import models
from cluster.jobs import package
from models import own
from models.own import check_own, is_file, load_own
from tests.helpers.layers import OURS

NET = "def Net(shape, classes, *, width=WIDTH): ...\n"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a package models/ of the user's, and modules that import from it in several ways."""
    files = {
        "models/__init__.py": "",
        "models/blocks.py": "WIDTH = 8\n",
        "models/cnn.py": f"WIDTH = 3\n{NET}",
        "models/mynet.py": f"from .blocks import WIDTH\n{NET}",
        "models/absolute.py": f"from models.cnn import cnn\nWIDTH = 1\n{NET}",
        "deeper.py": "import models.layers\n",
        "mynet.py": f"import deeper\nWIDTH = 1\n{NET}",
        "alone.py": f"import os\nWIDTH = 5\n{NET}",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("mynet", "deeper", "alone"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return tmp_path


def test_the_names_of_podiums_packages_are_the_same_everywhere() -> None:
    assert set(own.PACKAGES) == set(package.PACKAGES) == set(OURS)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("models.mynet:Net", "--model models/mynet.py:Net"),
        ("models:Net", "--model models/__init__.py:Net"),
        ("trainers.a.b:Net", "--model trainers/a/b.py:Net"),
        ("cluster:Net", "--model cluster.py:Net"),
        ("hpo.net:Net", "--model hpo/net.py:Net"),
    ],
)
def test_a_module_that_would_be_podiums_is_refused(name: str, hint: str) -> None:
    package = re.split(r"[.:]", name)[0]
    words = f"--model {name}: {package} is the name of a package of Podium's too; name your file instead: {hint}"
    for refuse in (check_own, load_own, models.builder):
        with pytest.raises(ValueError, match=re.escape(words)):
            refuse(name)


@pytest.mark.parametrize(
    ("name", "width"), [("models/mynet.py:Net", 8), ("./models/cnn.py:Net", 3), ("alone.py:Net", 5), ("alone:Net", 5)]
)
def test_a_file_is_the_users(name: str, width: int) -> None:
    check_own(name)
    assert models.is_known(name) and is_file(name) is (name != "alone:Net")
    assert models.hyperparameters(name) == {"width": width}
    assert "models.mynet" not in sys.modules and sys.modules["models"] is models


def test_a_worker_finds_a_file_where_the_driver_did(
    here: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its current folder is another one, and Podium's own models/cnn.py comes before the driver's folder."""
    monkeypatch.chdir(tmp_path_factory.mktemp("trial"))
    monkeypatch.setattr(sys, "path", [str(own.PODIUM), *sys.path, str(here)])
    assert models.hyperparameters("models/cnn.py:Net") == {"width": 3}


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("models/none.py:Net", "--model models/none.py:Net: there is no file models/none.py"),
        (f"{own.PODIUM}/models/cnn.py:cnn", "the file is Podium's own; its architectures have names, see: hpo models"),
        ("alone.py:Other", "cannot be imported (AttributeError: module 'podium_own_"),
        ("models/absolute.py:Net", "models/absolute.py imports models.cnn, which is Podium's package here, not yours"),
        ("mynet:Net", "deeper.py imports models.layers, which is Podium's package here, not yours"),
    ],
)
def test_what_cannot_be_used_is_one_line(name: str, words: str) -> None:
    with pytest.raises(ValueError, match=re.escape(words)) as caught:
        models.builder(name)
    assert "\n" not in str(caught.value) and str(caught.value).startswith(f"--model {name}: ")


def test_without_a_package_of_that_name_podiums_may_be_imported(here: Path) -> None:
    (here / "models").rename(here / "mymodels")
    (here / "uses.py").write_text("from models.lenet import lenet5 as Net\n")
    assert models.hyperparameters("uses.py:Net") == {"activation": "relu", "dropout": 0.0}


def test_what_our_architectures_take() -> None:
    assert models.hyperparameters("mlp_small") == {"activation": "relu", "dropout": 0.0, "width_1": 56, "width_2": 28}
    assert models.hyperparameters("vgg16") == {"dropout": 0.5, "pretrained": "none"}
    assert "dropout" not in models.hyperparameters("compact_7k")
