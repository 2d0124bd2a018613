"""What must come out nowhere: full MSISDNs, keys, tokens and credentials, by their form or because they were made here.

Pure but for what it is told to remember. A leak is shown by its kind and place, never by its text.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from urllib.parse import urlsplit

# Shorter values of tests ("secret", "password-1") are words as well, and those of few characters are anything.
KNOWN_LENGTH_MIN, KNOWN_CHARACTERS_MIN = 12, 6
# RSA of 2,048 bits in base 64, as Daraja's SecurityCredential is.
CREDENTIAL_LENGTH_MIN = 340

MSISDN, API_KEY, WEBHOOK_SECRET = "a full MSISDN", "an API key", "a webhook's signing secret"
AUTHORIZATION, CREDENTIAL = "an Authorization header", "a SecurityCredential"
HEXADECIMAL = "64 hexadecimal digits: a callback token, an installation's secret or a vault key"
MASK = "****"
MADE_HERE, TYPED = "a secret that was made in this run", "a value that is typed as a secret"

# Each begins with characters as they stand, by which a regular expression is found fast in megabytes of log.
_FORMS = (
    (MSISDN, re.compile(r"254[17]\d{8}")),
    (MSISDN, re.compile(r"00254[17]\d{8}")),
    (MSISDN, re.compile(r"0[17]\d{8}")),
    (API_KEY, re.compile(r"dft_[0-9A-Z]{13}_[0-9a-f]{64}")),
    (WEBHOOK_SECRET, re.compile(r"whsec_[A-Za-z0-9+/]{24,}={0,2}")),
    (AUTHORIZATION, re.compile(r"earer +(?=\S*\d)[\w.~+/-]{12,}")),
    (AUTHORIZATION, re.compile(r"asic +(?=\S*\d)[\w.~+/-]{12,}")),
)
# What has no such beginning is looked for in long words only: a run of letters, digits and what base 64 has besides.
_LONG = 20
_RUN = re.compile(rf"[A-Za-z0-9+/]{{{_LONG},}}")
_PART = re.compile(rf"[A-Za-z0-9]{{{_LONG},}}")
_HEXADECIMAL = re.compile(r"(?<![0-9A-Za-z])[0-9a-f]{64}(?![0-9A-Za-z])")
_LETTER_OR_DIGIT = re.compile(r"[0-9A-Za-z]")


@dataclass(frozen=True, slots=True)
class Leak:
    """Where in a text a canary stands, and what it is."""

    what: str
    start: int
    end: int


@dataclass(slots=True)
class Canaries:
    """Those known by their form, and those told."""

    _runs: dict[str, str] = field(default_factory=dict, repr=False)
    _plain: dict[str, str] = field(default_factory=dict, repr=False)

    def know(self, value: str, what: str) -> None:
        """Looks for this value from now on; of a URL, for the password in it."""
        value = (urlsplit(value).password or "" if "://" in value else value).rstrip("=")
        is_telling = len(value) >= KNOWN_LENGTH_MIN and len(set(value)) >= KNOWN_CHARACTERS_MIN
        if not is_telling or len(value) >= CREDENTIAL_LENGTH_MIN:  # which their form gives away
            return
        kept = self._runs if _RUN.fullmatch(value) else self._plain
        kept[value] = what

    def know_bytes(self, value: bytes, what: str) -> None:
        """The same for bytes, in the forms in which they are written down."""
        self.know(value.hex(), what)
        self.know(base64.b64encode(value).decode(), what)

    def in_output(self, text: str) -> list[Leak]:
        """What leaks where anybody may read it: logs, errors, metrics, output."""
        return _outermost([*self._anywhere(text), *self._runs_in(text, self._output_run)])

    def in_row(self, text: str) -> list[Leak]:
        """What leaks in a row of a table, where hashes stand in hexadecimal digits and are no secrets."""
        return _outermost([*self._anywhere(text), *self._runs_in(text, self._row_run)])

    def _anywhere(self, text: str) -> Iterator[Leak]:
        for what, form in _FORMS:
            for found in form.finditer(text):
                if what != MSISDN or _stands_alone(text, found.start(), found.end()):
                    yield Leak(what, found.start(), found.end())
        for value, what in self._plain.items():
            start = text.find(value)
            if start >= 0:
                yield Leak(what, start, start + len(value))

    def _runs_in(self, text: str, leaks_of: Callable[[str], Iterator[Leak]]) -> Iterator[Leak]:
        long = " ".join(word for word in text.split() if len(word) >= _LONG)
        for run in dict.fromkeys(_RUN.findall(long)):
            for leak in leaks_of(run):
                start = text.index(run)
                yield Leak(leak.what, start + leak.start, start + leak.end)

    def _row_run(self, run: str) -> Iterator[Leak]:
        if len(run) >= CREDENTIAL_LENGTH_MIN:
            yield Leak(CREDENTIAL, 0, len(run))
        if run in self._runs:
            yield Leak(self._runs[run], 0, len(run))
        for part in _PART.finditer(run):
            if part.group() in self._runs:
                yield Leak(self._runs[part.group()], part.start(), part.end())

    def _output_run(self, run: str) -> Iterator[Leak]:
        yield from self._row_run(run)
        if len(run) >= 64:
            for found in _HEXADECIMAL.finditer(run):
                yield Leak(HEXADECIMAL, found.start(), found.end())


def masked(text: str, leaks: list[Leak], *, around: int = 60) -> str:
    """What stands around the first leak, with every leak masked."""
    parts: list[str] = []
    end = 0
    for leak in leaks:
        parts += [text[end : leak.start], MASK]
        end = leak.end
    parts.append(text[end:])
    shown, first = "".join(parts), leaks[0].start
    return shown[max(0, first - around) : first + len(MASK) + around].replace("\n", " ")


def _outermost(leaks: list[Leak]) -> list[Leak]:
    """In their order, without those that are part of another: a key is told once, and not its digits as well."""
    kept: list[Leak] = []
    for leak in sorted(leaks, key=lambda leak: (leak.start, -leak.end)):
        if not kept or leak.start >= kept[-1].end:
            kept.append(leak)
    return kept


def _stands_alone(text: str, start: int, end: int) -> bool:
    """Whether the digits are no part of a longer number, a fraction or a word: those are ids, seconds and hashes."""
    before, after = text[max(0, start - 2) : start], text[end : end + 2]
    is_part = _LETTER_OR_DIGIT.match(before[-1:]) or _LETTER_OR_DIGIT.match(after[:1])
    is_fraction = re.fullmatch(r"\d\.", before) or re.fullmatch(r"\.\d", after)
    return not is_part and not is_fraction
