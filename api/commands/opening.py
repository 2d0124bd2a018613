"""Opening the application for one command: settings from the environment, quiet logs, everything closed afterwards."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager
from typing import TypeVar

from api import logs
from api.roles import Role
from api.settings import Settings
from api.wiring import Application, open_application

Result = TypeVar("Result")


@asynccontextmanager
async def command_application(*, roles: Collection[Role] = ()) -> AsyncIterator[Application]:
    """The application as the environment describes it. For no role a command talks to the books alone; with the
    worker's it calls providers."""
    settings = Settings()
    logs.configure("WARNING")
    async with open_application(settings, name="cli", roles=roles) as application:
        yield application


def run(command: Callable[[Application], Awaitable[Result]], *, roles: Collection[Role] = ()) -> Result:
    """Runs one command to its end."""

    # Not the task's own result: at its end asyncio writes that out, whole, into an error that nobody sees.
    results: list[Result] = []

    async def opened() -> None:
        async with command_application(roles=roles) as application:
            results.append(await command(application))

    asyncio.run(opened())
    return results[0]
