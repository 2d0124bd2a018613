"""The direction of imports: the contracts of pyproject.toml hold, and each of them would notice."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = ("ledger", "adapters", "api", "migrations")
VERDICT = re.compile(r"^(.+) (KEPT|BROKEN)$", re.MULTILINE)

# One wrong import for every contract, by the contract's name: (where it is put, what it imports).
VIOLATIONS = {
    "One way: api, then adapters, then ledger": ("adapters/dispatch.py", "api.wiring"),
    "Inside the ledger, top to bottom; a new module takes its place here": ("ledger/money.py", "ledger.journal.post"),
    "The ledger knows no wire, no web and no provider's client": ("ledger/msisdn.py", "httpx"),
    "Only the migrator migrates": ("ledger/journal/post.py", "alembic"),
    "Only api speaks protobuf": ("adapters/inbound.py", "grpc"),
    "Rails translate and call: no database, not even through the ledger": (
        "adapters/daraja/wire.py",
        "ledger.database",
    ),
    "A simulator that borrows the parser it tests proves nothing": ("adapters/sandbox/wire.py", "adapters.daraja.wire"),
    "Rules are pure: money, entries and states are decided without I/O": ("ledger/payouts/limits.py", "asyncio"),
    "Conversion is arithmetic on messages: it asks no database itself": ("api/conversion/money.py", "sqlalchemy"),
    "Only the composition root reads settings": ("api/services/journal.py", "api.settings"),
    "The USSD gateway is a client: it has no database and none of the services' code": (
        "api/ussd/menus.py",
        "api.core",
    ),
    "Neighbours form no ring": ("adapters/sandbox/world.py", "adapters.sandbox.server"),
}


def lint(checkout: Path) -> str:
    """What import-linter reports about the packages below `checkout`."""
    program = (
        "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports(no_logo=True, no_cache=True))"
    )
    found = subprocess.run(
        [sys.executable, "-c", program],
        cwd=checkout,
        env={
            **os.environ,
            "COLUMNS": "200",
            "NO_COLOR": "1",
            "PYTHONPATH": os.pathsep.join([str(checkout), *sys.path]),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    return found.stdout + found.stderr


def copy_with_violations(target: Path) -> None:
    """A checkout in which every contract is broken by one line."""
    shutil.copy(ROOT / "pyproject.toml", target)
    for package in PACKAGES:
        shutil.copytree(ROOT / package, target / package, ignore=shutil.ignore_patterns("__pycache__"))
    for path, imported in VIOLATIONS.values():
        with (target / path).open("a", encoding="utf-8") as file:
            file.write(f"\nimport {imported}\n")


def contract_names() -> set[str]:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    return {contract["name"] for contract in settings["tool"]["importlinter"]["contracts"]}


def test_every_import_goes_the_way_it_should() -> None:
    report = lint(ROOT)

    assert dict(VERDICT.findall(report)) == dict.fromkeys(contract_names(), "KEPT"), report


def test_every_contract_would_notice_a_wrong_import(tmp_path: Path) -> None:
    copy_with_violations(tmp_path)

    report = lint(tmp_path)

    assert set(VIOLATIONS) == contract_names()
    assert dict(VERDICT.findall(report)) == dict.fromkeys(VIOLATIONS, "BROKEN"), report
