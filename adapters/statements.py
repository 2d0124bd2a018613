"""Statements by declared columns: a provider's file becomes neutral lines, streaming, or is refused whole.

What a provider's columns are called, how it writes moments and states, and what its texts mean is declared, in code for
the rails we know (`daraja.statement`) and in a JSON document for banks and wallets whose exports differ by contract.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from zoneinfo import ZoneInfo

from adapters.sheets import Cell, Row, read_rows
from ledger.money import exponent_of
from ledger.reconciliation.statement import (
    DETAILS_MAX,
    RECEIPT_MAX,
    REFERENCE_MAX,
    Heading,
    LineKind,
    LineStatus,
    StatementLine,
    masked,
    refused,
)

_HEADER_WITHIN = 40
_AMOUNT = re.compile(r"[+-]?(\d{1,3}(,\d{3})+|\d{1,15})(\.\d{1,4})?", re.ASCII)
_RECEIPT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]*", re.ASCII)
_NOT_WORDS = re.compile(r"\(.*?\)|[.\s]+")
_NOT_TEXT = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]+")
_EXCEL_EPOCH = datetime(1899, 12, 30, tzinfo=UTC)
_MINOR_UNITS_MAX = 2**53


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a line's texts say: its kind, and our reference, the other party and the account in them."""

    kind: LineKind
    originator: str | None = None
    party: str | None = None
    reference: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """How a file is read. `names` gives each field its possible headings: receipt, completed_at, details, and either
    paid_in and withdrawn, or amount, are needed; status, balance, reason, party, reference, linked may be there.
    `moment` reads a time of the zone."""

    names: Mapping[str, tuple[str, ...]]
    moment: Callable[[str, tzinfo], datetime]
    zone: tzinfo
    statuses: Mapping[str, LineStatus]
    meaning: Callable[[str, str, int], Meaning]
    heading: Callable[[list[Row], str], Heading] = lambda rows, currency: Heading()


@dataclass(frozen=True, slots=True)
class Statement:
    """A file that is being read: what it says of itself, and its lines, each once."""

    heading: Heading
    lines: Iterator[StatementLine]


def read_statement(path: Path, columns: Columns, *, currency: str) -> Statement:
    """Opens a file. Raises StatementRefused here or while its lines are read."""
    rows = read_rows(path)
    before: list[Row] = []
    for number, cells in rows:
        found = _find_header(cells, columns)
        if found is not None:
            return Statement(columns.heading(before, currency), _lines(rows, found, columns, currency))
        before.append((number, cells))
        if number >= _HEADER_WITHIN:
            break
    wanted = columns.names["receipt"][0]
    raise refused(f"no row of headings with {wanted!r} among the first {_HEADER_WITHIN}: is this a statement?")


def _find_header(cells: list[Cell], columns: Columns) -> dict[str, int] | None:
    """The place of each field, if this is the row of headings."""
    words = [_NOT_WORDS.sub(" ", str(one)).strip().lower() for one in cells]
    found = {
        field: words.index(name)
        for field, names in columns.names.items()
        for name in reversed([one.lower() for one in names])
        if name in words
    }
    needed = {"receipt", "completed_at", "details"}
    amounts = "amount" in found or {"paid_in", "withdrawn"} <= found.keys()
    return found if needed <= found.keys() and amounts else None


def _lines(rows: Iterator[Row], places: dict[str, int], columns: Columns, currency: str) -> Iterator[StatementLine]:
    exponent, width = exponent_of(currency), max(places.values()) + 1
    seen = 0
    for number, cells in rows:
        if not any(cells):
            continue
        cells.extend([""] * (width - len(cells)))
        yield _line(number, {field: cells[place] for field, place in places.items()}, columns, exponent)
        seen += 1
    if not seen:
        raise refused("no lines under the headings")


def _line(number: int, cells: dict[str, Cell], columns: Columns, exponent: int) -> StatementLine:
    receipt = str(cells["receipt"]).strip()
    if len(receipt) > RECEIPT_MAX or not _RECEIPT.fullmatch(receipt):
        raise refused("no receipt number", row=number)
    details = _NOT_TEXT.sub(" ", str(cells["details"])).strip()
    if not 1 <= len(details) <= DETAILS_MAX:
        raise refused(f"details of 1 to {DETAILS_MAX} characters are missing", row=number)
    amount = _amount(cells, number, exponent)
    balance = cells.get("balance", "")
    meaning = columns.meaning(details, str(cells.get("reason", "")), amount)
    return StatementLine(
        row=number,
        receipt=receipt,
        completed_at=_moment(cells["completed_at"], columns, number),
        details=masked(details),
        kind=meaning.kind,
        status=_status(cells, columns),
        amount=amount,
        balance=None if balance == "" else _minor_units(balance, number, exponent),
        originator=meaning.originator,
        party=_short(str(cells.get("party", ""))) or meaning.party,
        reference=_short(str(cells.get("reference", ""))) or meaning.reference,
        linked_receipt=str(cells.get("linked", "")).strip()[:RECEIPT_MAX] or None,
    )


