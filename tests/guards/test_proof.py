"""One chain of seals per ledger, whoever writes: no gap, no fork, no seal of nothing, no set without its checkpoint."""

from __future__ import annotations

import hashlib
from typing import Any, LiteralString

import pytest

from tests.guards.stage import FIRST, NO_ACCOUNT, SECOND, Connection, Stage, refusal

CHECK, UNIQUE = "23514", "23505"
_SEAL: LiteralString = """
INSERT INTO public.entry_seals (ledger_id, position, entry_id, digest, chain, signature, marks)
VALUES (%(ledger)s, %(position)s, %(entry)s, %(digest)s, %(chain)s, %(signature)s, '')
"""
_CHECKPOINT: LiteralString = """
INSERT INTO public.seal_checkpoints (ledger_id, number, from_position, until_position, root, chain, is_complete,
    signed_at, key, signature)
VALUES (%(ledger)s, %(number)s, %(from)s, %(position)s, %(digest)s, %(chain)s, true, now(), 'k', %(signature)s)
"""
_BOTH: LiteralString = f"WITH seals AS ({_SEAL}) {_CHECKPOINT}"


def code_of(connection: Connection, ledger_id: int) -> str:
    row = connection.execute("SELECT code FROM ledgers WHERE id = %s", (ledger_id,)).fetchone()
    assert row is not None
    return str(row[0])


@pytest.fixture
def first(app: Connection, stage: Stage) -> dict[str, Any]:
    """The first seal of the stage's ledger, as it would be written."""
    genesis = hashlib.sha256(f"daftari chain 1\n{code_of(app, stage.ledger_id)}".encode()).digest()
    return following(genesis, ledger=stage.ledger_id, position=1, entry=FIRST)


def following(before: bytes, *, ledger: int, position: int, entry: int) -> dict[str, Any]:
    """A seal, and a checkpoint over it alone, behind a chain."""
    digest = bytes([position]) * 32
    places = position.to_bytes(8, "big") + entry.to_bytes(8, "big")
    chain = hashlib.sha256(before + places + digest + b"s" * 64).digest()
    values = {"ledger": ledger, "position": position, "entry": entry, "digest": digest, "chain": chain}
    return {**values, "number": position, "from": position, "signature": b"s" * 64}


@pytest.fixture
def second(app: Connection, first: dict[str, Any]) -> dict[str, Any]:
    """The next, behind the first, which is there."""
    app.execute(_BOTH, first)
    return following(first["chain"], ledger=first["ledger"], position=2, entry=SECOND)


def test_a_chain_that_follows_is_taken(app: Connection, second: dict[str, Any]) -> None:
    app.execute(_BOTH, second)

    assert app.execute("SELECT count(*) FROM entry_seals WHERE ledger_id = %s", (second["ledger"],)).fetchone() == (2,)


def test_the_first_seal_is_chained_to_its_own_ledger(app: Connection, stage: Stage, first: dict[str, Any]) -> None:
    stage.foreign_id, own = first["ledger"], stage.foreign_id
    foreign = hashlib.sha256(f"daftari chain 1\n{code_of(app, own)}".encode()).digest()

    with refusal(app, CHECK, "seals_form_one_chain"):
        app.execute(_BOTH, following(foreign, ledger=first["ledger"], position=1, entry=FIRST))


@pytest.mark.parametrize(
    "change",
    [{"position": 3, "from": 2}, {"entry": NO_ACCOUNT}, {"entry": FIRST + 1}, {"digest": b"x" * 32}, {"chain": b"x"}],
)
def test_a_seal_that_does_not_follow_is_refused(
    app: Connection, second: dict[str, Any], change: dict[str, Any]
) -> None:
    with refusal(app, CHECK, "seals_form_one_chain"):
        app.execute(_BOTH, second | change)


def test_a_seal_of_no_entry_is_refused(app: Connection, second: dict[str, Any], first: dict[str, Any]) -> None:
    nothing = following(first["chain"], ledger=first["ledger"], position=2, entry=NO_ACCOUNT)

    with refusal(app, CHECK, "seals_form_one_chain"):
        app.execute(_BOTH, nothing)


def test_a_fork_is_refused(app: Connection, second: dict[str, Any], first: dict[str, Any]) -> None:
    with refusal(app, UNIQUE, "entry_seals_pkey"):
        app.execute(_SEAL, first | {"entry": SECOND})


def test_an_entry_is_sealed_once(app: Connection, second: dict[str, Any], first: dict[str, Any]) -> None:
    again = following(first["chain"], ledger=first["ledger"], position=2, entry=FIRST)

    with refusal(app, UNIQUE, "entry_seals_seal_once"):
        app.execute(_BOTH, again)


def test_a_seal_without_a_checkpoint_is_refused(app: Connection, second: dict[str, Any]) -> None:
    with refusal(app, CHECK, "seals_form_one_chain"):
        app.execute(_SEAL, second)


@pytest.mark.parametrize("change", [{"number": 3}, {"from": 1}, {"number": 1}, {"chain": b"x" * 32}])
def test_a_checkpoint_follows_the_one_before_and_the_chain(
    app: Connection, second: dict[str, Any], change: dict[str, Any]
) -> None:
    app.execute("SAVEPOINT before")
    app.execute(_BOTH, second)
    app.execute("ROLLBACK TO before")
    sqlstate, constraint = CHECK, "checkpoints_follow_seals"
    if change == {"number": 1}:
        sqlstate, constraint = UNIQUE, "seal_checkpoints_pkey"
    seal = "WITH seals AS (" + _SEAL.replace("%(chain)s", "%(right)s") + ")" + _CHECKPOINT

    with refusal(app, sqlstate, constraint):
        app.execute(seal.encode(), second | change | {"right": second["chain"]})
