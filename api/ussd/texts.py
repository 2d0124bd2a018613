"""The words of the menus in each language; a test holds that each stands in all of them and fits a screen. Pure."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from types import MappingProxyType


class Language(enum.Enum):
    """A language of the menus, by its ISO 639-1 code."""

    ENGLISH = "en"
    SWAHILI = "sw"
    KINYARWANDA = "rw"
    PORTUGUESE = "pt"


# How each calls itself, for the menu in which it is chosen.
OWN_NAMES: Mapping[Language, str] = MappingProxyType(
    {
        Language.ENGLISH: "English",
        Language.SWAHILI: "Kiswahili",
        Language.KINYARWANDA: "Ikinyarwanda",
        Language.PORTUGUESE: "Portugues",
    }
)
# By country code of the caller, until they choose.
_OF_COUNTRIES: Mapping[str, Language] = MappingProxyType(
    {
        "250": Language.KINYARWANDA,
        "254": Language.SWAHILI,
        "255": Language.SWAHILI,
        "258": Language.PORTUGUESE,
    }
)


class Text(enum.Enum):
    """Something a screen says."""

    WELCOME = enum.auto()
    REDEEM = enum.auto()
    BALANCE = enum.auto()
    ASK_LOAN = enum.auto()
    APPROVE_LOANS = enum.auto()
    LANGUAGE = enum.auto()
    ENTER_CODE = enum.auto()
    REDEEMED = enum.auto()
    NOT_REDEEMED = enum.auto()
    TOO_MANY_TRIES = enum.auto()
    CHECKING = enum.auto()
    ENTER_AMOUNT = enum.auto()
    BETWEEN = enum.auto()
    NOT_AN_AMOUNT = enum.auto()
    ENTER_LENDER = enum.auto()
    NOT_A_NUMBER = enum.auto()
    CONFIRM_ASK = enum.auto()
    LOAN_ASKED = enum.auto()
    WAITING_LOANS = enum.auto()
    NO_WAITING_LOANS = enum.auto()
    CONFIRM_LEND = enum.auto()
    LOAN_GIVEN = enum.auto()
    LOAN_REFUSED = enum.auto()
    WALLET_TOO_LOW = enum.auto()
    IN_WALLET = enum.auto()
    OWED = enum.auto()
    LENT = enum.auto()
    NOTHING_HELD = enum.auto()
    YES = enum.auto()
    NO = enum.auto()
    STOPPED = enum.auto()
    NOT_A_CHOICE = enum.auto()
    NOT_POSSIBLE = enum.auto()
    TRY_LATER = enum.auto()


_ENGLISH = {
    Text.WELCOME: "Welcome to {name}",
    Text.REDEEM: "Redeem a code",
    Text.BALANCE: "My balance",
    Text.ASK_LOAN: "Ask for a loan",
    Text.APPROVE_LOANS: "Loans asked of me",
    Text.LANGUAGE: "Language",
    Text.ENTER_CODE: "Enter the code from the pack",
    Text.REDEEMED: "Thank you. {amount} will reach you on mobile money soon.",
    Text.NOT_REDEEMED: "This code cannot be redeemed. Check it and try again.",
    Text.TOO_MANY_TRIES: "Too many tries. Try again later.",
    Text.CHECKING: "We are checking your code. Dial again in a few minutes: it counts once.",
    Text.ENTER_AMOUNT: "How much, in {currency}?",
    Text.BETWEEN: "From {least} to {most}.",
    Text.NOT_AN_AMOUNT: "That is not an amount.",
    Text.ENTER_LENDER: "The phone number of your lender, such as 254712345678",
    Text.NOT_A_NUMBER: "That is not a phone number.",
    Text.CONFIRM_ASK: "Ask {who} for {amount}?",
    Text.LOAN_ASKED: "Your request for {amount} waits for approval.",
    Text.WAITING_LOANS: "Who asks you:",
    Text.NO_WAITING_LOANS: "Nobody asks you for a loan.",
    Text.CONFIRM_LEND: "Lend {amount} to {who}? It leaves your wallet now.",
    Text.LOAN_GIVEN: "{amount} is on its way to {who}.",
    Text.LOAN_REFUSED: "You have refused the loan.",
    Text.WALLET_TOO_LOW: "Your wallet does not hold enough.",
    Text.IN_WALLET: "Wallet: {amount}",
    Text.OWED: "You owe: {amount}",
    Text.LENT: "You have lent: {amount}",
    Text.NOTHING_HELD: "You hold and owe nothing here.",
    Text.YES: "Yes",
    Text.NO: "No",
    Text.STOPPED: "Nothing was done.",
    Text.NOT_A_CHOICE: "Choose a number from the list.",
    Text.NOT_POSSIBLE: "That is not possible now.",
    Text.TRY_LATER: "The service is busy. Dial again in a few minutes.",
}
_SWAHILI = {
    Text.WELCOME: "Karibu {name}",
    Text.REDEEM: "Tumia kodi",
    Text.BALANCE: "Salio langu",
    Text.ASK_LOAN: "Omba mkopo",
    Text.APPROVE_LOANS: "Mikopo ninayoombwa",
    Text.LANGUAGE: "Lugha",
    Text.ENTER_CODE: "Weka kodi iliyo kwenye pakiti",
    Text.REDEEMED: "Asante. Utapokea {amount} kwenye simu hivi karibuni.",
    Text.NOT_REDEEMED: "Kodi hii haiwezi kutumika. Hakikisha ujaribu tena.",
    Text.TOO_MANY_TRIES: "Umejaribu mara nyingi. Jaribu tena baadaye.",
    Text.CHECKING: "Tunahakiki kodi yako. Piga tena baada ya dakika chache: inahesabika mara moja.",
    Text.ENTER_AMOUNT: "Kiasi gani, kwa {currency}?",
    Text.BETWEEN: "Kuanzia {least} hadi {most}.",
    Text.NOT_AN_AMOUNT: "Hicho si kiasi.",
    Text.ENTER_LENDER: "Namba ya simu ya mkopeshaji, mfano 254712345678",
    Text.NOT_A_NUMBER: "Hiyo si namba ya simu.",
    Text.CONFIRM_ASK: "Uombe {who} {amount}?",
    Text.LOAN_ASKED: "Ombi lako la {amount} linasubiri kibali.",
    Text.WAITING_LOANS: "Wanaokuomba:",
    Text.NO_WAITING_LOANS: "Hakuna anayekuomba mkopo.",
    Text.CONFIRM_LEND: "Umkopeshe {who} {amount}? Zinatoka kwenye pochi yako sasa.",
    Text.LOAN_GIVEN: "{amount} zinatumwa kwa {who}.",
    Text.LOAN_REFUSED: "Umekataa mkopo huu.",
    Text.WALLET_TOO_LOW: "Pochi yako haina pesa za kutosha.",
    Text.IN_WALLET: "Pochi: {amount}",
    Text.OWED: "Unadaiwa: {amount}",
    Text.LENT: "Umekopesha: {amount}",
    Text.NOTHING_HELD: "Huna salio wala deni hapa.",
    Text.YES: "Ndiyo",
    Text.NO: "Hapana",
    Text.STOPPED: "Hakuna kilichofanyika.",
    Text.NOT_A_CHOICE: "Chagua namba kwenye orodha.",
    Text.NOT_POSSIBLE: "Haiwezekani kwa sasa.",
    Text.TRY_LATER: "Huduma ina shughuli nyingi. Piga tena baada ya dakika chache.",
}
_KINYARWANDA = {
    Text.WELCOME: "Ikaze kuri {name}",
    Text.REDEEM: "Koresha kode",
    Text.BALANCE: "Amafaranga yanjye",
    Text.ASK_LOAN: "Saba inguzanyo",
    Text.APPROVE_LOANS: "Inguzanyo nsabwa",
    Text.LANGUAGE: "Ururimi",
    Text.ENTER_CODE: "Andika kode iri ku gipfunyika",
    Text.REDEEMED: "Murakoze. {amount} arakugeraho kuri telefone vuba.",
    Text.NOT_REDEEMED: "Iyi kode ntishobora gukoreshwa. Yisuzume wongere ugerageze.",
    Text.TOO_MANY_TRIES: "Wagerageje kenshi. Ongera ugerageze nyuma.",
    Text.CHECKING: "Turasuzuma kode yawe. Ongera uhamagare nyuma y'iminota mike: ibarwa rimwe.",
    Text.ENTER_AMOUNT: "Angahe, muri {currency}?",
    Text.BETWEEN: "Kuva kuri {least} kugeza kuri {most}.",
    Text.NOT_AN_AMOUNT: "Uyu si umubare w'amafaranga.",
    Text.ENTER_LENDER: "Nimero ya telefone y'ukuguriza, nka 250781234567",
    Text.NOT_A_NUMBER: "Iyi si nimero ya telefone.",
    Text.CONFIRM_ASK: "Gusaba {who} {amount}?",
    Text.LOAN_ASKED: "Icyifuzo cyawe cya {amount} gitegereje kwemezwa.",
    Text.WAITING_LOANS: "Abagusaba:",
    Text.NO_WAITING_LOANS: "Nta muntu ugusaba inguzanyo.",
    Text.CONFIRM_LEND: "Kuguriza {who} {amount}? Arava mu gikapu cyawe ubu.",
    Text.LOAN_GIVEN: "{amount} arimo koherezwa kuri {who}.",
    Text.LOAN_REFUSED: "Wanze iyi nguzanyo.",
    Text.WALLET_TOO_LOW: "Igikapu cyawe nta mafaranga ahagije gifite.",
    Text.IN_WALLET: "Igikapu: {amount}",
    Text.OWED: "Ugomba kwishyura: {amount}",
    Text.LENT: "Wagurije: {amount}",
    Text.NOTHING_HELD: "Nta mafaranga ufite cyangwa ugomba kwishyura hano.",
    Text.YES: "Yego",
    Text.NO: "Oya",
    Text.STOPPED: "Nta cyakozwe.",
    Text.NOT_A_CHOICE: "Hitamo umubare uri ku rutonde.",
    Text.NOT_POSSIBLE: "Ntibishoboka ubu.",
    Text.TRY_LATER: "Serivisi irahuze. Ongera uhamagare nyuma y'iminota mike.",
}
_PORTUGUESE = {
    Text.WELCOME: "Bem-vindo a {name}",
    Text.REDEEM: "Resgatar um código",
    Text.BALANCE: "O meu saldo",
    Text.ASK_LOAN: "Pedir um empréstimo",
    Text.APPROVE_LOANS: "Empréstimos que me pedem",
    Text.LANGUAGE: "Língua",
    Text.ENTER_CODE: "Escreva o código da embalagem",
    Text.REDEEMED: "Obrigado. Vai receber {amount} no telemóvel em breve.",
    Text.NOT_REDEEMED: "Este código não pode ser resgatado. Verifique e tente de novo.",
    Text.TOO_MANY_TRIES: "Demasiadas tentativas. Tente mais tarde.",
    Text.CHECKING: "Estamos a verificar o código. Marque de novo daqui a minutos: conta uma só vez.",
    Text.ENTER_AMOUNT: "Quanto, em {currency}?",
    Text.BETWEEN: "De {least} a {most}.",
    Text.NOT_AN_AMOUNT: "Isso não é um valor.",
    Text.ENTER_LENDER: "O número de quem lhe empresta, como 258841234567",
    Text.NOT_A_NUMBER: "Isso não é um número de telefone.",
    Text.CONFIRM_ASK: "Pedir {amount} a {who}?",
    Text.LOAN_ASKED: "O seu pedido de {amount} aguarda aprovação.",
    Text.WAITING_LOANS: "Quem lhe pede:",
    Text.NO_WAITING_LOANS: "Ninguém lhe pede um empréstimo.",
    Text.CONFIRM_LEND: "Emprestar {amount} a {who}? Sai já da sua carteira.",
    Text.LOAN_GIVEN: "{amount} vão a caminho de {who}.",
    Text.LOAN_REFUSED: "Recusou o empréstimo.",
    Text.WALLET_TOO_LOW: "A sua carteira não tem o suficiente.",
    Text.IN_WALLET: "Carteira: {amount}",
    Text.OWED: "Deve: {amount}",
    Text.LENT: "Emprestou: {amount}",
    Text.NOTHING_HELD: "Não tem saldo nem dívida aqui.",
    Text.YES: "Sim",
    Text.NO: "Não",
    Text.STOPPED: "Nada foi feito.",
    Text.NOT_A_CHOICE: "Escolha um número da lista.",
    Text.NOT_POSSIBLE: "Não é possível agora.",
    Text.TRY_LATER: "O serviço está ocupado. Marque de novo daqui a minutos.",
}
TEXTS: Mapping[Language, Mapping[Text, str]] = MappingProxyType(
    {
        Language.ENGLISH: _ENGLISH,
        Language.SWAHILI: _SWAHILI,
        Language.KINYARWANDA: _KINYARWANDA,
        Language.PORTUGUESE: _PORTUGUESE,
    }
)


def language_of(digits: str, *, otherwise: Language) -> Language:
    """The language a caller is first spoken to in, by the country code of their number."""
    return _OF_COUNTRIES.get(digits[:3], otherwise)


def say(language: Language, text: Text, **values: str) -> str:
    """A text with its values."""
    return TEXTS[language][text].format(**values)
