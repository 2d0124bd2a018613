"""The watch has teeth: what leaks on purpose is caught on every way out, named by its place, and not shown."""

from __future__ import annotations

import asyncio
import inspect
import os
import sys
from asyncio.subprocess import PIPE, STDOUT
from pathlib import Path
from xml.etree import ElementTree as ET

from tests.canary import planted

ROOT = Path(__file__).parents[2]
SECONDS_MAX = 240.0
# What is leaked, or what it begins or ends with.
SHOWN_NOWHERE = (planted.NUMBER[4:], planted.KEY[:19], planted.WEBHOOK_SECRET[:9], "kJ8sQ2mN", "correct horse", "rer a")


def expected() -> dict[str, str]:
    """What each planted test's death must say, by its name."""
    tests = [one for one in vars(planted).values() if inspect.isfunction(one) and one.__name__.startswith("test_")]
    return {one.__name__: inspect.getdoc(one) or "" for one in tests}


async def deaths(report: Path) -> dict[str, str]:
    """What pytest said of each planted test, in a run of its own with a worker of pytest-xdist; "" where it passed."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    command = (sys.executable, "-m", "pytest", "-n", "1", f"--junitxml={report}", str(planted.__file__))
    process = await asyncio.create_subprocess_exec(*command, stdout=PIPE, stderr=STDOUT, cwd=ROOT, env=ours)
    told, _ = await asyncio.wait_for(process.communicate(), SECONDS_MAX)
    assert process.returncode == 1, told.decode()
    said: dict[str, str] = {}
    for case in ET.parse(report).iter("testcase"):
        texts = [one.text or "" for one in case if one.tag in {"failure", "error"}]
        said[case.attrib["name"]] = said.get(case.attrib["name"], "") + "".join(texts)
    return said


async def test_every_planted_leak_is_caught_and_nothing_else(tmp_path: Path) -> None:
    wanted = expected()

    said = await deaths(tmp_path / "report.xml")

    assert said.keys() == wanted.keys()
    assert len([one for one in wanted.values() if one != "passes"]) >= 18
    for name, sentence in wanted.items():
        if sentence == "passes":
            assert said[name] == "", name
        else:
            assert sentence in said[name], (name, said[name])
    assert [text for text in SHOWN_NOWHERE if text in "".join(said.values())] == []
