"""`daftari vault` and the start of processes that hold keys, as real processes on a database given by URL."""

from __future__ import annotations

import re
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from ledger.database import conninfo
from ledger.sealing import derive_key
from ledger.vault_keys import PrivateKey
from tests.fix_database import Database
from tests.journeys.processes import Ended, daftari

CANARY = "canary-Zx81-initiator-password"
NAME = "daraja/600584/initiator_password"
KEY, SECRET = bytes(range(1, 33)), bytes(range(32))
PUBLIC = PrivateKey(KEY).public.text
OPEN_KENYA = """
INSERT INTO ledgers (code, name, base_currency, time_zone, created_at)
VALUES ('kenya', 'Kenya', 'KES', 'Africa/Nairobi', now())
"""
AT_ONCE = 2  # commands that run side by side: most of a command is the loading of its program


@pytest.fixture
def settings(fresh_database: Database) -> dict[str, str]:
    """Of a process on a database of its own, with the ledger "kenya"; no key of the vault yet."""
    with psycopg.connect(conninfo(fresh_database.app)) as session:
        session.execute(OPEN_KENYA)
    return {
        "database_url": fresh_database.app.render_as_string(hide_password=False),
        "secret": SECRET.hex(),
        "grpc_listen": "127.0.0.1:0",
        "http_listen": "127.0.0.1:0",
        "public_url": "http://127.0.0.1:1",
    }


def refusal_of(ended: Ended) -> str:
    """The one sentence of a command that was refused, which has no secret and no key in it."""
    assert (ended.code, ended.out) == (2, "")
    (sentence,) = ended.err.splitlines()
    assert not [secret for secret in (CANARY, KEY.hex(), SECRET.hex()) if secret in sentence]
    return sentence


def put(settings: Mapping[str, str], secret: str = CANARY) -> Ended:
    """Writes the initiator's password."""
    return daftari("vault", "put", "kenya", NAME, "--actor", "wanjiru", settings=settings, typed=f"{secret}\n")


def test_the_public_key_alone_writes_and_the_list_shows_who_and_never_what(settings: dict[str, str]) -> None:
    printed = daftari("vault", "key", settings={"vault_key": KEY.hex(), "database_url": "postgresql://h/none"})
    writing = settings | {"vault_public_key": printed.out.strip()}

    written, listed = put(writing), daftari("vault", "list", "kenya", settings=settings)

    assert (printed.code, printed.out, printed.err) == (0, f"{PUBLIC}\n", "")
    matched = re.fullmatch(rf"{NAME} is version 1, fingerprint ([0-9a-f]{{12}})\n", written.out)
    assert matched is not None, written
    assert [name in listed.out for name in (NAME, matched[1], "wanjiru")] == [True] * 3
    assert CANARY not in written.out + written.err + listed.out + listed.err


def test_what_lacks_a_key_or_has_one_too_many_is_refused_in_one_sentence(settings: dict[str, str]) -> None:
    rail = {"daraja_base_url": "http://127.0.0.1:1"}
    refused = [
        (("serve", "--role", "grpc"), {"vault_key": KEY.hex()}, "take DAFTARI_VAULT_KEY from this process"),
        (
            ("serve", "--role", "http"),
            rail | {"daraja_initiator_password": CANARY},
            "DAFTARI_DARAJA_INITIATOR_PASSWORD",
        ),
        (("serve", "--role", "worker"), rail | {"daraja_secrets": "vault"}, "set DAFTARI_VAULT_KEY"),
        (("serve", "--role", "grpc"), {"vault_public_key": KEY.hex()}, "set DAFTARI_VAULT_PUBLIC_KEY"),
        (("vault", "put", "kenya", NAME, "--actor", "wanjiru"), {}, "set DAFTARI_VAULT_PUBLIC_KEY"),
        (("vault", "rotate"), {"vault_public_key": PUBLIC}, "set DAFTARI_VAULT_KEY"),
    ]

    with ThreadPoolExecutor(AT_ONCE) as pool:
        ended = list(pool.map(lambda one: daftari(*one[0], settings=settings | one[1], typed=CANARY), refused))

    told = [refusal_of(one) for one in ended]
    assert [words for (_, _, words), sentence in zip(refused, told, strict=True) if words not in sentence] == []


def test_a_key_of_its_own_takes_over_from_the_derived_one_for_which_nothing_is_written_any_more(
    settings: dict[str, str], fresh_database: Database
) -> None:
    """As an installation does that used to have no vault key: the rows it wrote are rotated without an old key."""
    derived = settings | {"vault_public_key": PrivateKey(derive_key(SECRET, purpose="vault")).public.text}
    before = put(derived)

    rotated = daftari("vault", "rotate", settings=settings | {"vault_key": KEY.hex()})
    outdated = put(derived)
    written = put(settings | {"vault_public_key": PUBLIC})

    assert "is version 1" in before.out
    assert rotated.out == (
        "1 wrapped anew, 0 left\nevery data key is wrapped for the key now in force; any other can be destroyed\n"
    )
    assert "retired" in refusal_of(outdated)
    assert "is version 2" in written.out
    with psycopg.connect(conninfo(fresh_database.app)) as session:
        wrapped_for = session.execute("SELECT DISTINCT key_fingerprint FROM vault_secrets").fetchall()
    assert wrapped_for == [(PrivateKey(KEY).public.fingerprint,)]
