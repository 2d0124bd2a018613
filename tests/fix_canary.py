"""The canary over the whole run: a test fails when a secret or a full phone number comes out of the product.

Watched are log records at every level (standard library and structlog), standard output and error, gRPC errors, HTTP
refusals, metrics, commands' output, and every row of every database before it is dropped. What is looked for stands in
tests/canary/birds.py, where it may stand in allowed.py. Tests print nothing themselves (a lint rule), so whatever is
captured is the product's.
"""

from __future__ import annotations

from collections.abc import Generator

import pytest
from sqlalchemy import URL

from tests.canary.dump import search_database
from tests.canary.watch import Ears, Watch

WATCH = Watch()
_EARS = Ears(WATCH)


def pytest_configure(config: pytest.Config) -> None:
    """Listens from before the first test on."""
    _EARS.set_up()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Opens the loggers again, which a test may have closed."""
    _EARS.open()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Fails the phase in which something leaked; one that failed anyway is told of it in a section of its own."""
    report = yield
    for when, name, content in item._report_sections:
        if when == report.when and name in {"stdout", "stderr"}:
            WATCH.hear(f"captured {name}", content)
    leaks = WATCH.leaks()
    if leaks:
        told = "\n".join(leaks)
        if report.outcome == "failed":
            report.sections.append(("canary", told))
        else:
            report.outcome, report.longrepr = "failed", f"the canary died: {told}"
    return report


def fail_on_leaks(url: URL) -> None:
    """Fails where a database shows what it must not: to be called before it is dropped, as its superuser."""
    if leaks := search_database(url, WATCH.canaries):
        pytest.fail("\n".join(["the canary died:", *leaks]), pytrace=False)
