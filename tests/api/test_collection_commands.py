"""`daftari collections`, as real processes on a database given by URL."""

from __future__ import annotations

from tests.fix_database import Database
from tests.journeys.processes import daftari


def test_a_shortcode_is_opened_once_and_registered_by_whoever_runs_its_rail(fresh_database: Database) -> None:
    url = fresh_database.app.render_as_string(hide_password=False)
    settings = {"database_url": url, "secret": bytes(range(32)).hex()}
    own = ("kenya", "--shortcode", "600584")
    daftari("books", "open", "kenya", "--shortcode", "daraja:600584", settings=settings)

    opened = [daftari("collections", "open", *own, settings=settings) for _ in range(2)]
    registered = daftari("collections", "register", *own, "--public-url", "https://pay.example.com", settings=settings)

    words = "shortcode 600584 takes KES in, into asset.float.daraja.600584.utility\n"
    assert [(one.code, one.out) for one in opened] == [(0, words)] * 2
    assert (registered.code, registered.out) == (2, "")
    assert "this process does not run daraja" in registered.err


def test_a_tariff_is_written_down_in_bands_and_what_is_no_tariff_is_refused(fresh_database: Database) -> None:
    url = fresh_database.app.render_as_string(hide_password=False)
    settings = {"database_url": url, "secret": bytes(range(32)).hex()}
    daftari("books", "open", "kenya", "--shortcode", "daraja:600584", settings=settings)
    wanted = ("collections", "tariff", "kenya", "--shortcode", "600584", "--valid-from", "2026-12-01", "--bands")

    added = daftari(*wanted, "100:0,500:5", settings=settings)
    falling = daftari(*wanted, "500:5,100:0", settings=settings)
    odd = daftari(*wanted, "all:5", settings=settings)

    assert (added.code, added.err) == (0, "")
    assert "100.01   500.00     5.00" in added.out
    assert (falling.code, odd.code) == (2, 2)
    assert "each band ends above the one before it" in falling.err
