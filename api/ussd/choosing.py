"""Questions that every menu asks: a choice from a list, yes or no. What is no answer is asked again."""

from __future__ import annotations

from collections.abc import Sequence

from api.ussd.conversation import Talk
from api.ussd.screens import fitting
from api.ussd.texts import OWN_NAMES, Language, Text

LANGUAGE_KEY = "0"


def choose(talk: Talk, head: Text, options: Sequence[Text], **values: str) -> int:
    """The index of the option that is chosen, in a menu that also lets the language be chosen."""
    problem = ""
    while True:
        lines = [talk.say(one) for one in options]
        asked = numbered(f"{problem}{talk.say(head, **values)}", lines)
        answer = talk.ask(f"{asked}\n{LANGUAGE_KEY}. {talk.say(Text.LANGUAGE)}")
        problem = ""
        if answer == LANGUAGE_KEY:
            languages = list(Language)
            talk.language = languages[choose_line(talk, talk.say(Text.LANGUAGE), [OWN_NAMES[one] for one in languages])]
        elif (index := index_of(answer, len(options))) is not None:
            return index
        else:
            problem = f"{talk.say(Text.NOT_A_CHOICE)}\n"


def choose_line(talk: Talk, head: str, lines: Sequence[str]) -> int:
    """The index of the line that is chosen; only as many are shown as fit, with room for a complaint."""
    complaint = talk.say(Text.NOT_A_CHOICE)
    shown = lines[: fitting(f"{complaint}\n{head}", _with_numbers(lines))]
    answer = talk.ask(numbered(head, shown))
    while (index := index_of(answer, len(shown))) is None:
        answer = talk.ask(numbered(f"{complaint}\n{head}", shown))
    return index


def confirm(talk: Talk, question: str) -> bool:
    """Yes or no."""
    return choose_line(talk, question, [talk.say(Text.YES), talk.say(Text.NO)]) == 0


def numbered(head: str, lines: Sequence[str]) -> str:
    """A heading and its numbered lines."""
    return "\n".join((head, *_with_numbers(lines)))


def index_of(answer: str, count: int) -> int | None:
    """From "1" on; None for what is not the number of a line."""
    number = int(answer) if answer.isascii() and answer.isdigit() and len(answer) <= 2 else 0
    return number - 1 if 1 <= number <= count else None


def _with_numbers(lines: Sequence[str]) -> list[str]:
    return [f"{number}. {line}" for number, line in enumerate(lines, start=1)]
