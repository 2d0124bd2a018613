"""MTN MoMo as a history has it: transfers on two platforms, their truth, status reads that lag, callbacks that lie,
come twice, late or never. Owns the only truth of what was paid; shares no code with the adapter.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import httpx

from tests.simulation.actors import AFTER_RECEIVE, AFTER_SEND, BEFORE_SEND, Stage
from tests.simulation.clock import Clock
from tests.simulation.mail import Letter

WALLET, ENVIRONMENT, OPENING = "kigali", "mtnrwanda", 1_000_000
OLD, NEW = "old.momo.example.com", "new.momo.example.com"
PENDING, SUCCESSFUL, FAILED = "PENDING", "SUCCESSFUL", "FAILED"
_TRANSFER = "/disbursement/v1_0/transfer"

Troubled = Callable[[str, float], bool]


@dataclass(slots=True)
class Transfer:
    """One that was taken in; `fate` is what it comes to at `decided_at`."""

    host: str
    reference: str
    external_id: str
    msisdn: str
    amount: int
    callback_url: str
    fate: str
    decided_at: datetime
    status: str = PENDING
    receipt: str = ""

    def document(self, *, status: str = "", amount: int = 0) -> dict[str, object]:
        """As a status read or a callback tells it, or would if it were otherwise."""
        told = status or self.status
        document: dict[str, object] = {
            "externalId": self.external_id,
            "amount": str(amount or self.amount),
            "currency": "RWF",
            "payee": {"partyIdType": "MSISDN", "partyId": self.msisdn},
            "status": told,
        }
        if told == SUCCESSFUL:
            document["financialTransactionId"] = self.receipt or "999999999"
        if told == FAILED:
            document["reason"] = "PAYEE_NOT_ALLOWED_TO_RECEIVE"
        return document


@dataclass(slots=True)
class Wallet:
    """The wallet. `moved`: our access goes to the new platform first."""

    clock: Clock
    chance: random.Random
    troubled: Troubled
    moved: bool = False
    balance: int = OPENING
    transfers: dict[tuple[str, str], Transfer] = field(default_factory=dict)
    mail: list[Letter] = field(default_factory=list)
    receipts: int = 700_000_000

    @property
    def order(self) -> tuple[str, ...]:
        """The platform in use, then the one before."""
        return (NEW, OLD) if self.moved else (OLD,)

    def paid(self) -> list[Transfer]:
        """What really moved."""
        return [one for one in self.transfers.values() if one.status == SUCCESSFUL]

    def of(self, external_id: str) -> list[Transfer]:
        """All transfers under a name of ours."""
        return [one for one in self.transfers.values() if one.external_id == external_id]

    def answer(self, request: httpx.Request) -> tuple[int, bytes]:
        """What one call is answered with."""
        host, path = request.url.host, request.url.path
        if path == "/disbursement/token/":
            return _json(200, {"access_token": "t", "token_type": "access_token", "expires_in": 3_600})
        if self.troubled("token", 0.05):
            return _json(401, {"statusCode": 401, "message": "Unauthorized. Access token is not valid."})
        if path.endswith("/account/balance"):
            return _json(200, {"availableBalance": str(self.balance), "currency": "RWF"})
        if request.method == "POST" and path == _TRANSFER:
            return self._take_in(host, request.headers, json.loads(request.content))
        return self._tell(host, path.rpartition("/")[2])

    def _take_in(self, host: str, headers: Mapping[str, str], body: Mapping[str, object]) -> tuple[int, bytes]:
        reference = headers["x-reference-id"]
        if (host, reference) in self.transfers:
            return _json(409, {"code": "RESOURCE_ALREADY_EXIST", "message": "Duplicated reference id."})
        if self.troubled("access-refused", 0.03):
            return _json(500, {"code": "NOT_ALLOWED", "message": "Authorization failed."})
        declined = self.troubled("declined", 0.25)
        if declined and self.chance.random() < 0.3:
            return _json(500, {"code": "PAYEE_NOT_FOUND", "message": "Payee does not exist"})
        payee = body["payee"]
        assert isinstance(payee, dict)
        waits = self.chance.choice([0, 0, 2, 40, 900]) if self.troubled("query-pending", 0.4) else 0
        taken = Transfer(
            host=host,
            reference=reference,
            external_id=str(body["externalId"]),
            msisdn=str(payee["partyId"]),
            amount=int(str(body["amount"])),
            callback_url=headers.get("x-callback-url", ""),
            fate=FAILED if declined else SUCCESSFUL,
            decided_at=self.clock.now() + timedelta(seconds=waits),
        )
        self.transfers[host, reference] = taken
        self.work()
        return 202, b""

    def _tell(self, host: str, reference: str) -> tuple[int, bytes]:
        found = self.transfers.get((host, reference))
        if found is None or self.troubled("query-blind", 0.25):
            return _json(404, {"code": "RESOURCE_NOT_FOUND", "message": "Requested resource was not found."})
        if self.troubled("query-pending", 0.2):
            return _json(200, found.document(status=PENDING))
        return _json(200, found.document())

    def work(self) -> int:
        """Decides what is due, and writes callbacks; how many."""
        due = [one for one in self.transfers.values() if one.status == PENDING and one.decided_at <= self.clock.now()]
        for one in due:
            one.status = one.fate
            if one.fate == SUCCESSFUL:
                self.balance -= one.amount
                self.receipts += 1
                one.receipt = str(self.receipts)
            self._write(one)
        return len(due)

    def _write(self, transfer: Transfer) -> None:
        if self.troubled("callback-lost", 0.3) or not transfer.callback_url:
            return
        document = transfer.document()
        if self.troubled("false-failure", 0.15):
            document = transfer.document(status=FAILED if transfer.status == SUCCESSFUL else SUCCESSFUL)
        elif self.troubled("wrong-figure", 0.1):
            document = transfer.document(amount=transfer.amount * 10)
        late = self.chance.uniform(60, 7_000) if self.troubled("callback-late", 0.3) else self.chance.uniform(0, 3)
        letter = Letter(
            self.clock.now() + timedelta(seconds=late),
            transfer.callback_url,
            json.dumps(document).encode(),
            transfer.external_id,
        )
        self.mail += [letter] * (3 if self.troubled("callback-twice", 0.2) else 1)

    def collect(self) -> Letter | None:
        """The next letter that is due."""
        due = [one for one in self.mail if one.due <= self.clock.now()]
        if not due:
            return None
        letter = min(due, key=lambda one: one.due)
        self.mail.remove(letter)
        return letter

    def next_due(self) -> datetime | None:
        """When something happens next by itself."""
        moments = [one.due for one in self.mail]
        moments += [one.decided_at for one in self.transfers.values() if one.status == PENDING]
        return min(moments, default=None)


class WalletLine(httpx.AsyncBaseTransport):
    """What the adapter's HTTP clients speak into."""

    def __init__(self, wallet: Wallet, *, stage: Stage, troubled: Troubled) -> None:
        self.wallet = wallet
        self._stage = stage
        self._troubled = troubled

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """One exchange."""
        if request.url.path == "/disbursement/token/":
            return _response(*self.wallet.answer(request))
        await self._stage.point(BEFORE_SEND)
        if self._troubled("request-lost", 0.1):
            raise httpx.ReadTimeout("no answer", request=request)
        if self._troubled("error-before", 0.08):
            return _response(503, b"<html><body>Service Unavailable</body></html>")
        if self._troubled("throttled", 0.1):
            return _response(429, b"")
        status, body = self.wallet.answer(request)
        await self._stage.point(AFTER_SEND)
        if self._troubled("answer-lost", 0.15):
            raise httpx.ReadTimeout("no answer", request=request)
        if self._troubled("error-after", 0.1):
            status, body = _json(500, {"code": "INTERNAL_PROCESSING_ERROR", "message": "An internal error occurred."})
        await self._stage.point(AFTER_RECEIVE)
        return _response(status, body)


def _json(status: int, document: Mapping[str, object]) -> tuple[int, bytes]:
    return status, json.dumps(document).encode()


def _response(status: int, body: bytes) -> httpx.Response:
    return httpx.Response(status, stream=httpx.ByteStream(body))
