"""Field paths in refusals, in the request's words: the ledger's `effective_at` is the wire's `entry.effective_time`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType

from ledger.errors import LedgerError, SetTooLarge

_HEAD = re.compile(r"[^.\[]*")
SAME_NAMES: Mapping[str, str] = MappingProxyType({})


def located(error: LedgerError, *, within: str, names: Mapping[str, str] = SAME_NAMES) -> LedgerError:
    """The same refusal with its field as the request has it.

    The first word of the field is looked up in `names`, which say the whole path from the request on; a word that is
    not there stands as it is inside `within` ("" for the request itself).
    """
    match = _HEAD.match(error.field)
    head = match.group() if match else ""
    if head in names:
        field = names[head] + error.field[len(head) :]
    else:
        field = ".".join(part for part in (within, error.field) if part)
    return type(error)(error.message, field=field, **error.facts)


@contextmanager
def request_fields(*, within: str = "", names: Mapping[str, str] = SAME_NAMES) -> Iterator[None]:
    """Refusals raised inside name their fields as the request does; see located()."""
    try:
        yield
    except LedgerError as error:
        raise located(error, within=within, names=names) from error.__cause__


def check_set_size(count: int, *, maximum: int, field: str) -> None:
    """Raises SetTooLarge before any work is spent on a set that is too large."""
    if count > maximum:
        raise SetTooLarge(f"send at most {maximum:,} in one call; this one holds {count:,}", field=field)
