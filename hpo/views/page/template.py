"""The HTML of a page: one file that opens offline and loads nothing from the network."""

from __future__ import annotations

import base64
import gzip
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hpo.views import formats
from hpo.views.page.sections import Section

_TEMPLATES = Path(__file__).parent / "templates"


def render_template(name: str, *, sections: Sequence[Section], parts: Sequence[str], **values: Any) -> str:
    """Fills the template NAME.html.j2; see templates/base.html.j2 for what every page shows.

    parts: the headings of what follows the sections, in order; "" stands for the sections. The page's list of contents
    has them all.
    """
    from jinja2 import Environment, FileSystemLoader
    from plotly.offline import get_plotlyjs

    environment = Environment(loader=FileSystemLoader(_TEMPLATES), autoescape=True, trim_blocks=True)
    contents: list[tuple[str, str]] = []
    for part in (*parts, "Provenance"):
        contents += [(part.lower().replace(" ", "-"), part)] if part else [(one.anchor, one.title) for one in sections]
    return environment.get_template(f"{name}.html.j2").render(
        sections=sections,
        contents=contents,
        plotly=base64.b64encode(gzip.compress(get_plotlyjs().encode(), mtime=0)).decode(),
        formats=formats,
        **values,
    )
