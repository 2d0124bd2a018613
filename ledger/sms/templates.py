"""What is told, in four languages, and to whom no more once they want none. Pure.

Every text has {brand}, {amount} and {reference}: the provider's receipt, what payers type, or our own id. Of a loan
there is {rest}, what is owed yet, and {day}, when it is due."""

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
    ORDER_PAID = "order.paid"
    LOAN_REPAID = "loan.repaid"
    LOAN_DUE = "loan.due"


PURPOSES = {
    Told.PROMOTION_REDEEMED: Purpose.MARKETING,
    Told.PROMOTION_PAID: Purpose.ESSENTIAL,
    Told.PROMOTION_FAILED: Purpose.INFORMATIVE,
    Told.PAYOUT_SETTLED: Purpose.ESSENTIAL,
    Told.LOAN_DISBURSED: Purpose.ESSENTIAL,
    Told.ORDER_PAID: Purpose.ESSENTIAL,
    Told.LOAN_REPAID: Purpose.ESSENTIAL,
    Told.LOAN_DUE: Purpose.INFORMATIVE,
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
    Told.ORDER_PAID: {
        _E: "{brand}: we received {amount} for {reference}. It is paid. Thank you.",
        _S: "{brand}: tumepokea {amount} za {reference}. Imelipwa. Asante.",
        _R: "{brand}: twakiriye {amount} ya {reference}. Byishyuwe. Murakoze.",
        _P: "{brand}: recebemos {amount} de {reference}. Foi pago. Obrigado.",
    },
    Told.LOAN_REPAID: {
        _E: "{brand}: we received {amount} for your loan. Still owed: {rest}. Ref {reference}.",
        _S: "{brand}: tumepokea {amount} za mkopo wako. Deni lililobaki: {rest}. Ref {reference}.",
        _R: "{brand}: twakiriye {amount} y'inguzanyo yawe. Usigaje kwishyura: {rest}. Ref {reference}.",
        _P: "{brand}: recebemos {amount} do seu empréstimo. Falta pagar: {rest}. Ref {reference}.",
    },
    Told.LOAN_DUE: {
        _E: "{brand}: {amount} of your loan is to be paid by {day}. Pay with the reference {reference}.",
        _S: "{brand}: {amount} za mkopo wako zilipwe kabla ya mwisho wa {day}. Lipa kwa kumbukumbu {reference}.",
        _R: "{brand}: {amount} y'inguzanyo yawe yishyurwe bitarenze {day}. Ishyura ukoresheje {reference}.",
        _P: "{brand}: {amount} do seu empréstimo vencem em {day}. Pague com a ref {reference}.",
    },
}

# Who has said nothing is told in the language of the number's country.
_BY_COUNTRY = {"250": _R, "254": _S, "255": _S, "258": _P}


def render(
    told: Told, language: Language, *, brand: str, amount: str, reference: str, rest: str = "", day: str = ""
) -> str:
    """The text to send. `rest` and `day` are for the texts about loans that have them."""
    return TEXTS[told][language].format(brand=brand, amount=amount, reference=reference, rest=rest, day=day)


def language_of(masked: str, *, otherwise: Language) -> Language:
    """The language of the country that a masked number begins with."""
    return _BY_COUNTRY.get(masked[:3], otherwise)


def is_withheld(told: Told, covers: StopCovers) -> bool:
    """Whether those who want no messages do not get this one."""
    if covers is StopCovers.MARKETING:
        return PURPOSES[told] is Purpose.MARKETING
    return PURPOSES[told] is not Purpose.ESSENTIAL
