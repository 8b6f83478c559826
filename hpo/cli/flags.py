"""The command line of a study: flags, and below them a --config file or the spec of a resumed run."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, CycloptsError, Parameter, UnknownOptionError, UnusedCliTokensError
from cyclopts.config import Dict

from hpo.spec.help_groups import OPTIONS, OUTPUT
from hpo.spec.resuming import stored_settings
from hpo.spec.spaces.domains import is_known, is_number
from hpo.spec.study import StudySpec, check_code
from hpo.system.errors import UserError, user_message
from models import MODELS


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class _CommandLine:
    spec: Annotated[StudySpec, Parameter(name="*")] = field(default_factory=StudySpec)
    config: Annotated[Path | None, Parameter(group=OUTPUT)] = None
    """TOML file with settings under the names of these flags, and with search spaces in tables [space.MODEL]. A flag of
    the command line comes before the file."""


def parse_spec(argv: Sequence[str]) -> StudySpec | None:
    """The spec that `argv` asks for; None where it asked for help, which is then printed.

    Raises UserError, in one line, for whatever is wrong with the flags, the file or the run to resume.
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
        check_code(output.resume, merged.spec, line.spec)
    return replace(merged.spec, search=replace(merged.spec.search, space=space))


def value_of(line: Sequence[str], flag: str) -> str | None:
    """What follows a flag, as in "--config FILE" or "--config=FILE"; None where the flag is not there."""
    for word, following in pairwise([*line, ""]):
        if flag_of(word) == flag:
            return word.partition("=")[2] if "=" in word else following
    return None


def flag_of(word: str) -> str:
    """ "--data-dir" of "--data_dir=PATH"."""
    return word.partition("=")[0].replace("_", "-")


def _parse(argv: Sequence[str], stored: dict[str, Any], source: str) -> _CommandLine | None:
    app = App(
        name="python hpo/run.py",
        help="Tunes image classifiers and ranks them: python hpo/run.py --model cnn --trials 50",
        version_flags=(),
        result_action="return_value",
        config=Dict(stored, source=source) if stored else (),
    )
    app.default(_identity)
    app["--help"].group = OPTIONS
    try:
        return app(list(argv), exit_on_error=False, print_error=False)  # type: ignore[no-any-return]
    except CycloptsError as error:
        said = _hyperparameter_hint(error, argv) or user_message(error)
        raise UserError(f"{said}{_architecture_hint(error)}") from error


def _identity(*, line: Annotated[_CommandLine, Parameter(name="*")] = _CommandLine()) -> _CommandLine:
    return line


def _hyperparameter_hint(error: CycloptsError, argv: Sequence[str]) -> str:
    """How to give a hyperparameter that was taken for a flag; "" for any other mistake."""
    if not isinstance(error, UnknownOptionError) or error.token.source != "cli":
        return ""
    flag = flag_of(error.token.keyword or error.token.value)
    name = flag.removeprefix("--").replace("-", "_")
    if not flag.startswith("--") or not is_known(name):
        return ""
    found = value_of(argv, flag)
    value = found if found and not found.startswith("--") else "VALUE"
    range_hint = f", or --range {name}=LOW:HIGH to search it" if is_number(name) else ""
    return f"{flag} {value}: is a hyperparameter; use --set {name}={value} to fix it{range_hint}"


def _architecture_hint(error: CycloptsError) -> str:
    """How to give an architecture that stands without its flag; "" for any other mistake."""
    unused = error.unused_tokens or () if isinstance(error, UnusedCliTokensError) else ()
    named = [word for word in unused if word in MODELS]
    return f"; did you mean --model {' '.join(named)}?" if named else ""


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UserError(f"--config {path}: {error}") from error
