"""The sandbox as a process and as a guest: where it listens, what it prints, how it goes."""

from __future__ import annotations

import asyncio
import logging
import random
import signal
import sys
from dataclasses import replace

import httpx
import pytest

from adapters.sandbox import magic
from adapters.sandbox.apis import ENDPOINTS
from adapters.sandbox.server import SandboxServer, startup_lines
from adapters.sandbox.settings import SandboxSettings
from tests.adapters.sandbox.rig import DEADLINE_SECONDS, StandingClock, running

COMMAND = """
import asyncio
from adapters.sandbox.server import serve
from adapters.sandbox.settings import SandboxSettings
def announce(line):
    print(line, flush=True)
asyncio.run(serve("127.0.0.1", 0, settings=SandboxSettings(), announce=announce))
"""


async def test_it_listens_on_loopback_unless_told_otherwise(settings: SandboxSettings) -> None:
    async with running(settings) as rig:
        assert rig.http.base_url.host == "127.0.0.1"


async def test_it_leaves_the_signals_of_its_host_alone(settings: SandboxSettings) -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]

    async with running(settings):
        during = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]

    assert during == before


async def test_a_taken_address_is_an_os_error(settings: SandboxSettings) -> None:
    async with running(settings) as rig:
        port = rig.http.base_url.port
        assert port is not None
        second = SandboxServer(settings, clock=StandingClock(), randomness=random.Random(1), port=port)

        with pytest.raises(OSError, match="in use"):
            await second.start()


async def test_it_stops_while_a_request_hangs_and_callbacks_wait(settings: SandboxSettings) -> None:
    async with running(settings) as rig:
        await rig.http.post("/sandbox/faults", json={"callbacks": {"delay_seconds": 3600}})
        await rig.pay()
        hanging = asyncio.create_task(rig.pay(PartyB="254700000306"))
        async with asyncio.timeout(DEADLINE_SECONDS):
            while (await rig.truth())["requests_total"] < 2:
                pass

    assert isinstance(await outcome(hanging), httpx.TransportError)


async def test_a_hung_request_is_dropped_in_the_end(settings: SandboxSettings) -> None:
    async with running(replace(settings, hang_seconds_max=0.05)) as rig:
        hanging = asyncio.create_task(rig.pay(PartyB="254700000306"))

        assert isinstance(await outcome(hanging), httpx.RemoteProtocolError | httpx.ReadError)
        assert (await rig.receiver.next()).result["ResultCode"] == 0


async def test_no_log_line_tells_an_address_a_token_or_a_number(
    settings: SandboxSettings, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)

    async with running(settings) as rig:
        await rig.pay(PartyB="254700000403")
        await rig.callbacks_done()
        logging.getLogger("tests").debug("heard")
        secrets = ["k7Qd2", "254700000403", rig.access_token, rig.security_credential]

    told = [record.getMessage() for record in caplog.records]
    assert "heard" in told
    assert [(secret, line) for secret in secrets for line in told if secret in line] == []


def test_settings_show_no_secret() -> None:
    settings = SandboxSettings()

    assert settings.consumer_secret not in repr(settings)
    assert settings.initiator_password not in repr(settings)


def test_the_startup_lines_tell_all_that_a_client_needs() -> None:
    settings = SandboxSettings()

    text = "\n".join(startup_lines("http://127.0.0.1:8400", settings))

    needed = [
        *(f"http://127.0.0.1:8400{endpoint.path}" for endpoint in ENDPOINTS.values()),
        settings.consumer_key, settings.consumer_secret, settings.initiator_name, settings.initiator_password,
        settings.shortcode, *("254700000" + suffix for suffix in magic.MAGIC),
    ]  # fmt: skip
    assert [item for item in needed if item not in text] == []


async def test_the_command_serves_until_it_is_told_to_stop() -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-W", "error", "-c", COMMAND, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    async with asyncio.timeout(DEADLINE_SECONDS * 3):
        first_line = (await process.stdout.readline()).decode()
        base_url = first_line.split()[-1]
        async with httpx.AsyncClient(base_url=base_url, trust_env=False) as http:
            truth = await http.get("/sandbox/truth")
        process.send_signal(signal.SIGTERM)
        await process.communicate()

    assert truth.status_code == 200
    assert process.returncode == 0


async def outcome(task: asyncio.Task[httpx.Response]) -> BaseException | httpx.Response:
    """What became of a request, as a value."""
    (result,) = await asyncio.gather(task, return_exceptions=True)
    return result
