"""The search for what is banned finds it, and leaves alone what only looks like it."""

from __future__ import annotations

import pytest

from tests.architecture.banned import banned_names, broad_handlers, composed_statements
from tests.architecture.sources import parse

CATCHES_ALL = "try:\n    go()\nexcept {caught}:{comment}\n    {reaction}\n"


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("tests/builders.py", "datetime.utcnow()"),
        ("ledger/gather.py", "datetime.now(UTC)"),
        ("api/worker.py", "clock = datetime.now"),
        ("adapters/dispatch.py", "time.sleep(1)"),
        ("ledger/money.py", "print(1)"),
        ("api/wiring.py", "os.environ['HOME']"),
        ("tests/builders.py", "random.choice([1])"),
        ("ledger/ids.py", "uuid.uuid4()"),
        ("ledger/money.py", "float('1.5')"),
        ("api/cli.py", "eval('1')"),
    ],
)
def test_a_banned_name_is_found(path: str, text: str) -> None:
    assert [found.split(":")[:2] for found in banned_names([parse(path, text)])] == [[path, "1"]]


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("api/wiring.py", "datetime.now(UTC)"),
        ("tests/builders.py", "datetime.now(UTC)"),
        ("api/settings.py", "os.environ['HOME']"),
        ("ledger/ids.py", "random.Random(1)"),
        ("ledger/ids.py", "self._random.random()"),
        ("ledger/gather.py", "delay: float = 1.5"),
        ("api/tables.py", "console.print(1)"),
        ("api/worker.py", "asyncio.sleep(1)"),
    ],
)
def test_what_only_looks_like_it_is_left_alone(path: str, text: str) -> None:
    assert list(banned_names([parse(path, text)])) == []


@pytest.mark.parametrize("caught", ["Exception", "BaseException as error", "(ValueError, Exception)", ""])
def test_a_handler_of_everything_is_found_unless_it_raises_on_or_is_a_process_edge(caught: str) -> None:
    swallows = parse("api/worker.py", CATCHES_ALL.format(caught=caught, comment="", reaction="pass"))
    raises = parse("api/worker.py", CATCHES_ALL.format(caught=caught, comment="", reaction="raise"))
    edge = parse("api/worker.py", CATCHES_ALL.format(caught=caught, comment="  # the process edge", reaction="pass"))

    assert list(broad_handlers([swallows, raises, edge])) == ["api/worker.py:3"]


@pytest.mark.parametrize(
    "argument", ["f'SELECT {name}'", "'SELECT ' + name", "'SELECT %s' % name", "'SELECT {}'.format(name)"]
)
@pytest.mark.parametrize("call", ["connection.execute({})", "text({})", "driver.executemany({}, rows)"])
def test_a_statement_put_together_from_strings_is_found(call: str, argument: str) -> None:
    assert list(composed_statements([parse("ledger/tables.py", call.format(argument))])) == ["ledger/tables.py:1"]


@pytest.mark.parametrize("argument", ["'SELECT 1'", "f'SELECT 1'", "sql.SQL('SELECT {}').format(name)", "statement"])
def test_a_statement_written_out_or_composed_by_the_driver_is_left_alone(argument: str) -> None:
    assert list(composed_statements([parse("ledger/tables.py", f"connection.execute({argument})")])) == []
