"""Prometheus metrics: what the queues hold, read at each scrape, and what this process did, counted as it happens.

Labels are codes, states and names of ours: never an id, a number or a text of a payee or partner.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from sqlalchemy.ext.asyncio import AsyncEngine

from api.disbursement_seconds import DisbursementSeconds
from ledger import floats, operations
from ledger.clock import read_clock
from ledger.database import driver, transaction
from ledger.journal import books
from ledger.operations import OperationsStatus
from ledger.promotions.report import QUANTILES, seconds_to_pay

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
# The floats of this many ledgers are shown; queues and payouts of all.
LEDGERS_MAX = 500


class Metrics:
    """A registry of its own per process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.calls = Counter("daftari_grpc_calls", "gRPC calls answered", ("method", "code"), registry=self.registry)
        self.call_seconds = Histogram(
            "daftari_grpc_call_seconds", "Time to answer a gRPC call", ("method",), registry=self.registry
        )
        self.callbacks = Counter("daftari_callbacks", "Callbacks stored", ("rail", "kind"), registry=self.registry)
        self.redemption_attempts = Counter(
            "daftari_redemption_attempts", "Codes that phones typed, by result", ("result",), registry=self.registry
        )
        self._disbursements = DisbursementSeconds()
        self.registry.register(self._disbursements)
        self._answered: dict[tuple[str, str], tuple[Counter, Histogram]] = {}
        self._clock = self._gauge("daftari_clock_ahead_seconds", "This host's clock minus the database's")
        self._to_pay = self._gauge(
            "daftari_redemption_paid_seconds", "From redeemed to paid, within the last hour", "ledger", "quantile"
        )
        self._waiting = self._gauge("daftari_queue_waiting", "Items that wait", "ledger", "queue")
        self._oldest = self._gauge("daftari_queue_oldest_seconds", "Age of the oldest item", "ledger", "queue")
        self._payouts = self._gauge("daftari_payouts_open", "Payouts under way", "ledger", "state", "currency")
        self._amount = self._gauge(
            "daftari_payouts_open_minor_units", "Their amount in minor units", "ledger", "state", "currency"
        )
        self._float = self._gauge(
            "daftari_float_minor_units", "Float by the ledger",
            "ledger", "provider", "shortcode", "sub_account", "currency",
        )  # fmt: skip
        self._drift = self._gauge(
            "daftari_float_drift_minor_units",
            "Float by the ledger minus the provider's newest word",
            "ledger", "provider", "shortcode", "sub_account", "currency",
        )  # fmt: skip

    def answered(self, method: str, code: str, seconds: float) -> None:
        """Counts a gRPC call. The series of a method and a code are looked up once: that costs more than counting."""
        series = self._answered.get((method, code))
        if series is None:
            series = self.calls.labels(method, code), self.call_seconds.labels(method)
            self._answered[(method, code)] = series
        series[0].inc()
        series[1].observe(seconds)

    def _gauge(self, name: str, meaning: str, *labels: str) -> Gauge:
        return Gauge(name, meaning, labels, registry=self.registry)

    async def exposition(self, engine: AsyncEngine, *, now: Callable[[], datetime]) -> bytes:
        """The text a scraper reads, with the queues as they are now."""
        moment = now()
        async with transaction(engine) as connection:
            clock = await read_clock(connection, now=now)
            status = await operations.operations_status(connection, now=moment)
            session = await driver(connection)
            await self._disbursements.follow(session)
            # Looked up afterwards, so that a ledger which is opened meanwhile has its code here.
            named = await books.find_ledgers(connection, ids=status.ledger_ids)
            ledgers = await books.list_ledgers(connection, after_code="", limit=LEDGERS_MAX)
            paid = await seconds_to_pay(session, now=moment)
            positions = {one.code: await floats.float_positions(connection, ledger_id=one.id) for one in ledgers}
        self._to_pay.clear()
        for one in ledgers:
            for quantile, seconds in zip(QUANTILES, paid.get(one.id, ()), strict=False):
                self._to_pay.labels(one.code, quantile).set(seconds)
        self._clock.set(clock.ahead.total_seconds())
        self._set_queues(status, {ledger_id: one.code for ledger_id, one in named.items()}, moment)
        for gauge in (self._float, self._drift):
            gauge.clear()
        for code, found in positions.items():
            for position in found:
                labels = (code, position.provider, position.shortcode, position.sub_account, position.currency)
                self._float.labels(*labels).set(position.balance)
                if position.drift is not None:
                    self._drift.labels(*labels).set(position.drift)
        return generate_latest(self.registry)

    def _set_queues(self, status: OperationsStatus, codes: dict[int, str], moment: datetime) -> None:
        for gauge in (self._waiting, self._oldest, self._payouts, self._amount):
            gauge.clear()
        for queue in status.queues:
            labels = (codes[queue.ledger_id], queue.name)
            self._waiting.labels(*labels).set(queue.count)
            self._oldest.labels(*labels).set(max((moment - queue.oldest).total_seconds(), 0))
        for payouts in status.open_payouts:
            place = (codes[payouts.ledger_id], payouts.state, payouts.currency)
            self._payouts.labels(*place).set(payouts.count)
            self._amount.labels(*place).set(payouts.amount)
