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