def _short(text: str) -> str | None:
    return masked(_NOT_TEXT.sub(" ", text).strip())[:REFERENCE_MAX] or None


def _status(cells: dict[str, Cell], columns: Columns) -> LineStatus:
    """A word nobody declared moved nothing yet; if it did, the running balance says so."""
    if "status" not in cells:
        return LineStatus.COMPLETED
    return columns.statuses.get(str(cells["status"]).strip().lower(), LineStatus.PENDING)


def _amount(cells: dict[str, Cell], number: int, exponent: int) -> int:
    """Signed by its column: providers write what is withdrawn with a minus, or without."""
    if "amount" in cells:
        amount = _minor_units(cells["amount"], number, exponent)
    else:
        paid_in = _minor_units(cells["paid_in"], number, exponent)
        withdrawn = _minor_units(cells["withdrawn"], number, exponent)
        if paid_in and withdrawn:
            raise refused("both paid in and withdrawn", row=number)
        if paid_in < 0:
            raise refused("a negative amount paid in", row=number)
        amount = paid_in or -abs(withdrawn)
    if amount == 0:
        raise refused("no amount", row=number)
    return amount


def _minor_units(cell: Cell, number: int, exponent: int) -> int:
    """An empty cell is 0. Nothing is rounded: more decimals than the currency has are refused unless they are zeros."""
    if isinstance(cell, datetime):
        raise refused("a moment where an amount should be", row=number)
    text = str(cell).strip() if not isinstance(cell, float) else f"{cell:.6f}".rstrip("0")
    if not text:
        return 0
    text = text.removesuffix(".")
    if not _AMOUNT.fullmatch(text):
        raise refused(f"{text!r:.30} is no amount", row=number)
    whole, _, part = text.replace(",", "").partition(".")
    part = part.rstrip("0")
    if len(part) > exponent:
        raise refused(f"{text!r:.30} has more decimals than the currency", row=number)
    amount = int(whole + part.ljust(exponent, "0"))
    if abs(amount) > _MINOR_UNITS_MAX:
        raise refused(f"{text!r:.30} is larger than any amount can be", row=number)
    return amount


def _moment(cell: Cell, columns: Columns, number: int) -> datetime:
    try:
        if isinstance(cell, datetime):
            local = cell
        elif isinstance(cell, int | float):
            local = _EXCEL_EPOCH + timedelta(seconds=round(float(cell) * 86_400))
        else:
            local = columns.moment(cell.strip(), columns.zone)
        return local.replace(tzinfo=columns.zone, microsecond=0).astimezone(UTC)
    except (ValueError, OverflowError, IndexError):
        raise refused(f"{str(cell)!r:.30} is no completion time", row=number) from None


def read_columns(document: bytes) -> Columns:
    """Columns as a JSON document declares them: {"columns": {"receipt": ["Id"], ...}, "moment": "%d/%m/%Y %H:%M:%S",
    "zone": "Africa/Kigali", "statuses": {"successful": "completed"}, "kinds": [["^Fee", "charge"]],
    "originator": "ref ([0-9a-f-]{36})"}. Raises StatementRefused for anything else."""
    try:
        told = json.loads(document)
        names = {str(field): tuple(str(one) for one in names) for field, names in told["columns"].items()}
        layout, zone = str(told["moment"]), ZoneInfo(str(told["zone"]))
        statuses = {str(word).lower(): LineStatus(state) for word, state in told.get("statuses", {}).items()}
        kinds = [(re.compile(str(pattern), re.IGNORECASE), LineKind(kind)) for pattern, kind in told.get("kinds", [])]
        originator = re.compile(told["originator"]) if "originator" in told else None
    except (ValueError, KeyError, TypeError, AttributeError, re.error, OSError) as error:
        raise refused(f"the declaration of columns cannot be read: {type(error).__name__} {error!s:.80}") from None

    def meaning(details: str, reason: str, amount: int) -> Meaning:
        kind = next((kind for pattern, kind in kinds if pattern.search(reason or details)), LineKind.OTHER)
        found = originator.search(details) if originator else None
        return Meaning(kind, originator=found[1] if found and found.groups() else None)

    return Columns(
        names=names,
        moment=lambda text, zone: datetime.strptime(text, layout).replace(tzinfo=zone),
        zone=zone,
        statuses=statuses,
        meaning=meaning,
    )
