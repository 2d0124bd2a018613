"""The truth of the simulated providers: every message that was sent to somebody, what it cost, what was reported.

Keeps what a phone shows; gives out no credential. What a number's last three digits do stands in BEHAVIOURS."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field
from urllib.parse import urlencode

from adapters.sandbox.courier import Courier, Parcel
from adapters.sandbox.faults import CallbackFaults, Journey
from adapters.sandbox.settings import Clock
from adapters.sandbox.world import Delivery

AFRICASTALKING, PINDO = "africastalking", "pindo"
SMS_USERNAME, SMS_KEY = "sandbox", "atsk_daftari_sandbox"

# By the last three digits of a number; any other is sent and delivered.
BEHAVIOURS = {
    "901": ("invalid-number", "refused: InvalidPhoneNumber, with HTTP 201"),
    "902": ("blacklisted", "refused: UserInBlacklist, with HTTP 201"),
    "903": ("no-balance", "refused: InsufficientBalance, with HTTP 201, and nothing sent"),
    "904": ("invalid-sender", "refused: InvalidSenderId, with HTTP 201 and no recipients"),
    "905": ("answer-lost", "sent, and the connection cut before the answer"),
    "906": ("error-yet-sent", "sent, and answered with HTTP 500"),
    "907": ("undelivered", "sent; its report says Failed, UserIsInactive"),
    "908": ("unreported", "sent; no report comes"),
    "909": ("reported-twice", "sent and delivered; its report comes twice"),
    "910": ("access-refused", "HTTP 401, and nothing sent"),
    "911": ("report-first", "sent; its report comes before the answer"),
}
DELIVERED = "delivered"


@dataclass(frozen=True, slots=True)
class Sent:
    """A message that a phone got, or would have."""

    provider: str
    number: int
    message_id: str
    to: str = field(repr=False)
    text: str = field(repr=False)
    sender: str
    behaviour: str


class SmsSimulation:
    """Both providers. Everything in it comes from the clock and randomness given."""

    def __init__(
        self,
        *,
        clock: Clock,
        randomness: random.Random,
        callback_delay_seconds: float,
        callback_timeout_seconds: float,
    ) -> None:
        self.clock = clock
        self._random = randomness
        self._callbacks = CallbackFaults(delay_seconds=callback_delay_seconds)
        self.courier = Courier(world=self, faults=self, timeout_seconds=callback_timeout_seconds)
        self.reports_to: dict[str, str] = {}
        self.start_over()

    def start_over(self) -> None:
        """Nothing sent, nothing scripted; the addresses for reports stay."""
        self.sent: list[Sent] = []
        self.calls: Counter[str] = Counter()
        self.deliveries: list[Delivery] = []
        self.scripted: Counter[str] = Counter()

    def note_delivery(self, delivery: Delivery) -> None:
        """Keeps what became of a report."""
        self.deliveries.append(delivery)

    def journey(self) -> Journey:
        """What the next report meets."""
        return Journey(self._callbacks.delay_seconds, copies=1)

    def choose(self, to: str) -> str:
        """What happens to the next message: scripted first, then by its number."""
        for name, count in self.scripted.items():
            if count > 0:
                self.scripted[name] -= 1
                return name
        return BEHAVIOURS.get(to[-3:], (DELIVERED, ""))[0]

    def send(self, provider: str, *, to: str, text: str, sender: str, behaviour: str) -> Sent:
        """The phone gets it."""
        number = len(self.sent) + 1
        message_id = f"ATXid_{self._random.getrandbits(128):032x}" if provider == AFRICASTALKING else str(number)
        sent = Sent(provider, number, message_id, to, text, sender, behaviour)
        self.sent.append(sent)
        return sent

    def reports(self, sent: Sent) -> list[Parcel]:
        """What is called back about it."""
        copies = {"unreported": 0, "reported-twice": 2}.get(sent.behaviour, 1)
        is_failed = sent.behaviour == "undelivered"
        bodies = _of_africastalking(sent, is_failed) if sent.provider == AFRICASTALKING else _of_pindo(sent, is_failed)
        # An account has one address; the sandbox's one account stands for as many as there are senders.
        url = self.reports_to.get(f"{sent.provider}/{sent.sender}") or self.reports_to.get(sent.provider)
        parcels = [Parcel(sent.number, "report", url, body, content_type=kind) for body, kind in bodies] if url else []
        return parcels * copies


def sms_credentials() -> str:
    """What clients are given."""
    return f"{SMS_KEY}, username {SMS_USERNAME}"


def _of_africastalking(sent: Sent, is_failed: bool) -> list[tuple[bytes, str]]:
    fields = {"id": sent.message_id, "phoneNumber": sent.to, "networkCode": "99999", "retryCount": "0"}
    last = {"status": "Failed", "failureReason": "UserIsInactive"} if is_failed else {"status": "Success"}
    told = [fields | {"status": "Buffered"}, fields | last]
    return [(urlencode(one).encode(), "application/x-www-form-urlencoded") for one in told]


def _of_pindo(sent: Sent, is_failed: bool) -> list[tuple[bytes, str]]:
    status = "UNDELIV" if is_failed else "DELIVRD"
    body = f'{{"status":"{status}","sms_id":{sent.message_id},"modified_at":"02-11-2026, 23:35:32","retries_count":0}}'
    return [(body.encode(), "application/json")]
