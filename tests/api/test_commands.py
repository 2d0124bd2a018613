"""The command line: its commands are imported when they are asked for, and told of all the same."""

from __future__ import annotations

import subprocess
import sys

from typer.testing import CliRunner

from api.cli import app

# What a command that only reads has no use for.
_HEAVY = ("fastapi", "openpyxl", "fpdf", "api.serving", "api.demonstration")
_PROBE = f"""
import sys
from typer.testing import CliRunner
from api.cli import app
assert CliRunner().invoke(app, ["sms", "list", "--help"]).exit_code == 0
print(*[name for name in {_HEAVY!r} if name in sys.modules])
"""


def test_help_tells_of_every_command_in_order() -> None:
    told = CliRunner().invoke(app, ["--help"])

    assert told.exit_code == 0
    places = [told.output.index(f"│ {name} ") for name in ("books", "collections", "reconcile", "serve", "status")]
    assert places == sorted(places)


def test_an_unknown_command_is_told_what_it_may_have_meant() -> None:
    told = CliRunner().invoke(app, ["colections", "orders"])

    assert told.exit_code == 2
    assert "Did you mean 'collections'?" in told.output


def test_a_command_imports_nothing_that_only_others_need() -> None:
    ended = subprocess.run([sys.executable, "-c", _PROBE], capture_output=True, text=True, check=True)

    assert ended.stdout.split() == []
