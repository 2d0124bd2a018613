"""What code here does not do, where it may, and what it does instead."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from tests.architecture.sources import PRODUCT, Source

EVERYWHERE = ("ledger/", "adapters/", "api/", "migrations/", "protos/", "tests/")
SHIPPED = tuple(f"{package}/" for package in PRODUCT)


@dataclass(frozen=True, slots=True)
class Ban:
    """Names, as written with their dots, that must not be used in some folders."""

    names: str
    instead: str
    folders: tuple[str, ...] = EVERYWHERE
    allowed: tuple[str, ...] = ()

    def applies_to(self, source: Source) -> bool:
        """Whether the file is in the folders and not among those that may."""
        return source.path.startswith(self.folders) and source.path not in self.allowed


BANS = (
    Ban(r"datetime\.(utcnow|utcfromtimestamp|today)|date\.today", "datetime.now(UTC) at the edge: times are aware"),
    Ban(
        r"datetime\.now|time\.time",
        "`now` as an argument: only the composition root has a clock",
        folders=SHIPPED,
        allowed=("api/wiring.py", "adapters/sandbox/server.py"),
    ),
    Ban(r"time\.sleep", "asyncio.sleep, or an event to wait for"),
    Ban(r"print", "a log event, or the console of a command", folders=SHIPPED),
    Ban(
        r"os\.(environ|getenv|putenv)",
        "a field of api.settings.Settings",
        folders=SHIPPED,
        allowed=("api/settings.py",),
    ),
    Ban(r"random\.[a-z]\w*|uuid\.uuid[14]", "a random.Random or an IdSource as an argument"),
    Ban(r"float", "int minor units and Money.allocate", folders=("ledger/",)),
    Ban(r"eval|exec|pickle\.\w+", "data that is parsed"),
)

# Statements that take no parameters (SET ROLE, GRANT), made of constants of ours.
_MAY_FORMAT_SQL = ("migrations/env.py",)
_EXECUTING = {"execute", "executemany", "exec_driver_sql", "scalar", "scalars", "stream", "copy", "text"}


def banned_names(sources: Iterable[Source]) -> Iterator[str]:
    """`path:line: name: what to do instead`, for every use of a banned name."""
    for source in sources:
        bans = [ban for ban in BANS if ban.applies_to(source)]
        for name, line in _uses(source):
            for ban in bans:
                if re.fullmatch(ban.names, name):
                    yield f"{source.path}:{line}: {name}: {ban.instead}"


def _uses(source: Source) -> Iterator[tuple[str, int]]:
    """Dotted names read, and plain names called: `float` in an annotation is no call."""
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Attribute):
            yield ast.unparse(node), node.lineno
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            yield node.func.id, node.lineno


def broad_handlers(sources: Iterable[Source]) -> Iterator[str]:
    """Handlers of everything that neither raise on nor say that they are a process edge."""
    for source in sources:
        for node in ast.walk(source.tree):
            if isinstance(node, ast.ExceptHandler) and _is_broad(node) and not _raises_on(node):
                around = " ".join(source.lines[max(0, node.lineno - 2) : node.body[0].lineno])
                if "process edge" not in around:
                    yield f"{source.path}:{node.lineno}"


def _is_broad(handler: ast.ExceptHandler) -> bool:
    if handler.type is None:
        return True
    return any(
        isinstance(node, ast.Name) and node.id in {"Exception", "BaseException"} for node in ast.walk(handler.type)
    )


def _raises_on(handler: ast.ExceptHandler) -> bool:
    last = handler.body[-1]
    return isinstance(last, ast.Raise) and last.exc is None


def composed_statements(sources: Iterable[Source]) -> Iterator[str]:
    """Calls that execute a statement put together from strings."""
    for source in sources:
        if not source.is_product or source.path in _MAY_FORMAT_SQL:
            continue
        for node in ast.walk(source.tree):
            if isinstance(node, ast.Call) and node.args and _called(node) in _EXECUTING and _is_composed(node.args[0]):
                yield f"{source.path}:{node.lineno}"


def _called(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")


def _is_composed(argument: ast.expr) -> bool:
    """An f-string with a value in it, a sum or a percentage of strings, or a string's format()."""
    match argument:
        case ast.JoinedStr(values=values):
            return any(isinstance(value, ast.FormattedValue) for value in values)
        case ast.BinOp(op=ast.Add() | ast.Mod()):
            return True
        case ast.Call(func=ast.Attribute(attr="format", value=ast.Constant())):
            return True
    return False
