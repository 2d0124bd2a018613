"""The first menu: what is on offer here, and where each choice leads."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeAlias

from api.ussd.choosing import choose
from api.ussd.conversation import Talk
from api.ussd.core import CoreRefused, CoreSlow
from api.ussd.lending import Lending
from api.ussd.redeeming import Redeeming
from api.ussd.screens import Screen
from api.ussd.texts import Text

Menu: TypeAlias = Callable[[Talk], Awaitable[Screen]]


@dataclass(frozen=True, slots=True)
class Menus:
    """The services on offer under a name; None for what is not."""

    name: str
    redeeming: Redeeming | None
    lending: Lending | None

    async def converse(self, talk: Talk) -> Screen:
        """From the first screen to the last. Raises Asked where the caller's next answer is wanted."""
        items = self._items()
        chosen = choose(talk, Text.WELCOME, [text for text, _ in items], name=self.name)
        try:
            return await items[chosen][1](talk)
        except CoreSlow:
            return talk.end(Text.TRY_LATER)
        except CoreRefused:
            return talk.end(Text.NOT_POSSIBLE)

    def _items(self) -> list[tuple[Text, Menu]]:
        items: list[tuple[Text, Menu]] = []
        if self.redeeming is not None:
            items.append((Text.REDEEM, self.redeeming.redeem))
        if (lending := self.lending) is not None:
            items += [
                (Text.BALANCE, lending.balance),
                (Text.ASK_LOAN, lending.ask),
                (Text.APPROVE_LOANS, lending.lend),
            ]
        return items
