"""The gateway's edge: what the telco sends is answered, what nobody may send is not found, and nothing breaks it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from pydantic import SecretStr
from sqlalchemy.ext.asyncio import AsyncEngine

from api.server import PlaintextRefused
from api.settings import UssdSettings
from api.ussd.gateway import BODY_BYTES_MAX, hop_of
from api.ussd_gateway import check, open_gateway
from ledger.errors import TextInvalid
from tests.api.ussd.rig import SECRET, Telco, open_telco, wire_example

FORM = {"content-type": "application/x-www-form-urlencoded"}
COMPLETE = {"path_secret": SecretStr(SECRET), "key": SecretStr("dft_x"), "ledger": "kenya"}


@pytest.fixture
async def telco(engine: AsyncEngine) -> AsyncIterator[Telco]:
    """A gateway over books of its own."""
    async with open_telco(engine) as opened:
        yield opened


async def test_the_documented_messages_are_answered_as_documented(telco: Telco) -> None:
    first = await telco.http.post(telco.path, content=wire_example("ussd_session_initial.http"), headers=FORM)
    second = await telco.http.post(telco.path, content=wire_example("ussd_session_choice_1.http"), headers=FORM)
    events = [
        (await telco.http.post(f"{telco.path}/events", content=wire_example(f"ussd_event_{name}.http"))).status_code
        for name in ("success", "incomplete", "failed")
    ]

    assert first.text.startswith("CON Ikaze kuri Daftari\n1. Koresha kode\n")
    assert second.text == "CON Andika kode iri ku gipfunyika"
    assert events == [200, 200, 200]


@pytest.mark.parametrize("path", ["/ussd/", "/ussd/guess", f"/ussd/{SECRET[:-1]}", f"/ussd/{SECRET}0", "/"])
async def test_who_does_not_know_the_path_is_told_nothing(telco: Telco, path: str) -> None:
    answer = await telco.http.post(path, content=wire_example("ussd_session_initial.http"), headers=FORM)

    assert answer.status_code == 404


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"text=1",
        b"sessionId=s&phoneNumber=&text=",
        b"sessionId=s&phoneNumber=0712345678&text=",
        b"sessionId=s%00&phoneNumber=254712345678&text=",
        b'{"sessionId": "s", "phoneNumber": "254712345678"}',
        b"\xff\xfe",
        b"&".join([b"a=1"] * 100),
        b"sessionId=s&phoneNumber=254712345678&text=" + b"1" * BODY_BYTES_MAX,
    ],
)
async def test_what_is_no_hop_is_refused(telco: Telco, body: bytes) -> None:
    assert (await telco.http.post(telco.path, content=body, headers=FORM)).status_code == 404


@hypothesis_settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(st.sampled_from(["sessionId", "phoneNumber", "text", "status"]), st.text(max_size=200)))
def test_no_form_breaks_the_reading_of_it(fields: dict[str, str]) -> None:
    hop = hop_of(fields)

    assert hop is None or hop.session_id == fields["sessionId"]


async def test_health_says_whether_the_core_is_reached(telco: Telco) -> None:
    reached = await telco.http.get("/healthz")
    settings = telco.settings.model_copy(update={"core": "127.0.0.1:1", "answer_seconds_max": 0.2})
    async with Telco(telco.office, telco.http, settings).restarted() as lost:
        unreached = await lost.http.get("/healthz")
        screen = await lost.phone("254712345678").say("2")

    assert (reached.status_code, unreached.status_code) == (200, 503)
    assert screen.startswith("END Huduma ina shughuli nyingi.")


@pytest.mark.parametrize(
    ("missing", "named"),
    [
        ({"path_secret": SecretStr("short")}, "DAFTARI_USSD_PATH_SECRET"),
        ({"key": SecretStr("")}, "DAFTARI_USSD_KEY"),
        ({"ledger": ""}, "DAFTARI_USSD_LEDGER"),
        ({"promotions": False}, "DAFTARI_USSD_PROMOTIONS"),
    ],
)
def test_what_is_missing_is_asked_for_by_its_name(missing: dict[str, object], named: str) -> None:
    with pytest.raises(TextInvalid, match=named):
        check(UssdSettings.model_validate(COMPLETE | missing))


async def test_a_core_elsewhere_is_not_spoken_to_in_clear() -> None:
    settings = UssdSettings.model_validate(COMPLETE | {"core": "10.0.0.1:50051"})

    with pytest.raises(PlaintextRefused):
        async with open_gateway(settings):
            raise AssertionError("it was opened")


async def test_loans_need_the_secret_that_makes_pseudonyms() -> None:
    settings = UssdSettings.model_validate(COMPLETE | {"loan_product": "rafiki"})

    with pytest.raises(TextInvalid, match="DAFTARI_USSD_CUSTOMER_SECRET"):
        async with open_gateway(settings):
            raise AssertionError("it was opened")
