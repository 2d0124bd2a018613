"""The books benchmark: what reading and posting cost as the books grow, and what an entry takes on disk."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from datetime import timedelta

from sqlalchemy import text

from ledger.database import transaction
from ledger.journal.verify import VerifyReport
from tests.benchmarks.entries import Transfer, Transfers, account_specs
from tests.benchmarks.footprint import TableSize, table_sizes
from tests.benchmarks.inside import Inside
from tests.benchmarks.loader import LINES_PER_ENTRY, load_books, sets_of
from tests.benchmarks.machine import machine_facts, server_facts
from tests.benchmarks.measuring import Measured, Plan, Variant, interleave, runs_of
from tests.benchmarks.over_grpc import OverGrpc
from tests.benchmarks.reading import Reading
from tests.benchmarks.rig import CLIENT, Rig, open_rig

BULK, CROWD, SETS = "PostEntries of 1,000, hot", "PostEntry, uniform, 64 in flight", "in process, hot, sets of 1,000"
_SUBJECTS = text("""
SELECT pg_relation_size('journal_entries_transition_is_unique')::float8 / (SELECT count(*) FROM journal_entries)
""")
_HISTORY = timedelta(days=90)
# Loaded entries end so long before now that what is posted afterwards follows them.
_REST = timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class BooksPlan:
    """Books of so many postings, the smallest first, and how long to read and post."""

    postings: Sequence[int]
    reading: Plan
    posting: Plan


QUICK = BooksPlan(
    postings=(200, 2_000),
    reading=Plan(rounds=1, seconds=0.05, warmup_seconds=0.02),
    posting=Plan(rounds=1, seconds=0.2, warmup_seconds=0.1),
)
FULL = BooksPlan(
    postings=(1_000, 1_000_000),
    reading=Plan(rounds=5, seconds=0.6, warmup_seconds=0.3),
    posting=Plan(rounds=5, seconds=1.8, warmup_seconds=1.0),
)
LARGE = replace(FULL, postings=(1_000, 1_000_000, 10_000_000))


@dataclass(frozen=True, slots=True, kw_only=True)
class Shelf:
    """Books of one size, and all that was found of them. `sizes` is as loaded, `subject_bytes` the part of it that
    finds entries by their subjects; `verified` is after everything."""

    postings: int
    sizes: Sequence[TableSize]
    subject_bytes: float
    reading: Mapping[str, Measured]
    posting: Mapping[str, Measured]
    verified: VerifyReport


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """The smallest books first; only the smallest and the largest were posted to."""

    plan: BooksPlan
    shelves: Sequence[Shelf]
    facts: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Open:
    """Books of one size while they are being measured."""

    postings: int
    rig: Rig
    sizes: Sequence[TableSize]
    subject_bytes: float
    reading: Mapping[str, Variant]
    posting: Mapping[str, Variant]


@dataclass(slots=True)
class _RandomTransfers(Transfers):
    """Under request ids chosen at random, as clients choose them and as the loaded ones were."""

    def _into_wallet(self, debited: str) -> Transfer:
        # Named in full: a dataclass with slots is another class than the one whose body this is.
        return replace(Transfers._into_wallet(self, debited), request_id=secrets.token_hex(16))


async def measure(plan: BooksPlan, *, starting: Callable[[int], None], told: Callable[[str], None]) -> Results:
    """Builds the books, each in a PostgreSQL of its own, reads all of them in turns, then posts to the smallest and the
    largest in turns, then rebuilds every one from its postings."""
    async with AsyncExitStack() as stack:
        told("starting PostgreSQL and the services")
        rigs = [await stack.enter_async_context(open_rig(account_specs())) for _ in plan.postings]
        application = rigs[0].application
        facts = {**machine_facts(application.settings.data_directory), **await server_facts(application.engine)}
        starting(sum(sets_of(one // LINES_PER_ENTRY) for one in plan.postings))
        shelves = [await _load(rig, postings, told) for rig, postings in zip(rigs, plan.postings, strict=True)]
        readings, postings = _readings(shelves), _postings(shelves)
        starting(runs_of(readings, plan=plan.reading) + runs_of(postings, plan=plan.posting))
        read = await interleave(readings, plan=plan.reading, told=told, meter=_meter(rigs))
        posted = await interleave(postings, plan=plan.posting, told=told, meter=_meter(rigs))
        told("rebuilding the books from their postings")
        found = [await _found(shelf, read, posted) for shelf in shelves]
        return Results(plan=plan, shelves=found, facts=facts)


async def _load(rig: Rig, postings: int, told: Callable[[str], None]) -> _Open:
    last_at = rig.application.now() - _REST
    books = await load_books(
        rig.owner_url,
        ledger=rig.ledger,
        entries=postings // LINES_PER_ENTRY,
        first_at=last_at - _HISTORY,
        last_at=last_at,
        told=told,
    )
    size = f"{postings:,} postings"
    async with transaction(rig.application.engine) as connection:
        subject_bytes = (await connection.execute(_SUBJECTS)).scalar_one()
    return _Open(
        postings=postings,
        rig=rig,
        sizes=await table_sizes(rig.application.engine),
        subject_bytes=subject_bytes,
        reading=Reading(rig, books, size=size).variants(),
        posting=_ways_to_post(rig, size=size),
    )


def _ways_to_post(rig: Rig, *, size: str) -> Mapping[str, Variant]:
    transfers = _RandomTransfers("books")
    over_grpc = OverGrpc(rig, transfers)
    ways = {
        BULK: over_grpc.bulk(in_flight=2),
        CROWD: over_grpc.unary_uniform(in_flight=64),
        SETS: Inside(rig, transfers).sets(),
    }
    return {name: replace(way, name=f"{name}, {size}") for name, way in ways.items()}


def _readings(shelves: Sequence[_Open]) -> list[Variant]:
    """What is compared with each other stands together."""
    return [shelf.reading[name] for name in shelves[0].reading for shelf in shelves]


def _postings(shelves: Sequence[_Open]) -> list[Variant]:
    return [shelf.posting[name] for name in shelves[0].posting for shelf in (shelves[0], shelves[-1])]


def _meter(rigs: Sequence[Rig]) -> Callable[[], Mapping[str, float]]:
    """One rig works at a time; the client is the same process for all of them."""

    def meter() -> Mapping[str, float]:
        parts: dict[str, float] = {}
        for rig in rigs:
            for part, seconds in rig.processor_seconds().items():
                parts[part] = parts.get(part, 0.0) * (part != CLIENT) + seconds
        return parts

    return meter


async def _found(shelf: _Open, read: Mapping[str, Measured], posted: Mapping[str, Measured]) -> Shelf:
    return Shelf(
        postings=shelf.postings,
        sizes=shelf.sizes,
        subject_bytes=shelf.subject_bytes,
        reading={name: read[variant.name] for name, variant in shelf.reading.items()},
        posting={name: posted[way.name] for name, way in shelf.posting.items() if way.name in posted},
        verified=await shelf.rig.verified(),
    )
