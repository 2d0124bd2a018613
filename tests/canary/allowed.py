"""The places that show a secret because that is what they are for. A place not named here shows none."""

from __future__ import annotations

from tests.canary.birds import API_KEY, HEXADECIMAL, MADE_HERE, MSISDN, TYPED, WEBHOOK_SECRET

ONCE = "shown once, to whoever makes it; only a hash or a sealed copy is kept"

# (place, what it shows): why.
ALLOWED: dict[tuple[str, str], str] = {
    ("stdout of `daftari key create`", API_KEY): ONCE,
    ("stdout of `daftari partner create`", API_KEY): ONCE,
    ("stdout of `daftari webhook create`", WEBHOOK_SECRET): ONCE,
    ("stdout of `daftari webhook rotate`", WEBHOOK_SECRET): ONCE,
    ("stdout of `daftari sms open`", HEXADECIMAL): "the path that providers of messages report by; " + ONCE,
    ("stdout of `daftari sms open`", MADE_HERE): "the same",
    ("stdout of `daftari serve --sandbox`", API_KEY): "keys of the demonstration's books, good for a day",
    ("stdout of `daftari serve --sandbox`", MSISDN): "a magic number of the sandbox, in the call to try first",
    ("stdout of `daftari sandbox`", TYPED): "the credentials that the simulated rail accepts, from its documentation",
    ("stdout of `daftari database prepare`", HEXADECIMAL): "a fresh secret to run with, kept nowhere by us",
    ("stdout of `daftari vault key`", HEXADECIMAL): "the public key, which writes and reads nothing",
}
