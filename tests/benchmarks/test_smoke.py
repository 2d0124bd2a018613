"""The benchmarks run, and what they do in haste is done whole. No figure is judged here."""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import PIPE, STDOUT
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SECONDS_MAX = 240.0


@pytest.mark.parametrize(
    ("which", "verdict"),
    [
        ("posting", " 0 differences."),
        ("callbacks", " callbacks answered "),
        ("webhooks", "; the books agree."),
        ("books", "compared, 0 differences."),
        ("overload", "0 differences; payouts agree with their entries."),
        ("memory", " 0 differences."),
        ("life", "; the books agree."),
        ("promotions", "; the books agree."),
        ("guessing", " 0 hits, 100 wrong codes counted; the books agree."),
        ("reconciliation", "beside what was planted: nothing."),
    ],
)
async def test_the_quick_benchmark_completes_and_nothing_is_lost(tmp_path: Path, which: str, verdict: str) -> None:
    written = tmp_path / f"{which}.md"
    command = (sys.executable, "-m", "tests.benchmarks", which, "--quick", "--output", str(written))

    process = await asyncio.create_subprocess_exec(*command, stdout=PIPE, stderr=STDOUT, cwd=ROOT)
    told, _ = await asyncio.wait_for(process.communicate(), SECONDS_MAX)

    assert process.returncode == 0, told.decode()
    assert verdict in written.read_text()
