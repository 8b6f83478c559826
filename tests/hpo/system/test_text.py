"""Texts on one line, and without what would steer a terminal."""

from __future__ import annotations

from io import StringIO

import pytest
from rich.console import Console

from hpo.system.text import MAX_ERROR_CHARS, describe_error, on_one_line, printable, say, shown, single_line

ESCAPE = "\x1b[2J"  # clears a terminal


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[conv] 猫 é\\", "[conv] 猫 é\\"),
        (f"a{ESCAPE}b\n\t\x07\x9b", r"a\x1b[2Jb\n\t\x07\x9b"),
        ("a\u202eb\u200b\u2028\udcff", r"a\u202eb\u200b\u2028\udcff"),
    ],
)
def test_what_steers_a_terminal_is_written_out(text: str, expected: str) -> None:
    assert printable(text) == expected


def test_a_text_on_one_line() -> None:
    assert on_one_line(OSError("no\n  room\tleft")) == "no room left" and on_one_line("a b c", most=3) == "a b"
    assert single_line(f"\x1b[31mred\x1b[0m\nand {ESCAPE}\x07bare \x1b]0;title\x07") == "red and bare"


def test_an_error_in_words() -> None:
    assert describe_error(ValueError("a\nb")) == "ValueError: a b"
    assert describe_error(KeyboardInterrupt()) == "KeyboardInterrupt: no message"
    assert len(describe_error(ValueError("x" * 9999))) == MAX_ERROR_CHARS
    assert describe_error(ValueError("abc"), most=12) == "ValueError: "


def test_a_line_that_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    say(f"a{ESCAPE}")
    assert capsys.readouterr().out == "a\\x1b[2J\n"


def test_a_text_in_a_table_is_no_markup() -> None:
    out = StringIO()
    Console(file=out, width=80).print(shown(f"[bold]{ESCAPE}"))
    assert out.getvalue() == "[bold]\\x1b[2J\n"
