"""What is told, in four languages, and to whom no more once they want none. Pure.

Every text has the same three parameters: {brand}, {amount} and {reference}, the provider's receipt or our own id."""

from __future__ import annotations

import enum


class Language(enum.Enum):
    """The languages that texts are written in."""

    ENGLISH = "en"
    SWAHILI = "sw"
    KINYARWANDA = "rw"
    PORTUGUESE = "pt"


class Purpose(enum.Enum):
    """ESSENTIAL is about the recipient's own money and always sent; MARKETING never against their wish."""

    ESSENTIAL = "essential"
    INFORMATIVE = "informative"
    MARKETING = "marketing"


class StopCovers(enum.Enum):
    """What is withheld from those who want no messages."""

    MARKETING = "marketing"
    ALL_BUT_ESSENTIAL = "all_but_essential"


class Told(enum.Enum):
    """What a ledger may have told."""

    PROMOTION_REDEEMED = "promotion.redeemed"
    PROMOTION_PAID = "promotion.paid"
    PROMOTION_FAILED = "promotion.failed"
    PAYOUT_SETTLED = "payout.settled"
    LOAN_DISBURSED = "loan.disbursed"


PURPOSES = {
    Told.PROMOTION_REDEEMED: Purpose.MARKETING,
    Told.PROMOTION_PAID: Purpose.ESSENTIAL,
    Told.PROMOTION_FAILED: Purpose.INFORMATIVE,
    Told.PAYOUT_SETTLED: Purpose.ESSENTIAL,
    Told.LOAN_DISBURSED: Purpose.ESSENTIAL,
}

_E, _S, _R, _P = Language
TEXTS: dict[Told, dict[Language, str]] = {
    Told.PROMOTION_REDEEMED: {
        _E: "{brand}: congratulations! You won {amount}. It is on its way to this number. Ref {reference}.",
        _S: "{brand}: hongera! Umeshinda {amount}. Zinatumwa kwa nambari hii. Ref {reference}.",
        _R: "{brand}: wishimye! Watsindiye {amount}. Ari koherezwa kuri iyi nimero. Ref {reference}.",
        _P: "{brand}: parabéns! Ganhou {amount}, a caminho deste número. Ref {reference}.",
    },
    Told.PROMOTION_PAID: {
        _E: "{brand}: your prize of {amount} was paid to this number. Receipt {reference}.",
        _S: "{brand}: zawadi yako ya {amount} imelipwa kwa nambari hii. Risiti {reference}.",
        _R: "{brand}: igihembo cyawe cya {amount} cyishyuwe kuri iyi nimero. Inyemezabwishyu {reference}.",
        _P: "{brand}: o prémio de {amount} foi pago a este número. Recibo {reference}.",
    },
    Told.PROMOTION_FAILED: {
        _E: "{brand}: your prize of {amount} is not paid yet. It stays yours; we will try again. Ref {reference}.",
        _S: "{brand}: zawadi yako ya {amount} haijalipwa bado. Ni yako; tutajaribu tena. Ref {reference}.",
        _R: "{brand}: igihembo cyawe cya {amount} nticyarishyurwa. Ni icyawe; tuzongera tugerageze. Ref {reference}.",
        _P: "{brand}: o prémio de {amount} ainda não foi pago. Vamos tentar de novo. Ref {reference}.",
    },
    Told.PAYOUT_SETTLED: {
        _E: "{brand}: {amount} was paid to this number. Receipt {reference}.",
        _S: "{brand}: {amount} zimelipwa kwa nambari hii. Risiti {reference}.",
        _R: "{brand}: {amount} yishyuwe kuri iyi nimero. Inyemezabwishyu {reference}.",
        _P: "{brand}: {amount} foram pagos a este número. Recibo {reference}.",
    },
    Told.LOAN_DISBURSED: {
        _E: "{brand}: your loan was paid out: {amount} to this number. Receipt {reference}.",
        _S: "{brand}: mkopo wako umetolewa: {amount} kwa nambari hii. Risiti {reference}.",
        _R: "{brand}: inguzanyo yawe yatanzwe: {amount} kuri iyi nimero. Inyemezabwishyu {reference}.",
        _P: "{brand}: o seu empréstimo foi pago: {amount} a este número. Recibo {reference}.",
    },
}

# Who has said nothing is told in the language of the number's country.
_BY_COUNTRY = {"250": _R, "254": _S, "255": _S, "258": _P}


def render(told: Told, language: Language, *, brand: str, amount: str, reference: str) -> str:
    """The text to send."""
    return TEXTS[told][language].format(brand=brand, amount=amount, reference=reference)


def language_of(masked: str, *, otherwise: Language) -> Language:
    """The language of the country that a masked number begins with."""
    return _BY_COUNTRY.get(masked[:3], otherwise)


def is_withheld(told: Told, covers: StopCovers) -> bool:
    """Whether those who want no messages do not get this one."""
    if covers is StopCovers.MARKETING:
        return PURPOSES[told] is Purpose.MARKETING
    return PURPOSES[told] is not Purpose.ESSENTIAL
