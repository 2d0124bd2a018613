"""Cuts at COMMIT: a real service behind the proxy, callers that repeat, and what must be so afterwards."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import cycle

from sqlalchemy import make_url

from tests.fix_database import Database
from tests.journeys.processes import SECONDS_MAX, running
from tests.journeys.scene import Scene
from tests.ledger.test_database import Cut
from tests.torture.callers import payout_requesters, posters, until
from tests.torture.plain import read_books
from tests.torture.proxy import CuttingProxy

CLIENTS = 2
# Of how many COMMITs one is cut: enough go through for the callers to get on.
_EVERY = 3


@dataclass(frozen=True, slots=True)
class CutsTold:
    """What came of it: cuts by place, requests answered, times a caller had to repeat, and what was wrong."""

    before: int
    after: int
    posted: int
    requested: int
    interrupted: int
    repeated: int
    faults: list[str]


class Shears:
    """Cuts in turn before and after, one COMMIT of a few, until there were enough of both."""

    def __init__(self, proxy: CuttingProxy, *, each: int) -> None:
        self._proxy = proxy
        self._each = each
        self._commits = 0
        self._turns = cycle(Cut)

    @property
    def done(self) -> bool:
        """Whether there were enough."""
        return all(self._proxy.cuts[cut] >= self._each for cut in Cut)

    def choose(self) -> Cut | None:
        """What befalls the COMMIT that comes now."""
        self._commits += 1
        return None if self.done or self._commits % _EVERY else next(self._turns)


async def cut_at_commit(
    scene: Scene, database: Database, *, each: int, seed: int, tell: Callable[[int], None] = lambda _: None
) -> CutsTold:
    """At least `each` cuts before, and as many after COMMIT, under posts and payout requests. `tell` hears of cuts."""
    proxy = CuttingProxy(make_url(scene.settings["database_url"]))
    shears = Shears(proxy, each=each)
    posting = posters(scene, clients=CLIENTS, seed=seed)
    requesting = payout_requesters(scene, clients=CLIENTS, seed=seed + 1)

    def enough() -> bool:
        tell(proxy.cuts.total())
        return shears.done

    async with proxy.listening() as url:
        service = scene.service("grpc", database_url=url.render_as_string(hide_password=False))
        async with running(service):
            proxy.choose = shears.choose
            async with posting.calling(), requesting.calling():
                await until(enough, seconds_max=10 * SECONDS_MAX)
            proxy.choose = lambda: None
            interrupted = posting.interrupted + requesting.interrupted
            repeated = await posting.repeat_all() + await requesting.repeat_all()
            assert await service.stop() == 0
    books = read_books(database.admin)
    faults = books.faults()
    faults += [f"{one} was answered in two ways" for one in posting.contradicted + requesting.contradicted]
    faults += _differences("entries", set(books.entries), set(posting.acknowledged))
    faults += _differences("payouts", set(books.payouts), set(requesting.acknowledged))
    return CutsTold(
        before=proxy.cuts[Cut.BEFORE_COMMIT_ARRIVES],
        after=proxy.cuts[Cut.AFTER_COMMIT_IS_DONE],
        posted=len(posting.acknowledged),
        requested=len(requesting.acknowledged),
        interrupted=interrupted,
        repeated=repeated,
        faults=faults,
    )


def _differences(what: str, stored: set[str], acknowledged: set[str]) -> list[str]:
    lost, unheard = acknowledged - stored, stored - acknowledged
    found = [f"{len(lost)} {what} were acknowledged and are lost"] * bool(lost)
    return found + [f"{len(unheard)} {what} are booked and were never acknowledged"] * bool(unheard)
