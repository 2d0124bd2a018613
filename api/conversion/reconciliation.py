"""Statements and runs across the wire."""

from __future__ import annotations

from datetime import timedelta

from daftari.v1 import money_pb2
from daftari.v1 import reconciliation_pb2 as pb

from api.conversion.entries import entry_id_text
from api.conversion.money import money_message
from api.conversion.times import period_of, timestamp_of
from api.statements import Whose
from ledger.errors import ChoiceInvalid
from ledger.ids import decode, encode
from ledger.reconciliation.adjustment import RunNotFound
from ledger.reconciliation.importing import Imported, StatementAccount, account_names
from ledger.reconciliation.queries import RecordedDecision, RecordedRun
from ledger.reconciliation.reading import Days
from ledger.reconciliation.run import PREFIX

IMPORT_PREFIX = "imp"
COLUMNS_BYTES_MAX, DAYS_MAX = 65_536, 366
_SHA256_BYTES = 32


def run_id_of(text: str) -> int:
    """Raises RunNotFound for what no run's id looks like, just as for an id that none has."""
    run_id = decode(PREFIX, text)
    if run_id is None:
        raise RunNotFound("no such run in this ledger; see ListReconciliationRuns", field="run_id")
    return run_id


def whose_of(ledger: str, account: pb.StatementAccount) -> Whose:
    """The sub-account that a request names. Raises ChoiceInvalid."""
    for name in ("provider", "shortcode", "sub_account"):
        text = getattr(account, name)
        if not (text.isascii() and text.replace("_", "").replace("-", "").isalnum() and len(text) <= 40):
            raise ChoiceInvalid("1 to 40 letters, digits, - and _", field=f"account.{name}")
    return Whose(
        ledger=ledger, provider=account.provider, shortcode=account.shortcode, sub_account=account.sub_account,
        currency=account.currency,
    )  # fmt: skip


def check_header(header: pb.StatementHeader, *, bytes_max: int) -> None:
    """Raises ChoiceInvalid before a byte is taken."""
    if not 1 <= header.size_bytes <= bytes_max:
        raise ChoiceInvalid(f"1 to {bytes_max:,} bytes; export a shorter period", field="header.size_bytes")
    if len(header.sha256) != _SHA256_BYTES:
        raise ChoiceInvalid(f"a SHA-256 has {_SHA256_BYTES} bytes", field="header.sha256")
    if len(header.columns) > COLUMNS_BYTES_MAX:
        raise ChoiceInvalid(f"at most {COLUMNS_BYTES_MAX:,} bytes", field="header.columns")


def days_of(request: pb.RunReconciliationRequest) -> Days | None:
    """None for the days of the newest statement. Raises TimeInvalid."""
    if not request.from_date and not request.until_date:
        return None
    first, until = period_of(request, days_max=DAYS_MAX)
    return Days(first, until - timedelta(days=1))


def imported_message(account: StatementAccount, one: Imported) -> pb.ImportStatementResponse:
    """A file taken in."""
    return pb.ImportStatementResponse(
        import_id=encode(IMPORT_PREFIX, one.import_id),
        lines=one.lines,
        added=one.added,
        from_time=timestamp_of(one.from_at),
        until_time=timestamp_of(one.until_at),
        opening=_told(account.currency, one.opening),
        closing=_told(account.currency, one.closing),
    )


def run_message(run: RecordedRun) -> pb.ReconciliationRun:
    """A run as it was recorded."""
    provider, shortcode, sub_account = account_names(run.path)
    return pb.ReconciliationRun(
        id=encode(PREFIX, run.id),
        account=pb.StatementAccount(
            provider=provider, shortcode=shortcode, sub_account=sub_account, currency=run.currency
        ),
        account_path=run.path,
        from_date=run.first.isoformat(),
        until_date=run.last.isoformat(),
        told_until_time=timestamp_of(run.told_until),
        lines=run.lines,
        decisions=run.decisions,
        breaks=run.breaks,
        unexplained=money_message(run.currency, run.unexplained),
        difference=money_message(run.currency, run.difference),
        statement_opening=_told(run.currency, run.statement_opening),
        statement_closing=_told(run.currency, run.statement_closing),
        books_opening=money_message(run.currency, run.books_opening),
        books_closing=money_message(run.currency, run.books_closing),
        opening_gap=_told(run.currency, run.opening_gap),
        resolved=run.resolved,
        agrees=run.agrees,
        actor=run.actor,
        record_time=timestamp_of(run.recorded_at),
    )


def decision_message(one: RecordedDecision, currency: str) -> pb.ReconciliationDecision:
    """A decision as it was recorded."""
    return pb.ReconciliationDecision(
        number=one.number,
        state=one.state.value,
        rule=one.rule,
        reason=one.reason,
        happen_time=timestamp_of(one.at),
        receipt=one.receipt,
        difference=money_message(currency, one.difference),
        lines=one.lines,
        entry_ids=[entry_id_text(entry_id) for entry_id in one.entries],
        payout_id=encode("pay", one.payout_id) if one.payout_id is not None else "",
        is_break=not one.is_explained,
    )


def _told(currency: str, units: int | None) -> money_pb2.Money | None:
    return None if units is None else money_message(currency, units)
