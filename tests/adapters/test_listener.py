"""The listener: how many it serves at once."""

from __future__ import annotations

import httpx
from fastapi import FastAPI

from adapters.listener import Listener


async def test_connections_beyond_those_that_fit_are_answered_at_once_and_served_again_afterwards() -> None:
    app = FastAPI()
    app.add_api_route("/", lambda: {"served": "yes"})
    listener = Listener(host="127.0.0.1", port=0, grace_seconds=1, connections_max=2)
    url = await listener.start(app)

    async with httpx.AsyncClient(base_url=url, trust_env=False) as first:
        served = await first.get("/")
        async with httpx.AsyncClient(base_url=url, trust_env=False) as second:
            refused = await second.get("/")
    async with httpx.AsyncClient(base_url=url, trust_env=False) as third:
        again = await third.get("/")
    await listener.stop()

    assert (served.status_code, refused.status_code, again.status_code) == (200, 503, 200)
