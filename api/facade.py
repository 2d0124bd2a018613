"""The REST surface of a process: its routes, over the commands and queries that its gRPC surface has."""

from __future__ import annotations

from collections.abc import Callable

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from api.authentication import Authenticator
from api.core import Core
from api.http.balances import Balances
from api.http.collections import Collections, Register
from api.http.disbursements import Disbursements
from api.http.door import RestDoor
from api.http.loans import Loans
from api.http.prompts import Prompts
from api.http.refusals import answer_invalid, answer_refused
from api.http.reversals import Reversals
from api.http.transactions import Transactions
from api.services.collection_commands import CollectionCommands
from api.services.collection_queries import CollectionQueries
from api.services.loan_commands import LoanCommands
from api.services.payout_commands import PayoutCommands, PayoutRequester
from api.services.prompts import PromptCommands
from api.services.returns import ReturnCommands
from api.wiring import Application
from ledger.loans.settling import LoanCounter


def add_facade(
    edge: FastAPI,
    application: Application,
    core: Core,
    *,
    authenticator: Authenticator,
    requester: PayoutRequester,
    register: Register | None,
    monotonic: Callable[[], float],
) -> None:
    """Adds the routes, and the form of their refusals. `register` is None where no worker runs."""
    door = RestDoor(authenticator, monotonic=monotonic)
    keys = application.receipt_keys
    payouts = PayoutCommands(core, requester=requester, party_keys=application.party_keys)
    collecting = CollectionCommands(core, recorder=application.receipt_recorder, keys=keys)
    prompting = PromptCommands(core, recorder=application.prompt_recorder, rules=application.prompt_rules)
    returning = ReturnCommands(core, recorder=application.return_recorder)
    lending = LoanCommands(
        core,
        desk=application.loan_desk,
        disburser=application.loan_disburser,
        counter=LoanCounter(days=application.loan_days),
    )
    for resource in (
        Disbursements(core, door=door, payouts=payouts),
        Prompts(core, door=door, commands=prompting),
        Collections(core, door=door, commands=collecting, register=register),
        Reversals(core, door=door, commands=returning),
        Loans(core, door=door, commands=lending),
        Transactions(core, door=door, receipts=CollectionQueries(core, keys=keys)),
        Balances(core, door=door),
    ):
        edge.include_router(resource.router())
    edge.add_exception_handler(RequestValidationError, answer_invalid)
    edge.add_exception_handler(HTTPException, answer_refused)
