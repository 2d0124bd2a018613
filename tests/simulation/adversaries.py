"""Who means ill in a history, or at least does not help: forgers, replayers, strangers, a thief, impatient clients."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

from sqlalchemy.ext.asyncio import AsyncConnection

from ledger.collections import queries
from ledger.database import run
from ledger.errors import LedgerError
from ledger.journal.books import Ledger
from tests.simulation import clients, daraja_messages, operator, paybill_messages
from tests.simulation.books import Opened
from tests.simulation.mail import Letter
from tests.simulation.processes import Process

if TYPE_CHECKING:
    from tests.simulation.history import History

Act = Callable[[], Awaitable[None]]
NOBODY = 999_999
THEFTS = (50_000, 250_000, 700_000)


def acts(history: History, opened: Opened) -> Mapping[str, tuple[float, Act]]:
    """What each may do next, with its weight, by the trouble it is."""
    return {
        "forger": (0.8, lambda: forge(history, opened)),
        "replayer": (0.8, lambda: replay(history)),
        "stranger": (0.4, lambda: pry(history, opened)),
        "thief": (0.1, lambda: steal(history)),
        "repeater": (1.0, lambda: repeat(history, opened)),
        "canceller": (0.5, lambda: take_back(history, opened)),
        "operator": (0.6, lambda: decide(history, opened)),
        "access-refused": (0.5, lambda: mend(history, opened)),
        "receiver-down": (0.3, lambda: unplug(history)),
        "clock": (0.3, lambda: jump(history)),
    }


async def forge(history: History, opened: Opened) -> None:
    """A perfect success for a payout that is on its way, on a path that nobody was given."""
    orders = history.daraja.orders
    if not orders:
        return
    order = history.chance.choice(orders)
    body = daraja_messages.paid(
        originator=order.originator,
        conversation=order.conversation,
        receipt=f"UI9FORGE{history.chance.randrange(100):02d}",
        msisdn=order.msisdn,
        cents=order.cents,
        at=history.clock.now(),
        utility_cents=0,
    )
    token = f"{history.chance.getrandbits(256):064x}"
    url = f"https://edge.example.com/callbacks/{opened.ledger.id}/daraja/result/{token}"
    history.troubles["forger"] += 1
    await history.bring(Letter(history.clock.now(), url, body, f"{order.reference}, forged"))


async def forge_payment(history: History, opened: Opened) -> None:
    """A perfect confirmation, or the success of a prompt, on a path that nobody was given."""
    paybill, number = history.daraja.paybill, history.chance.randrange(100)
    at, receipt = history.clock.now(), f"UI9FORGE{number:02d}"
    body = paybill_messages.payment(
        receipt=receipt, cents=50_000, at=at, shortcode="600584", typed="W-ZURI", payer="254712345678",
        balance_cents=50_000,
    )  # fmt: skip
    kind = "confirmation"
    if paybill.asked and history.chance.random() < 0.5:
        prompt, kind = history.chance.choice(paybill.asked), "result"
        body = paybill_messages.prompt_paid(
            checkout=prompt.checkout, receipt=receipt, cents=prompt.cents, at=at, msisdn=prompt.msisdn
        )
    token = f"{history.chance.getrandbits(256):064x}"
    url = f"https://edge.example.com/callbacks/{opened.ledger.id}/daraja/{kind}/{token}"
    history.troubles["forger"] += 1
    await history.bring(Letter(at, url, body, f"{receipt}, forged"))


async def forge_on_the_true_path(history: History, opened: Opened) -> None:
    """Large money that never came, told where the provider tells: somebody knows the registered address."""
    paybill = history.daraja.paybill
    if not history.options.verifies or not paybill.confirmation_url:
        return
    receipt = f"UI9INSID{history.daraja.number():02d}"
    paybill.forged.append(receipt)
    typed = [*(one.typed for one in paybill.taken), *(one.typed for one in paybill.asked), "W-ZURI"]
    body = paybill_messages.payment(
        receipt=receipt, cents=450_000, at=history.clock.now(), shortcode="600584", typed=history.chance.choice(typed),
        payer="254712345678", balance_cents=450_000,
    )  # fmt: skip
    history.troubles["insider"] += 1
    await history.bring(Letter(history.clock.now(), paybill.confirmation_url, body, f"{receipt}, forged"))


async def look_at_order(process: Process, ledger: Ledger, stranger_id: int, order_id: int, told: list[str]) -> None:
    """Another partner asks for an order that is not its own."""

    async def command(connection: AsyncConnection) -> str:
        found = await queries.get_order(connection, ledger_id=ledger.id, partner_id=stranger_id, order_id=order_id)
        return f"saw {found.public_id}"

    try:
        told.append(await run(process.engine, command))
    except LedgerError as error:
        told.append(error.reason)


async def replay(history: History) -> None:
    """A true callback again: on its own path, or on another one that is true as well."""
    true_ones = [one for one in history.delivered if "forged" not in one.about]
    if not true_ones:
        return
    letter, other = history.chance.choice(true_ones), history.chance.choice(history.paths or [None])
    url = letter.url if other is None or history.chance.random() < 0.3 else other
    history.troubles["replayer"] += 1
    await history.bring(Letter(history.clock.now(), url, letter.body, f"{letter.about}, replayed"))


async def pry(history: History, opened: Opened) -> None:
    """A payout of another partner, or of none."""
    answered = [wish for wish in history.wishes if wish.answers]
    if not answered:
        return
    wish = history.chance.choice(answered)
    others = [one.id for one in opened.partners if one.id != wish.partner.id] or [NOBODY]
    told: list[str] = []
    work = clients.pry(history.processes["api"], opened.ledger, others[0], wish.answers[0], told)
    history.troubles["stranger"] += 1
    await history.act("api", "pry", work)
    history.told += [("stranger", one) for one in told]


async def steal(history: History, amounts: Sequence[int] = THEFTS) -> None:
    """Once or twice a history, some thousands of shillings."""
    history.troubles["thief"] += 1
    history.note("somebody pays past the books")
    history.daraja.steal(history.chance.choice(amounts))


async def repeat(history: History, opened: Opened) -> None:
    """A request again, as it was or changed."""
    if not history.wishes:
        return
    wish = history.chance.choice(history.wishes)
    api = history.processes["api"]
    history.troubles["repeater"] += 1
    if wish.answers and history.chance.random() < 0.4:
        told: list[str] = []
        await history.act("api", "ask changed", clients.ask_changed(api, opened.ledger, wish, told))
        history.told += [("changed", one) for one in told]
    else:
        await history.act("api", f"ask {wish.number} again", clients.ask(api, opened.ledger, wish))


async def take_back(history: History, opened: Opened) -> None:
    """A payout that may have left."""
    answered = [wish for wish in history.wishes if wish.answers]
    if answered:
        wish = history.chance.choice(answered)
        history.troubles["canceller"] += 1
        work = clients.take_back(history.processes["api"], opened.ledger, wish.answers[0])
        await history.act("api", f"cancel {wish.number}", work)


async def decide(history: History, opened: Opened) -> None:
    """A case that lies open."""
    work = operator.close_a_case(history.processes["api"], opened.ledger, history.daraja, history.chance)
    history.troubles["operator"] += 1
    await history.act("api", "decide a case", work)


async def mend(history: History, opened: Opened) -> None:
    """Our access to the provider."""
    await history.act("api", "resume", operator.resume(history.processes["api"], opened.ledger))


async def unplug(history: History) -> None:
    """A partner's receiver, for minutes or days."""
    for receiver in history.receivers.values():
        seconds = history.chance.choice([60, 3_600, 86_400, 259_200])
        receiver.away_until = history.clock.now() + timedelta(seconds=seconds)
        history.troubles["receiver-down"] += 1
        history.note(f"the receiver is away for {seconds} s")


async def jump(history: History) -> None:
    """A process's clock, by some seconds, backwards too."""
    process = history.chance.choice(sorted(history.processes))
    skew = history.chance.uniform(-4, 4)
    history.processes[process].clock.skew = timedelta(seconds=skew)
    history.troubles["clock"] += 1
    history.note(f"the clock of {process} is off by {skew:.1f} s")
