"""The benchmarks run, and posting as fast as they can leaves books that agree. No figure is judged here."""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import PIPE, STDOUT
from pathlib import Path

ROOT = Path(__file__).parents[2]
SECONDS_MAX = 240.0


async def test_the_quick_benchmark_completes_and_its_books_agree(tmp_path: Path) -> None:
    written = tmp_path / "posting.md"
    command = (sys.executable, "-m", "tests.benchmarks", "--quick", "--output", str(written))

    process = await asyncio.create_subprocess_exec(*command, stdout=PIPE, stderr=STDOUT, cwd=ROOT)
    told, _ = await asyncio.wait_for(process.communicate(), SECONDS_MAX)

    assert process.returncode == 0, told.decode()
    assert " 0 differences." in written.read_text()
