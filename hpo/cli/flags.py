"""The command line of a study: flags, and below them a --config file or the spec of a resumed run."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, CycloptsError, Parameter
from cyclopts.config import Dict

from hpo.spec.resuming import stored_settings
from hpo.spec.study import StudySpec
from hpo.store.trust import check_named
from hpo.system.errors import UserError, user_message


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class _CommandLine:
    spec: Annotated[StudySpec, Parameter(name="*")] = field(default_factory=StudySpec)
    config: Path | None = None
    """TOML file with settings under the names of these flags, and with search spaces in tables [space.MODEL]. A flag of
    the command line comes before the file."""


def parse_spec(argv: Sequence[str]) -> StudySpec | None:
    """The spec that `argv` asks for; None where it asked for help, which is then printed.

    Raises ValueError, in one line, for whatever is wrong with the flags, the file or the run to resume.
    """
    line = _parse(argv, {}, "")
    if line is None:
        return None
    output = line.spec.output
    if output.resume and line.config:
        raise UserError(f"--config {line.config}: a resumed run keeps its settings; leave it out")
    if output.resume:
        stored, source = stored_settings(output.results_dir, output.resume), f"results of {output.resume}"
    elif line.config:
        stored, source = _read_toml(line.config), str(line.config)
    else:
        return line.spec
    space = stored.pop("space", {})
    merged = _parse(argv, stored, source)
    assert merged is not None
    if output.resume:
        check_named(output.resume, merged.spec.search.model, given=line.spec.search.model)
    return replace(merged.spec, search=replace(merged.spec.search, space=space))


def _parse(argv: Sequence[str], stored: dict[str, Any], source: str) -> _CommandLine | None:
    app = App(
        name="python hpo/run.py",
        help="Tunes image classifiers and ranks them: python hpo/run.py --model cnn --trials 50",
        version_flags=(),
        result_action="return_value",
        config=Dict(stored, source=source) if stored else (),
    )
    app.default(_identity)
    try:
        return app(list(argv), exit_on_error=False, print_error=False)  # type: ignore[no-any-return]
    except CycloptsError as error:
        raise UserError(user_message(error)) from error


def _identity(*, line: Annotated[_CommandLine, Parameter(name="*")] = _CommandLine()) -> _CommandLine:
    return line


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UserError(f"--config {path}: {error}") from error
