"""URLs of databases and stores, with their passwords hidden."""

from __future__ import annotations


def masked(url: str) -> str:
    """The URL with its password replaced by ***."""
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        parsed = make_url(url)
        secret = {key: "***" for key in parsed.query if "pass" in key.lower() or "pwd" in key.lower()}
        return parsed.update_query_dict(secret).render_as_string(hide_password=True).replace("%2A%2A%2A", "***")
    except (ArgumentError, ValueError):
        return url.split("://")[0] + "://***" if "://" in url else url
