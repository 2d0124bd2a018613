"""The Result envelope that every asynchronous answer of Daraja comes in, and its parameters by key. Pure.

Raises documents.Unreadable and nothing else, and keeps no text of a person but what the parameters say.
"""

from __future__ import annotations

from dataclasses import dataclass

from adapters import documents, transport

SUCCESS = "0"

# ResultType 0 is the last word; 1 announces further messages.
_FINAL = "0"


@dataclass(frozen=True, slots=True, repr=False)
class Parameters:
    """ResultParameter by key, each key with the distinct values it was told with, in order."""

    values: dict[str, tuple[str, ...]]

    def __contains__(self, key: str) -> bool:
        return key in self.values

    def every(self, key: str) -> tuple[str, ...]:
        """All distinct values of a key; one documented sample tells two parties under the same."""
        return self.values.get(key, ())

    def get(self, key: str) -> str | None:
        """The value of a key; a key told twice differently is not told at all."""
        values = self.every(key)
        return values[0] if len(values) == 1 else None

    def ids(self) -> dict[str, object]:
        """The ids among them, for adapters.daraja.references."""
        return {key: self.get(key) for key in ("ConversationID", "OriginatorConversationID")}


@dataclass(frozen=True, slots=True, repr=False)
class Envelope:
    """What every Result has. `description` is redacted; `ids` are those of the request that the Result answers."""

    result_type: str | None
    code: str | None
    description: str
    transaction_id: str | None
    ids: dict[str, object]
    parameters: Parameters

    @property
    def is_final(self) -> bool:
        """Whether this is the last word on the request."""
        return self.result_type == _FINAL

    @property
    def told(self) -> str:
        """The code and its text, for a reason."""
        return f"ResultCode {self.code}: {self.description}"


def read(document: dict[str, object]) -> Envelope:
    """The envelope in a document. Raises Unreadable where there is none."""
    result = document.get("Result")
    if not isinstance(result, dict):
        raise documents.Unreadable("the body has no Result")
    return Envelope(
        result_type=documents.text(result.get("ResultType")),
        code=documents.code(result.get("ResultCode")),
        description=transport.redact(documents.text(result.get("ResultDesc")) or ""),
        transaction_id=documents.identifier(result.get("TransactionID")),
        ids={key: result.get(key) for key in ("ConversationID", "OriginatorConversationID")},
        parameters=_parameters(result.get("ResultParameters")),
    )


def read_judged(document: dict[str, object]) -> Envelope:
    """The envelope of a result. Raises Unreadable where no ResultCode says what came of the request."""
    envelope = read(document)
    if envelope.code is None:
        raise documents.Unreadable("the Result has no ResultCode")
    return envelope


def read_parameters(items: object, *, named: str) -> Parameters:
    """What a list of items tells, or a single one; nothing where there are none. `named` is the member that holds the
    key of each: "Key", or "Name" for what comes of prompts."""
    told: dict[str, dict[str, None]] = {}
    for item in items if isinstance(items, list) else [items]:
        key, value = _key_and_value(item, named=named)
        if key is not None and value is not None:
            told.setdefault(key, {})[value] = None
    return Parameters({key: tuple(values) for key, values in told.items()})


def _parameters(holder: object) -> Parameters:
    """A list, a single object, or missing."""
    return read_parameters(holder.get("ResultParameter", holder) if isinstance(holder, dict) else holder, named="Key")


def _key_and_value(item: object, *, named: str) -> tuple[str | None, str | None]:
    # An item may lack its Value altogether, and a key of 2017 may be spaced: "Conversation ID".
    if not isinstance(item, dict):
        return None, None
    key = documents.text(item.get(named))
    return None if key is None else key.replace(" ", ""), documents.text(item.get("Value"))
