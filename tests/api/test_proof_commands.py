"""`daftari proof` in this process: exported, checked without a database, and refused where a file was touched."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest
import structlog
from typer.testing import CliRunner

from api import cli
from api.commands.telling import refusal_to_tell
from ledger.database import connect
from ledger.ids import encode
from ledger.proof.keys import SealKey
from tests.builders import BANK, WALLET, Books, open_books, transfer
from tests.fix_database import Database
from tests.ledger.proof.chains import KEY, KEY_BYTES, seal_all

OTHER = SealKey(bytes([8] * 32)).public.text


async def _sealed(database: Database) -> tuple[str, list[str]]:
    engine = connect(database.app, pool_size=2, application_name="tests")
    books: Books = await open_books(engine)
    posted = await books.post_all([transfer(BANK, WALLET, amount) for amount in range(1, 26)])
    await seal_all(books, limit=10)
    await books.post_all([transfer(BANK, WALLET, 99)])
    await engine.dispose()
    return books.ledger.code, [encode("ent", one.entry_id) for one in posted]


@pytest.fixture(scope="module")
def books(database: Database) -> tuple[str, list[str]]:
    """A ledger's code and its entries: 25 sealed, and one that is not yet."""
    return asyncio.run(_sealed(database))


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended: its exit code, what it printed, and the refusal, if it was one."""

    code: int
    out: str
    refusal: str


def proof(settings: Mapping[str, str], *arguments: object) -> Ended:
    """`daftari proof`."""
    environment = {f"DAFTARI_{name}".upper(): value for name, value in settings.items()}
    ended = CliRunner().invoke(cli.app, ["proof", *map(str, arguments)], env=environment)
    structlog.reset_defaults()  # a command sends its log to an output that ends with it
    refused = refusal_to_tell(ended.exception) if isinstance(ended.exception, Exception) else None
    return Ended(2 if refused else ended.exit_code, ended.stdout, refused.message if refused else "")


@pytest.fixture
def command(database: Database) -> Callable[..., Ended]:
    """Runs `daftari proof` on the database."""
    url = database.app.render_as_string(hide_password=False)
    return partial(proof, {"database_url": url, "secret": bytes(32).hex(), "seal_key": KEY_BYTES.hex()})


def without_database(*arguments: object) -> Ended:
    """The same with nothing but the files."""
    return proof({"database_url": "postgresql://nobody@127.0.0.1:1/none", "secret": bytes(32).hex()}, *arguments)


def test_an_export_is_checked_by_the_public_key_alone(
    command: Callable[..., Ended], books: tuple[str, list[str]], tmp_path: Path
) -> None:
    code, entries = books
    export, kept = tmp_path / "proof.jsonl", tmp_path / "kept.json"
    key = command("key").out.strip()
    written = command("export", code, "--out", export)
    command("checkpoint", code, "--out", kept)

    fine = without_database("verify", export, "--key", key, "--checkpoint", kept)
    lines = export.read_text().splitlines(keepends=True)
    sealed = [number for number, line in enumerate(lines) if json.loads(line)["kind"] == "seal"]
    touched = random.Random(1).choice(sealed)
    lines[touched] = lines[touched].replace('"amount" : ', '"amount" : 9')
    export.write_text("".join(lines))
    found = without_database("verify", export, "--key", key, "--json")
    other = without_database("verify", export, "--key", OTHER)

    assert (key, written.code) == (KEY.public.text, 0)
    assert (fine.code, "25 sealed entries, 3 checkpoints" in fine.out) == (0, True)
    told = json.loads(found.out)
    assert (found.code, told["agrees"], told["unsealed"], len(told["findings"])) == (1, False, 1, 1)
    assert told["findings"][0]["entry"] in entries
    assert told["findings"][0]["what"] == "posting 1: amount, posting 2: amount"
    assert other.code == 1


def test_a_receipt_proves_its_entry_and_no_other(
    command: Callable[..., Ended], books: tuple[str, list[str]], tmp_path: Path
) -> None:
    code, entries = books
    receipt, key = tmp_path / "receipt.json", KEY.public.text
    written = command("receipt", code, entries[13], "--out", receipt)

    fine = without_database("verify", receipt, "--key", key)
    receipt.write_text(receipt.read_text().replace('"transfer"', '"transfers"'))
    touched = without_database("verify", receipt, "--key", key, "--json")

    assert (written.code, fine.code) == (0, 0)
    assert "sealed at position 14, under checkpoint 2" in fine.out
    assert receipt.stat().st_size < 4096
    assert (touched.code, json.loads(touched.out)["agrees"]) == (1, False)


def test_what_cannot_be_done_is_refused_in_a_sentence(
    command: Callable[..., Ended], books: tuple[str, list[str]], tmp_path: Path
) -> None:
    (there := tmp_path / "there").write_text("{}")

    written_over = command("export", books[0], "--out", there)
    no_export = without_database("verify", there, "--key", KEY.public.text)
    no_key = without_database("verify", there, "--key", KEY_BYTES.hex())

    assert [one.code for one in (written_over, no_export, no_key)] == [2, 2, 2]
    assert "name a new file" in written_over.refusal
    assert "no export" in no_export.refusal
    assert KEY_BYTES.hex() not in no_key.refusal
