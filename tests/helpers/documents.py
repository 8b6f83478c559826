"""What is in the Markdown files: links, anchors, fenced samples and commands."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = sorted([ROOT / "README.md", *ROOT.glob("[!.]*/README.md"), *(ROOT / ".github").glob("*.md")])
OURS = ("hpo", "python")  # first words of commands that a test can check
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", flags=re.DOTALL | re.MULTILINE)


@dataclass(frozen=True)
class Sample:
    """A fenced block. number: its place among those of its language in the document."""

    document: Path
    language: str
    number: int
    text: str

    def __str__(self) -> str:
        return f"{name(self.document)}:{self.language}:{self.number}"


def name(document: Path) -> str:
    """The document's path within the repository."""
    return document.relative_to(ROOT).as_posix()


def samples(document: Path, language: str | None = None) -> list[Sample]:
    """The fenced blocks of a document, or those in one language."""
    found: dict[str, list[Sample]] = {}
    for kind, text in _FENCE.findall(document.read_text()):
        same = found.setdefault(kind, [])
        same.append(Sample(document, kind, len(same), text))
    return [sample for kind, same in found.items() for sample in same if language in (None, kind)]


def commands(document: Path) -> list[str]:
    """Every line of the bash blocks, and every command of ours within the text."""
    blocks = [line for sample in samples(document, "bash") for line in sample.text.splitlines() if line.strip()]
    return [*blocks, *(span for span in _spans(document) if _is_command(span))]


def links(document: Path) -> list[str]:
    """The targets of a document's links and images, without those that lead out of the repository."""
    targets = re.findall(r"\]\(([^)\s]+)\)", _prose(document))
    return [target for target in targets if not re.match(r"(https?|mailto):", target)]


def anchors(document: Path) -> set[str]:
    """The anchors that a code host gives to a document's headings."""
    headings = re.findall(r"^#+ (.+)$", _prose(document), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def _spans(document: Path) -> Iterator[str]:
    yield from re.findall(r"`([^`\n]+)`", _prose(document))


def _is_command(span: str) -> bool:
    words = span.split()
    return words[0] in OURS and len(words) > 1 and "..." not in words


def _prose(document: Path) -> str:
    return _FENCE.sub("", document.read_text())
