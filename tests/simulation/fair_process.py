"""A process of ours in a history of promotions: the MoMo rail, the doors of payouts, and all of promotions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx

from adapters.balances import BalanceWatch
from adapters.dispatch import DispatchSettings
from adapters.inbound import Inbound
from adapters.momo.client import MomoRail
from adapters.momo.collections import MomoCollections
from adapters.momo.credentials import ConstantSecrets, MomoAccess, MomoSecrets
from adapters.momo.session import MomoSession
from adapters.promotion_watch import PromotionWatch
from adapters.provider import PayoutRail
from adapters.silence import SilenceWatch
from adapters.transport import Secret
from api.promoting import PromotionParts
from ledger.parties import PartyKeys
from ledger.sealing import Sealer
from tests.simulation.books import SECRET
from tests.simulation.fair_books import LIMITS, parts_of
from tests.simulation.parts_of_money_in import MoneyIn
from tests.simulation.processes import (
    BALANCE_INTERVAL,
    LEASE,
    PUBLIC_URL,
    RESULT_DEADLINE,
    SCHEDULE,
    WORKS,
    Process,
    Work,
)
from tests.simulation.wallet import ENVIRONMENT, WALLET, WalletLine


class FairProcess(Process):
    """See Process."""

    @property
    def promotions(self) -> PromotionParts:
        """Everything about promotions."""
        found: PromotionParts = self.parts["promotions"]
        return found

    def _make(self) -> dict[str, Any]:
        session = self._momo()
        rails: dict[str, PayoutRail] = {"momo": MomoRail(session, now=self.clock.now)}
        shared: dict[str, Any] = {"engine": self.engine, "ids": self.ids, "now": self.clock.now}
        keys, promotions = PartyKeys(SECRET), parts_of(self.ids, self.directory)
        money_in = MoneyIn(
            secret=SECRET,
            rails={"momo": MomoCollections(session, now=self.clock.now)},
            limits=LIMITS,
            directory=self.directory,
            tokens=self._token,
            public_url=PUBLIC_URL,
            dispatching=self._dispatching(),
            schedule=SCHEDULE,
            verify_above=None,
            **shared,
        )
        return {
            "dispatcher": self._dispatcher(rails, keys, shared),
            "inbound": Inbound(
                rails=rails,
                party_keys=keys,
                sealer=Sealer(SECRET, purpose="inbox messages"),
                recorder=self.recorder,
                collections=money_in.judge(),
                confirm_above=None,
                **shared,
            ),
            "silence": SilenceWatch(
                engine=self.engine, recorder=self.recorder, now=self.clock.now, patience=RESULT_DEADLINE
            ),
            "balances": BalanceWatch(
                rails=rails, tokens=self._token, public_url=PUBLIC_URL, interval=BALANCE_INTERVAL, **shared
            ),
            "deliverer": self._deliverer(shared),
            "promotions": promotions,
            "watch": PromotionWatch(
                engine=self.engine, expirer=promotions.expirer, retrier=promotions.retrier, now=self.clock.now
            ),
        }

    def _dispatching(self) -> DispatchSettings:
        return DispatchSettings(
            public_url=PUBLIC_URL, lease=LEASE, calls_max=self.surroundings.options.calls_max, rails=("momo",)
        )

    def _momo(self) -> MomoSession:
        line = self.surroundings.provider
        assert isinstance(line, WalletLine)
        now, *before = [f"https://{host}" for host in line.wallet.order]
        access = MomoAccess(
            base_url=now, target_environment=ENVIRONMENT, wallet=WALLET, old_base_url=before[0] if before else ""
        )
        secret = Secret("user:key")
        secrets = MomoSecrets(
            disbursement_subscription_key=secret, disbursement_credential=secret, old_disbursement_credential=secret
        )
        clients: Mapping[str, httpx.AsyncClient] = {
            one.name: httpx.AsyncClient(transport=line, base_url=one.base_url) for one in access.platforms
        }
        return MomoSession(access, secrets=ConstantSecrets(secrets), monotonic=self.clock.monotonic, clients=clients)


async def watch_promotions(process: Process) -> int:
    """One step of ending batches and paying again."""
    done: int = await process.parts["watch"].step()
    return done


# The batch's partner has no endpoint here: webhooks are what histories of payouts are about.
FAIR_WORKS: dict[str, Work] = {
    **{name: work for name, work in WORKS.items() if name != "webhooks"},
    "promotions": watch_promotions,
}
