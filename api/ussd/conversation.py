"""A conversation with one caller, told anew from its beginning at every hop.

A menu is a coroutine that asks and calls; `Talk` gives it the answers the caller has given so far and the answers the
core gave before, and stops it at the first question without an answer. So a menu reads from top to bottom, nothing need
be stored, and a gateway that was restarted asks the core again: under the same request ids, for the same answers.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

from google.protobuf.message import Message

from api.ussd.core import Core, CoreRefused
from api.ussd.hops import Session
from api.ussd.screens import Screen
from api.ussd.texts import Language, Text, say
from ledger.msisdn import Msisdn

Answer = TypeVar("Answer", bound=Message)
_REQUEST_ID_LENGTH = 40


class Asked(Exception):
    """The conversation waits for the caller's next answer."""

    def __init__(self, screen: Screen) -> None:
        super().__init__("asked")
        self.screen = screen


@dataclass(slots=True)
class Talk:
    """One telling of a conversation. `heard` are the caller's answers in order."""

    core: Core
    session_id: str
    caller: Msisdn
    heard: Sequence[str]
    session: Session
    language: Language
    _position: int = field(default=0)

    def say(self, text: Text, **values: str) -> str:
        """A text in the caller's language."""
        return say(self.language, text, **values)

    def ask(self, text: str) -> str:
        """The caller's answer to a question, without spaces around it. Raises Asked where there is none yet."""
        if self._position >= len(self.heard):
            raise Asked(Screen(text))
        self._position += 1
        return self.heard[self._position - 1].strip()

    def end(self, text: Text, **values: str) -> Screen:
        """The last screen."""
        return Screen(self.say(text, **values), ends=True)

    def request_id(self, purpose: str) -> str:
        """The id of a command at this place of this session: the same at every telling."""
        told = "\x1f".join((self.session_id, self.caller.digits, purpose, *self.heard[: self._position]))
        return f"ussd-{hashlib.sha256(told.encode()).hexdigest()[:_REQUEST_ID_LENGTH]}"

    async def query(self, method: Callable[..., Awaitable[Answer]], request: Message) -> Answer:
        """What the core answers; in one session always the same. Raises CoreRefused, CoreSlow."""
        return await self._remembered(self.core.ask, method, request)

    async def command(self, method: Callable[..., Awaitable[Answer]], request: Message) -> Answer:
        """What the core answers to a command with a request id. Raises CoreRefused, CoreSlow."""
        return await self._remembered(self.core.command, method, request)

    async def _remembered(
        self,
        call: Callable[..., Awaitable[Answer]],
        method: Callable[..., Awaitable[Answer]],
        request: Message,
    ) -> Answer:
        key = f"{request.DESCRIPTOR.name}:{hashlib.sha256(request.SerializeToString(deterministic=True)).hexdigest()}"
        if key not in self.session.core_answers:
            self.session.core_answers[key] = await _outcome(call, method, request)
        known = self.session.core_answers[key]
        if isinstance(known, CoreRefused):
            raise known
        return cast(Answer, known)


async def _outcome(
    call: Callable[..., Awaitable[Answer]], method: Callable[..., Awaitable[Answer]], request: Message
) -> Any:
    """The answer or the refusal, both of which are final; that the core was slow is not."""
    try:
        return await call(method, request)
    except CoreRefused as refused:
        return refused
