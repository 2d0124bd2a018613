"""Messages on the paths of prompts: read, compared with what was asked for, and recorded.

A prompt's callback echoes nothing of ours: it is believed under the id that the answer to our request named. Until that
answer is there the message waits; where it never comes, the message proves nothing and gives an id to ask by. One that
names no prompt at all is a hint, after which the provider is asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from adapters.collecting import DeclaredCollections, PromptCallback
from adapters.judging import ACTOR, RESTS, verdict_on
from adapters.path_judging import PathJudge, word_of
from adapters.provider import CallbackUnreadable
from ledger.collections import prompting
from ledger.collections.prompt import State
from ledger.collections.prompting import Prompt, may_be_payer
from ledger.database import Driver
from ledger.journal.books import Ledger
from ledger.outbox import queue
from ledger.outbox.collecting import PromptPaid, PromptPending
from ledger.outbox.inbox import Message, Verdict
from ledger.prompts import Learned, PromptRecorder, Report


@dataclass(frozen=True, slots=True)
class Hint:
    """A message that proves nothing about the prompt of its path, but that a question is worth it."""

    prompt: Prompt


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptJudge(PathJudge[Prompt, Report | Hint]):
    """Judges messages on the paths of prompts."""

    rails: Mapping[str, DeclaredCollections]
    recorder: PromptRecorder

    async def find_subjects(
        self, session: Driver, ledger: Ledger, token_hashes: Sequence[bytes]
    ) -> Mapping[bytes, Prompt]:
        """The prompts that were sent with these callback paths."""
        asked = await prompting.find_asked(session, ledger_id=ledger.id, token_hashes=token_hashes)
        prompts = await prompting.read_prompts(session, ledger_id=ledger.id, prompt_ids=set(asked.values()))
        return {token_hash: prompts[prompt_id] for token_hash, prompt_id in asked.items()}

    async def record(
        self, session: Driver, ledger: Ledger, reports: Sequence[Report | Hint], now: datetime
    ) -> list[tuple[str, str | None]]:
        """What was told becomes the prompts' fate, and receipts; after a hint the provider is asked."""
        await queue.hint(
            session,
            ledger_id=ledger.id,
            kind=queue.PROMPT_QUERY,
            # Where the answer to our request is still on its way, the question comes with it.
            subject_ids=[one.prompt.id for one in reports if isinstance(one, Hint) and one.prompt.checkout_index],
            ids=self.recorder.ids,
            now=now,
        )
        told = [one for one in reports if isinstance(one, Report)]
        results = iter(await self.recorder.record(session, ledger=ledger, reports=told, now=now))
        return [
            ("hint", "the provider is asked") if isinstance(one, Hint) else word_of(next(results), applied=State)
            for one in reports
        ]

    def read(self, message: Message, prompt: Prompt, ledger: Ledger) -> Report | Hint | Verdict | None:
        """Believed under the provider's id alone."""
        read = self.rails[prompt.rail].read_prompt_callback(message.raw)
        if isinstance(read, CallbackUnreadable):
            return verdict_on(message, "unreadable", read.reason, None)
        if read.checkout is None:
            return Hint(prompt)
        if prompt.checkout_index is None:
            learned = Report(prompt.id, Learned(read.checkout), ACTOR, message.id)
            return None if message.tries < len(RESTS) else learned
        mismatch = self._find_mismatch(read, prompt, ledger)
        if mismatch is not None:
            return verdict_on(message, "mismatch", mismatch, None)
        if isinstance(read.outcome, PromptPending):
            return verdict_on(message, "pending", "it says nothing final", None)
        return Report(prompt.id, read.outcome, ACTOR, message.id)

    def _find_mismatch(self, read: PromptCallback, prompt: Prompt, ledger: Ledger) -> str | None:
        assert read.checkout is not None, "a message that names no prompt is a hint"
        if self.recorder.keys.index_checkout(read.checkout, ledger_id=ledger.id) != prompt.checkout_index:
            return "it names another prompt than its path"
        received = read.outcome.received if isinstance(read.outcome, PromptPaid) else None
        if received is None:
            return None
        if received.amount != prompt.amount:
            return f"it says {received.amount}, we asked for {prompt.amount}"
        is_payer = may_be_payer(
            received.payer,
            index=prompt.payer_index,
            shown=prompt.payer_shown,
            keys=self.recorder.keys,
            ledger_id=ledger.id,
        )
        return None if is_payer else "it names another payer"
