"""The README's curl commands, run as they stand against a running process: only address, keys and ids are put in."""

from __future__ import annotations

import asyncio
import json
import re
import shlex
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.api.office import Office, open_office
from tests.api.test_collections import pay

README = Path(__file__).parents[2] / "README.md"
COMMAND = re.compile(r"^    curl (?:.*\\\n)*.*(?:\n         .*)*", re.MULTILINE)


@pytest.fixture
async def office(engine: AsyncEngine) -> AsyncIterator[Office]:
    """A process over one shop."""
    async with open_office(engine) as opened:
        yield opened


def commands() -> list[str]:
    """Those of the section, in order."""
    section = README.read_text(encoding="utf-8").partition("## Without gRPC")[2].partition("\n## ")[0]
    return COMMAND.findall(section)


async def curl(command: str) -> dict[str, Any]:
    """What the command printed."""
    running = await asyncio.create_subprocess_exec(
        *shlex.split(command.replace("\\\n", " ")), "--silent", "--show-error", "--max-time", "20",
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await running.communicate()
    assert running.returncode == 0, err.decode()
    told: dict[str, Any] = json.loads(out)
    return told


async def test_every_curl_command_of_the_readme_does_what_it_says(office: Office) -> None:
    till = await office.partner_key()
    ids: dict[str, str] = {}
    answers: list[dict[str, Any]] = []

    for number, command in enumerate(commands()):
        # The first four are a shop's, the others an operator's, who takes money in before giving any back.
        key = till if number < 4 else office.operator
        if "rcp_..." in command:
            ids["rcp"] = await pay(office, "UI60000001", reference="nobody")
        written = command.replace("dft_...", key).replace(
            "http://127.0.0.1:8080", str(office.http.base_url).rstrip("/")
        )
        written = written.replace('"demo"', f'"{office.ledger}"').replace("=demo", f"={office.ledger}")
        for kind, name in ids.items():
            written = written.replace(f"{kind}_...", name)
        answers.append(await curl(written))
        for kind, field in (("pay", "disbursement_id"), ("prm", "prompt_id")):
            if field in answers[-1]:
                ids[kind] = answers[-1][field]

    told = [one.get("status") for one in answers]
    assert told == ["accepted", "accepted", "accepted", None, None, "accepted", "accepted", "accepted", None]
    assert answers[3]["amount"] == "198500.00"
    assert answers[4]["landing_account"] == "asset.float.daraja.600584.utility"
    assert answers[8]["floats"]
