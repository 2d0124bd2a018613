"""The repository as text and syntax trees, for the tests beside this module: the working tree, not its history."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TypeAlias

ROOT = Path(__file__).parents[2]
PRODUCT = ("ledger", "adapters", "api", "migrations")

# What people write; the rest of a checkout is made by programs.
_WRITTEN = {".py", ".sql", ".proto", ".toml", ".txt", ".md", ".yaml", ".yml", ".json", ".html"}
_WRITTEN_WITHOUT_SUFFIX = {"Makefile", ".editorconfig", ".gitignore", "run", "postgres"}
_MADE = {"build", "dist", "__pycache__"}

Function: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef
Definition: TypeAlias = Function | ast.ClassDef


@dataclass(frozen=True, slots=True)
class Source:
    """One Python file. `path` is relative to the repository and has forward slashes."""

    path: str
    text: str
    tree: ast.Module

    @property
    def lines(self) -> list[str]:
        """Its lines; the first is lines[0]."""
        return self.text.splitlines()

    @property
    def is_product(self) -> bool:
        """Whether it belongs to a package that is shipped."""
        return self.path.split("/")[0] in PRODUCT

    @property
    def module(self) -> str:
        """Its dotted name; that of the package for an __init__.py."""
        return self.path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")

    def functions(self) -> Iterator[Function]:
        """Every function and method, nested ones too."""
        yield from (node for node in ast.walk(self.tree) if isinstance(node, Function))

    def imports(self) -> Iterator[str]:
        """Dotted names that it imports: of `from a import b`, both `a` and `a.b`."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module:
                yield node.module
                yield from (f"{node.module}.{alias.name}" for alias in node.names)


@cache
def written_files() -> tuple[tuple[str, str], ...]:
    """Every file that people write, as (path, text)."""
    found = sorted(path for path in _walk(ROOT) if _is_written(path))
    return tuple((path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8")) for path in found)


@cache
def sources() -> tuple[Source, ...]:
    """Every Python file."""
    return tuple(parse(path, text) for path, text in written_files() if path.endswith(".py"))


def parse(path: str, text: str) -> Source:
    """A file of that path and text."""
    return Source(path, text, ast.parse(text))


@cache
def product() -> tuple[Source, ...]:
    """The Python files of the shipped packages."""
    return tuple(source for source in sources() if source.is_product)


def _walk(folder: Path) -> Iterator[Path]:
    for path in folder.iterdir():
        hidden = path.name.startswith(".") and path.name not in {".ci", ".editorconfig", ".gitignore"}
        if hidden and path.suffix != ".yaml":
            continue
        if not path.is_dir():
            yield path
        elif path.name not in _MADE and not (path / "pyvenv.cfg").exists():
            yield from _walk(path)


def _is_written(path: Path) -> bool:
    return path.suffix in _WRITTEN or path.name in _WRITTEN_WITHOUT_SUFFIX


def lines_matching(pattern: re.Pattern[str]) -> list[str]:
    """`path:line: text` of every line of every written file that the pattern finds."""
    return [
        f"{path}:{number}: {line.strip()}"
        for path, text in written_files()
        for number, line in enumerate(text.splitlines(), start=1)
        if pattern.search(line)
    ]


def length(function: Function) -> int:
    """Lines from `def` to the end, decorators apart."""
    return (function.end_lineno or function.lineno) - function.lineno + 1
