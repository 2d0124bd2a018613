"""`daftari`: the command line. Assembles the commands and turns a refusal into one sentence and exit code 2."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from importlib import import_module
from types import MappingProxyType
from typing import Any

import typer
from typer.core import TyperGroup

from api.commands.telling import refusal_to_tell

# Each command, and the module of api.commands that has it: the group `app` there, or one function.
COMMANDS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "books": ("books", "app"),
        "partner": ("partners", "app"),
        "key": ("keys", "app"),
        "collections": ("collections", "app"),
        "loan": ("loans", "app"),
        "promo": ("promotions", "app"),
        "refund": ("refunds", "app"),
        "review": ("reviews", "app"),
        "statement": ("statements", "app"),
        "reconcile": ("reconcile", "app"),
        "adjustment": ("adjustments", "app"),
        "close": ("closings", "app"),
        "proof": ("proof", "app"),
        "webhook": ("webhooks", "app"),
        "sms": ("sms", "app"),
        "vault": ("vault", "app"),
        "momo": ("momo", "app"),
        "database": ("database", "app"),
        "serve": ("serve", "serve"),
        "sandbox": ("sandbox", "run"),
        "ussd": ("ussd", "ussd"),
        "demo": ("demo", "demo"),
        "verify": ("verify", "run"),
        "status": ("status", "run"),
    }
)


class Commands(TyperGroup):
    """Imports a command when it is asked for: to import them all takes longer than most of them do."""

    def list_commands(self, ctx: Any) -> list[str]:
        """In the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command; of an unknown name all are imported, for what it may have meant."""
        for name in [cmd_name] if cmd_name in COMMANDS else COMMANDS:
            if name not in self.commands:
                self.commands[name] = _imported(name)
        return self.commands.get(cmd_name)


def _imported(name: str) -> Any:
    module, attribute = COMMANDS[name]
    found = getattr(import_module(f"api.commands.{module}"), attribute)
    around = typer.Typer(add_completion=False)
    if isinstance(found, typer.Typer):
        around.add_typer(found, name=name)
        return typer.main.get_group(around).commands[name]
    around.command(name)(found)
    return typer.main.get_command(around)


app = typer.Typer(cls=Commands, no_args_is_help=True, pretty_exceptions_enable=False)


@app.callback()
def daftari() -> None:
    """Daftari: a double-entry payments core for mobile money."""


def main() -> None:
    """Entry point. Exit codes: 0 done, 1 something does not agree, 2 refused."""
    try:
        app()
    except Exception as error:
        refusal = refusal_to_tell(error)
        if refusal is not None:
            sys.stderr.write(f"daftari: {refusal.message} [{refusal.reason}]\n")
            sys.exit(2)
        raise


if __name__ == "__main__":
    main()
