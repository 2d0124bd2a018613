"""The results of the benchmark of promotions as tables, beside the aims. Formats; measures nothing."""

from __future__ import annotations

from tests.benchmarks.promotions import PER_SECOND, THREADS, Results
from tests.benchmarks.promotions_rig import PARTS
from tests.benchmarks.reporting import Report, Section, yes_or_no

MILLISECONDS_MAX = 200.0
_METHOD = """\
PostgreSQL, the roles of the service (`daftari serve --role grpc`, `http`, `worker`), two USSD gateways (`daftari
ussd`), the simulated MoMo wallet (`daftari sandbox`) and the client, which is the telco, are processes of one machine
and share its cores; settings are the shipped ones. The large batch is made, exported, activated and ended over gRPC by
one core, before there is a worker. Redemptions are USSD sessions of three hops over HTTP (dial, choose, type the
code), {pace} sessions begun each second whether or not those before were answered, for {seconds:g} s, {rounds} times;
their payouts go to the wallet meanwhile, are called back and asked about. In the races {threads} threads type one code
at the same moment, each for a phone of its own, half over each of two gateways, which have a core each."""
_CODES_NOTE = """\
Codes go in by parts of 5,000, a transaction each. Bytes are those of the tables of codes and of sealed sheets, with
indexes. Activation and expiry are one entry and one row each, whatever the number of codes."""
_PACE_NOTE = """\
Milliseconds, medians of the rounds. The answer is the screen after the code: it comes when redemption, entry and
payout are committed. A hop is any of the three screens."""
_PROFILE_NOTE = (
    "Microseconds of processor time that one redemption takes of each part, three hops and its payout included."
)


def promotions_report(results: Results, *, command: str) -> Report:
    """Everything found."""
    plan, counts = results.plan, results.counts
    return Report(
        title="Promotions",
        command=command,
        method=_METHOD.format(pace=PER_SECOND, seconds=plan.seconds, rounds=plan.rounds, threads=THREADS),
        facts=results.facts,
        sections=[_codes(results), _pace(results), _profile(results), _races(results)],
        verdict=(
            f"{results.thanked:,} phones were thanked, {counts.redeemed:,} codes redeemed, {counts.payouts:,} payouts "
            f"bound, {counts.paid:,} paid, {results.transfers:,} transfers made by the wallet; "
            f"{'the books agree' if results.agrees else 'the books do not agree'}."
        ),
        sound=results.sound,
    )


def _codes(results: Results) -> Section:
    large = results.large
    row = [
        f"{large.codes:,}", f"{large.making:,.1f}", f"{large.codes / large.making:,.0f}", f"{large.exporting:,.1f}",
        f"{large.activating * 1e3:,.0f}", f"{large.expiring * 1e3:,.0f}", f"{large.megabytes_before:,.0f}",
        f"{large.megabytes_most:,.0f}", f"{large.bytes_per_code:,.0f}",
    ]  # fmt: skip
    columns = (
        ">codes", ">made in s", ">a second", ">exported in s", ">activated in ms", ">expired in ms", ">core before, MB",
        ">core at most, MB", ">bytes per code",
    )  # fmt: skip
    return Section("One batch", columns, [row], _CODES_NOTE)


def _pace(results: Results) -> Section:
    answers, hops = results.answers, results.hops
    p99 = answers.percentile(99)
    slowest = max(sample.percentile(100) for sample in answers.samples)
    row = [
        f"{answers.rate:,.0f}", f"{answers.percentile(50):,.0f}", f"{p99:,.0f}", f"{slowest:,.0f}",
        f"{hops.percentile(50):,.0f}", f"{hops.percentile(99):,.0f}", f"{results.behind:,.1f}",
        f"p99 <= {MILLISECONDS_MAX:.0f} ms", yes_or_no(p99 <= MILLISECONDS_MAX),
    ]  # fmt: skip
    columns = (
        ">redemptions a second", ">answer p50", ">answer p99", ">slowest", ">hop p50", ">hop p99",
        ">last paid after, s", "aim", "reached",
    )  # fmt: skip
    return Section(f"{PER_SECOND} redemptions a second over USSD", columns, [row], _PACE_NOTE)


def _profile(results: Results) -> Section:
    taken = [results.answers.processor(part) for part in PARTS]
    row = [*(f"{one:,.0f}" for one in taken), f"{sum(taken):,.0f}"]
    return Section("Where the time goes", (*(f">{part}" for part in PARTS), ">all"), [row], _PROFILE_NOTE)


def _races(results: Results) -> Section:
    races = results.races
    row = [
        f"{races.codes:,}", str(THREADS), f"{races.won_once:,}", f"{races.attempts:,}", f"{races.seconds:,.0f}",
        yes_or_no(races.won_once == races.codes),
    ]  # fmt: skip
    columns = (">codes", ">threads at each", ">with one winner", ">attempts", ">seconds", "all")
    return Section("Races for one code", columns, [row])
