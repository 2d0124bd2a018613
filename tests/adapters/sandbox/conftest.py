"""A sandbox per test for those that change its settings, one per module for those that only use it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from adapters.sandbox.credentials import make_certificate
from adapters.sandbox.settings import SandboxSettings
from tests.adapters.sandbox.rig import MOMENT, Rig, running


@pytest.fixture(scope="session")
def settings() -> SandboxSettings:
    """The defaults, with one certificate for the whole run: keys are slow to make."""
    return SandboxSettings(certificate=make_certificate(MOMENT))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def module_rig(settings: SandboxSettings) -> AsyncIterator[Rig]:
    """One sandbox for the module."""
    async with running(settings) as rig:
        yield rig


@pytest_asyncio.fixture(loop_scope="module")
async def rig(module_rig: Rig) -> Rig:
    """The module's sandbox, started over."""
    await module_rig.start_over()
    return module_rig
