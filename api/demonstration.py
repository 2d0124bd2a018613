"""The demonstration: payouts as a partner's backend makes them, then a loan from its request to its end, and the proof
that the books tell what the rail did; then the statements and the close; then a promotion over the other rail.

A gRPC client of its own service and an HTTP client of the sandbox's control API; only finance people work as commands
do, inside.
"""

from __future__ import annotations

from pathlib import Path

import grpc.aio
from rich.console import Console

from api.administration import verify_ledgers
from api.demonstration_books import Books
from api.demonstration_close import close_month
from api.demonstration_loan import lend
from api.demonstration_payouts import pay_out
from api.demonstration_promotion import promote
from api.staging import LEDGER, WALLET_LEDGER, Stage


async def run_demonstration(stage: Stage, out: Console, *, close_report: Path) -> bool:
    """Plays every part and prints it; whether all of them hold and every cache agrees with its postings."""
    assert stage.addresses.grpc is not None
    async with grpc.aio.insecure_channel(stage.addresses.grpc) as channel:
        books = Books(stage, channel)
        paid_out = await pay_out(stage, channel, books, out)
        lent = await lend(stage, channel, books, out)
        closed = await close_month(stage, out, close_report)
        promoted = await promote(stage, channel, out)
    sound = [await verify_ledgers(stage.application, code=code, out=out) for code in (LEDGER, WALLET_LEDGER)]
    verdict = paid_out and lent and closed and promoted and all(sound)
    out.print("\n[bold]The books and the rail agree.[/]" if verdict else "\n[bold red]They do not agree.[/]")
    return verdict
