"""The posting benchmark: what a durable entry costs alone, in a crowd, streamed and in bulk, and beside what."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass

from api.commands.serve import spare_the_collector
from ledger.journal.verify import VerifyReport
from tests.benchmarks.entries import Transfers, account_specs
from tests.benchmarks.footprint import KEYS, TableSize, table_sizes
from tests.benchmarks.inside import Inside
from tests.benchmarks.machine import machine_facts, resident_megabytes, server_facts
from tests.benchmarks.measuring import Measured, Plan, Variant, interleave, runs_of
from tests.benchmarks.over_grpc import OverGrpc
from tests.benchmarks.rig import Rig, open_rig

IN_FLIGHT = (1, 8, 64, 256)
CROWD = 64
COPIED_SETS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Variants:
    """Everything that is compared. Each is measured at every round."""

    echo: Mapping[int, Variant]
    unary: Mapping[int, Variant]
    uniform: Variant
    streamed: Variant
    streamed_many: Variant
    bulk: Variant
    alone: Variant
    transaction_per_call: Variant
    sets: Variant
    copied: Variant

    @property
    def in_turn(self) -> list[Variant]:
        """The order of a round: what is compared with each other stands together."""
        pairs = [one for number in IN_FLIGHT for one in (self.unary[number], self.echo[number])]
        crowd = [self.uniform, self.transaction_per_call]
        many = [self.streamed, self.streamed_many, self.bulk]
        return [self.alone, *pairs[:6], *crowd, *pairs[6:], *many, self.copied, self.sets]

    @property
    def ways(self) -> list[Variant]:
        """The ways to post that stand beside each other in the tables."""
        crowd = [self.unary[CROWD], self.uniform, self.streamed, self.streamed_many, self.bulk]
        return [*crowd, self.transaction_per_call, self.unary[1], self.alone, self.sets, self.copied]


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """What one run found. `memory` is the service's before and after, in megabytes; None where no system tells."""

    plan: Plan
    variants: Variants
    by_name: Mapping[str, Measured]
    sizes: list[TableSize]
    memory: tuple[float | None, float | None]
    books: VerifyReport
    facts: Mapping[str, str]

    def of(self, variant: Variant) -> Measured:
        """The rounds of a variant."""
        return self.by_name[variant.name]

    @property
    def entry_bytes(self) -> float:
        """Bytes on disk per entry: header, lines, what they change of balances and days, and all indexes."""
        return sum(size.heap + size.indexes for size in self.sizes if size.name != KEYS)

    @property
    def key_bytes(self) -> float:
        """Bytes on disk per request id."""
        return sum(size.heap + size.indexes for size in self.sizes if size.name == KEYS)


async def measure(plan: Plan, *, starting: Callable[[int], None], told: Callable[[str], None]) -> Results:
    """Runs everything on a database of its own. `starting` hears how many runs come, `told` of each."""
    async with AsyncExitStack() as stack:
        told("starting PostgreSQL and the service")
        rig = await stack.enter_async_context(open_rig(account_specs()))
        facts = {**machine_facts(rig.application.settings.data_directory), **await server_facts(rig.application.engine)}
        variants = await _variants(rig, stack)
        await rig.analyze()
        spare_the_collector()  # as the service does: the posting engine runs in this process too
        memory_at_start = resident_megabytes(rig.server.pid)
        starting(runs_of(variants.in_turn, plan=plan))
        by_name = await interleave(variants.in_turn, plan=plan, told=told, meter=rig.processor_seconds)
        told("rebuilding the books from their postings")
        return Results(
            plan=plan,
            variants=variants,
            by_name=by_name,
            sizes=await table_sizes(rig.application.engine),
            memory=(memory_at_start, resident_megabytes(rig.server.pid)),
            books=await rig.verified(),
            facts=facts,
        )


async def _variants(rig: Rig, stack: AsyncExitStack) -> Variants:
    over_grpc, inside = OverGrpc(rig, Transfers("grpc")), Inside(rig, Transfers("inside"))
    return Variants(
        echo={number: over_grpc.echo(in_flight=number) for number in IN_FLIGHT},
        unary={number: over_grpc.unary(in_flight=number) for number in IN_FLIGHT},
        uniform=over_grpc.unary_uniform(in_flight=CROWD),
        streamed=over_grpc.streamed(streams=4, window=250),
        streamed_many=over_grpc.streamed(streams=4, window=8, size=100),
        bulk=over_grpc.bulk(in_flight=2),
        alone=inside.transaction_per_call(in_flight=1),
        transaction_per_call=inside.transaction_per_call(in_flight=CROWD),
        sets=inside.sets(),
        copied=await stack.enter_async_context(inside.raw_copy(sets=COPIED_SETS)),
    )
