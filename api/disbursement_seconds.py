"""The histogram of how long payouts took, fed at each scrape by what settled since the last: whichever process settled
it, the process that is scraped tells of it."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client.core import HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from ledger.database import Driver
from ledger.payouts.durations import Took, settled_since

# Seconds. A wallet pays within seconds; what was unknown is known after minutes, hours or a statement.
BOUNDS = (1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 900.0, 3_600.0, 14_400.0, 86_400.0)
_EDGES = (*(str(bound) for bound in BOUNDS), "+Inf")


class DisbursementSeconds(Collector):
    """Counts since this process was scraped first."""

    def __init__(self) -> None:
        self._since: str | None = None
        self._counts: dict[tuple[str, str], list[int]] = {}
        self._seconds: dict[tuple[str, str], float] = {}

    async def follow(self, driver: Driver) -> None:
        """Counts what settled since the last time."""
        since = self._since
        position, found = await settled_since(driver, since=since, bounds=BOUNDS)
        if self._since != since:
            return  # another scrape was faster, and has counted these
        self._since = position
        for one in found:
            self._add(one)

    def _add(self, took: Took) -> None:
        place = took.ledger_code, took.rail
        counts = self._counts.setdefault(place, [0] * len(_EDGES))
        for index in range(took.bucket, len(counts)):  # each bucket holds those before it
            counts[index] += took.count
        self._seconds[place] = self._seconds.get(place, 0.0) + took.seconds

    def collect(self) -> Iterable[Metric]:
        """One family, a series per ledger and rail."""
        family = HistogramMetricFamily(
            "daftari_disbursement_seconds", "From a payout's request to its settlement", labels=("ledger", "rail")
        )
        for place, counts in self._counts.items():
            family.add_metric(place, list(zip(_EDGES, counts, strict=True)), self._seconds[place])
        yield family
