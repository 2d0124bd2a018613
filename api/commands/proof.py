"""`daftari proof`: what seals prove, written out by who can read the database, checked by anybody."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, BinaryIO

import typer

from api.commands.opening import run
from api.credentials import seal_key
from api.settings import Settings
from api.tables import console, table
from api.wiring import Application
from ledger.database import session_transaction, transaction
from ledger.errors import EntryNotFound, TextInvalid
from ledger.ids import decode, encode
from ledger.journal.books import Ledger, find_ledger
from ledger.journal.entries import ENTRY_PREFIX
from ledger.proof.checking import check_export, check_receipt, read_forms
from ledger.proof.exporting import export_proof
from ledger.proof.forms import checkpoint_form
from ledger.proof.keys import SealPublicKey, parse_seal_key
from ledger.proof.reading import last_checkpoint
from ledger.proof.receipts import make_receipt
from ledger.proof.verifying import Finding, Verifier

app = typer.Typer(help="Proof that the books are as they were sealed.", no_args_is_help=True)
_SHOWN_MAX = 200

Code = Annotated[str, typer.Argument(help="Ledger")]
Out = Annotated[Path, typer.Option(help="Where to write it; must not exist")]
Keys = Annotated[list[str], typer.Option("--key", help="What `daftari proof key` prints; once per key ever used")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object instead of a table")]


@app.command("key")
def key_command() -> None:
    """Prints the public key that belongs to DAFTARI_SEAL_KEY. Asks no database."""
    key = seal_key(Settings())
    if key is None:
        raise TextInvalid(
            "set DAFTARI_SEAL_KEY to 64 hexadecimal digits, as for workers: `openssl rand -hex 32` makes them",
            field="DAFTARI_SEAL_KEY",
        )
    console().print(key.public.text, soft_wrap=True)


@app.command("export")
def export_command(ledger: Code, out: Out) -> None:
    """Writes every entry with its seal, and every checkpoint, as lines of JSON."""

    async def command(application: Application) -> int:
        lines, found = 0, await _ledger(application, ledger)
        async with session_transaction(application.engine) as session:
            with _new_file(out) as file:
                async for line in export_proof(session, ledger=found, now=application.now()):
                    file.write(line.encode())
                    lines += 1
        return lines

    console().print(f"{run(command):,} lines in {out}; check them with `daftari proof verify`", soft_wrap=True)


@app.command("checkpoint")
def checkpoint_command(ledger: Code, out: Out) -> None:
    """Writes the newest checkpoint, to be kept where the database's owner cannot write."""

    async def command(application: Application) -> dict[str, Any]:
        found = await _ledger(application, ledger)
        async with session_transaction(application.engine) as session:
            checkpoint = await last_checkpoint(session, ledger_id=found.id)
        if checkpoint is None:
            raise EntryNotFound(
                "nothing of this ledger is sealed yet; workers with DAFTARI_SEAL_KEY do it", field="ledger"
            )
        return checkpoint_form(found.code, checkpoint)

    form = run(command)
    _write(out, form)
    console().print(f"checkpoint {form['number']}, up to position {form['until_position']}, in {out}", soft_wrap=True)


@app.command("receipt")
def receipt_command(
    ledger: Code, entry: Annotated[str, typer.Argument(help="The entry, such as ent_0C8Q...")], out: Out
) -> None:
    """Writes the receipt of one entry: with it, anybody who has the public key sees that it was sealed so."""
    entry_id = decode(ENTRY_PREFIX, entry)
    if entry_id is None:
        raise TextInvalid("write an entry as ent_ and 13 characters", field="entry")

    async def command(application: Application) -> dict[str, Any]:
        found = await _ledger(application, ledger)
        async with session_transaction(application.engine) as session:
            return await make_receipt(session, ledger=found, entry_id=entry_id)

    form = run(command)
    _write(out, form)
    console().print(f"receipt of {entry}, sealed at position {form['position']}, in {out}", soft_wrap=True)


@app.command("verify")
def verify_command(
    file: Annotated[Path, typer.Argument(help="An export or a receipt")],
    *,
    key: Keys,
    checkpoint: Annotated[
        list[Path] | None, typer.Option(help="A checkpoint, or a receipt, kept elsewhere; may be repeated")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Checks an export or a receipt by the public key, without a database. Exits 1 where something is not as it was
    sealed, 2 where the file is neither."""
    keys = [parse_seal_key(text, field="--key") for text in key]
    with file.open("rb") as opened:
        first = next(read_forms(opened), "")
        opened.seek(0)
        if not isinstance(first, str) and first.get("kind") == "receipt":
            why = check_receipt(first, keys=keys)
            _tell_receipt(first, why, as_json=as_json)
            raise typer.Exit(1 if why else 0)
        kept = [_read(path) for path in checkpoint or []]
        found = check_export(read_forms(opened), keys=keys, kept=kept)
    _tell(found, keys, as_json=as_json)
    raise typer.Exit(1 if found.findings else 0)


def _tell(found: Verifier, keys: list[SealPublicKey], *, as_json: bool) -> None:
    last = found.last
    if as_json:
        told = [
            {"kind": one.kind.value, "entry": _entry(one) or None, "position": one.position, "what": one.what}
            for one in found.findings
        ]
        counts = {"seals": found.seals, "checkpoints": found.checkpoints, "unsealed": found.unsealed}
        newest = None if last is None else {"number": last.number, "until_position": last.until_position}
        agrees = not found.findings
        typer.echo(json.dumps({"ledger": found.ledger, "agrees": agrees, **counts, "last": newest, "findings": told}))
        return
    out = console()
    if found.findings:
        rows = [
            (one.kind.value, _entry(one), "" if one.position is None else f"{one.position:,}", one.what)
            for one in found.findings[:_SHOWN_MAX]
        ]
        title = f"{len(rows):,} of {len(found.findings):,} things not as they were sealed"
        out.print(table(title, ("kind", "entry", ">position", "what"), rows))
    until = "" if last is None else f", the last of {last.signed_at}"
    out.print(
        f"ledger {found.ledger}: {found.seals:,} sealed entries, {found.checkpoints:,} checkpoints{until}, "
        f"{found.unsealed:,} entries not sealed yet: {'NOT as sealed' if found.findings else 'as sealed'}",
        soft_wrap=True,
    )


def _tell_receipt(form: Any, why: str, *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps({"agrees": not why, "position": form["position"], "why": why or None}))
    else:
        number = form["checkpoint"]["number"]
        told = why or f"the entry was sealed at position {form['position']:,}, under checkpoint {number}"
        console().print(told, soft_wrap=True)


def _entry(finding: Finding) -> str:
    """The entry's id as people know it; empty where it is not known."""
    return "" if finding.entry_id is None or finding.entry_id < 0 else encode(ENTRY_PREFIX, finding.entry_id)


async def _ledger(application: Application, code: str) -> Ledger:
    async with transaction(application.engine) as connection:
        return await find_ledger(connection, code=code)


@contextmanager
def _new_file(out: Path) -> Iterator[BinaryIO]:
    """Nothing is written over: an older export may be evidence."""
    try:
        with out.open("xb") as file:
            yield file
    except FileExistsError:
        raise TextInvalid(f"{out} is there already; name a new file", field="out") from None


def _write(out: Path, form: dict[str, Any]) -> None:
    with _new_file(out) as file:
        file.write(f"{json.dumps(form)}\n".encode())


def _read(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        found = next(read_forms(file), "")
    if isinstance(found, str):
        raise TextInvalid(f"{path} is no checkpoint", field="checkpoint")
    return dict(found)
