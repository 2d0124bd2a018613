"""Opening the application for one command: settings from the environment, quiet logs, everything closed afterwards."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

from api import logs
from api.settings import Settings
from api.wiring import Application, open_application

Result = TypeVar("Result")


@asynccontextmanager
async def command_application() -> AsyncIterator[Application]:
    """The application as the environment describes it, for no role: a command talks to the books alone."""
    settings = Settings()
    logs.configure("WARNING")
    async with open_application(settings, name="cli") as application:
        yield application


def run(command: Callable[[Application], Awaitable[Result]]) -> Result:
    """Runs one command to its end."""

    async def opened() -> Result:
        async with command_application() as application:
            return await command(application)

    return asyncio.run(opened())
