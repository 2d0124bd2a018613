"""`daftari ussd`: the USSD gateway in a process of its own."""

from __future__ import annotations

import uvloop

from api import logs
from api.commands.serve import spare_the_collector, stop_signal
from api.settings import Settings, UssdSettings
from api.tables import console
from api.ussd_gateway import open_gateway


def ussd() -> None:
    """Serves USSD sessions until SIGINT or SIGTERM; its settings begin with DAFTARI_USSD_."""
    logs.configure(Settings().log_level)
    uvloop.run(_serve(UssdSettings()))


async def _serve(settings: UssdSettings) -> None:
    async with stop_signal() as stopped, open_gateway(settings) as running:
        spare_the_collector()
        out = console()
        out.print(f"USSD  {running.url}/ussd/<path secret>  (events: .../events; GET /healthz)", soft_wrap=True)
        await stopped.wait()
