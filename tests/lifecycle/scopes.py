"""How much is searched: small surroundings in every test run, and all of it at length, each to its end."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from ledger.payouts.payout import Event, State
from tests.lifecycle.world import Surroundings

_PAYS_REPEATS, _REFUSES_REPEATS = Surroundings(refuses_repeats=False), Surroundings(refuses_repeats=True)

# Two workers, callback, poller, partner and operator are in all of them; together these ask every cell that can be.
SMALL: Mapping[str, Surroundings] = MappingProxyType(
    {
        "a liar, a wrong receipt": _PAYS_REPEATS._replace(lies=True, mistypes=True, crashes_max=1),
        "a liar, large payouts": _PAYS_REPEATS._replace(lies=True, confirms=True, crashes_max=1, pauses_max=0),
        "repeats refused": _REFUSES_REPEATS._replace(crashes_max=1),
        "repeats refused, a call held for not sent": _REFUSES_REPEATS._replace(
            misjudges=True, crashes_max=1, pauses_max=0
        ),
        "repeats refused, a call held for not sent, large payouts": _REFUSES_REPEATS._replace(
            misjudges=True, confirms=True, crashes_max=0, pauses_max=0
        ),
    }
)
# Two crashes and a pause that outlasts a lease.
FULL: Mapping[str, Surroundings] = MappingProxyType(
    {
        "a liar, a wrong receipt": _PAYS_REPEATS._replace(lies=True, mistypes=True),
        "a liar, a wrong receipt, large payouts": _PAYS_REPEATS._replace(lies=True, mistypes=True, confirms=True),
        "repeats refused, a liar, a wrong receipt": _REFUSES_REPEATS._replace(lies=True, mistypes=True),
        "repeats refused, a liar, a call held for not sent": _REFUSES_REPEATS._replace(lies=True, misjudges=True),
    }
)

_WHILE_A_CALL_IS_OUT = "while a call is out the payout is not there: who takes its lease over finds it lost"
_NO_TWO_FATES = "no provider refuses the one request that it takes in, and nothing of ours is sent after its word"
# Cells of the state table that no order of steps asks, and why. They stand for the day one of these reasons falls.
NEVER_ASKED: Mapping[str, Mapping[Event, frozenset[State]]] = MappingProxyType(
    {
        "the instruction ends in the commit that moves the payout on, so nothing else is ever started": {
            Event.STARTED: frozenset(State) - {State.RESERVED},
        },
        _WHILE_A_CALL_IS_OUT: {
            Event.ACKNOWLEDGED: frozenset({State.RESERVED, State.CANCELLED}),
            Event.NOT_SENT: frozenset({State.RESERVED, State.CANCELLED}),
            Event.REJECTED: frozenset({State.RESERVED, State.CANCELLED}),
            Event.UNCLEAR: frozenset({State.CANCELLED}),
        },
        _NO_TWO_FATES: {
            Event.ACKNOWLEDGED: frozenset({State.SUBMITTED}),
            Event.NOT_SENT: frozenset({State.SUBMITTED}),
            Event.REJECTED: frozenset({State.SUBMITTED, State.SETTLED, State.CONFLICTED}),
        },
        "money in suspense is decided about, and only late successes put it there": dict.fromkeys(
            (Event.CHARGED, Event.CLAWED_BACK, Event.REFUTED),
            frozenset(State) - {State.SETTLED, State.CONFLICTED},
        ),
    }
)
