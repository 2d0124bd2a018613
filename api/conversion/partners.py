"""Partners, limits and keys across the wire."""

from __future__ import annotations

from collections.abc import Sequence

from daftari.v1 import partners_pb2 as pb

from api.conversion.money import money_message
from api.conversion.times import timestamp_of
from api.permissions import PARTNER_PERMISSIONS
from ledger.errors import ChoiceInvalid, KeyNotFound
from ledger.ids import decode, encode
from ledger.partners import ApiKey, Partner
from ledger.payouts.limit_settings import LimitSetting

_SCOPES = {pb.PayoutLimit.SCOPE_PARTNER: "partner", pb.PayoutLimit.SCOPE_PAYEE: "payee"}
_SPANS = {pb.PayoutLimit.SPAN_HOUR: "hour", pb.PayoutLimit.SPAN_DAY: "day"}
_SCOPE_NUMBERS = {name: number for number, name in _SCOPES.items()}
_SPAN_NUMBERS = {name: number for number, name in _SPANS.items()}


def partner_message(partner: Partner) -> pb.Partner:
    """A partner as it stands."""
    return pb.Partner(
        code=partner.code,
        name=partner.name,
        payout_fee=money_message(partner.payout_fee.currency, partner.payout_fee.minor_units),
        funding_account=partner.funding_account,
        suspended=partner.suspended,
    )


def limit_of(message: pb.PayoutLimit) -> LimitSetting:
    """Raises ChoiceInvalid for an unspecified scope or span, or a negative bound."""
    if message.scope not in _SCOPES or message.span not in _SPANS:
        raise ChoiceInvalid("name the limit's scope and span", field="limit")
    return LimitSetting(
        _SCOPES[message.scope],
        _SPANS[message.span],
        message.amount_max_minor_units if message.HasField("amount_max_minor_units") else None,
        message.count_max if message.HasField("count_max") else None,
    )


def limit_messages(settings: Sequence[LimitSetting]) -> list[pb.PayoutLimit]:
    """The limits in force."""
    return [
        pb.PayoutLimit(
            scope=_SCOPE_NUMBERS[one.scope],
            span=_SPAN_NUMBERS[one.span],
            amount_max_minor_units=one.amount_max,
            count_max=one.count_max,
        )
        for one in settings
    ]


def permissions_of(names: Sequence[str]) -> list[str]:
    """The permissions a partner's key is to have; all a partner may have where none is named. Raises ChoiceInvalid."""
    allowed = [one.value for one in PARTNER_PERMISSIONS]
    unknown = sorted(set(names) - set(allowed))
    if unknown:
        raise ChoiceInvalid(f"a partner's key may have {', '.join(allowed)}", field="permissions")
    return list(names) or allowed


def key_id_of(text: str) -> int:
    """Raises KeyNotFound for what no key's id looks like, just as for an id that no key has."""
    key_id = decode("dft", text)
    if key_id is None:
        raise KeyNotFound("no live key of that id", field="key_id")
    return key_id


def key_message(row: ApiKey) -> pb.ApiKey:
    """A key without its secret."""
    message = pb.ApiKey(
        id=encode("dft", row.id),
        name=row.name,
        permissions=row.permissions,
        create_time=timestamp_of(row.created_at),
    )
    if row.expires_at is not None:
        message.expire_time.CopyFrom(timestamp_of(row.expires_at))
    if row.revoked_at is not None:
        message.revoke_time.CopyFrom(timestamp_of(row.revoked_at))
    return message
