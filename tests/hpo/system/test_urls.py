"""No password of a URL is shown."""

from __future__ import annotations

import pytest

from hpo.system.urls import masked


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://me:hunter2@h:5/x", "postgresql://me:***@h:5/x"),
        ("http://me:hunter2@127.0.0.1:9", "http://me:***@127.0.0.1:9"),
        ("postgresql://h/db?user=me&password=hunter2", "postgresql://h/db?password=***&user=me"),
        ("mysql://h/db?passwd=hunter2&sslpassword=hunter2", "mysql://h/db?passwd=***&sslpassword=***"),
        ("weird://me:hunter2@h:port/db", "weird://***"),
        ("sqlite:///a.db", "sqlite:///a.db"),
        ("/a/folder", "/a/folder"),
        ("", ""),
    ],
)
def test_a_password_is_stars(url: str, shown: str) -> None:
    assert masked(url) == shown
