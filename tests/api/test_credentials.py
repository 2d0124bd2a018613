"""What a process may hold: nothing that opens or pays without the worker role, and with it no less than it needs."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from adapters.daraja.client import DarajaRail
from adapters.sandbox.credentials import make_certificate
from api.credentials import WORKERS_ALONE, check_roles, public_key, vault_opener, vault_writer
from api.roles import ALL_ROLES, Role
from api.settings import Settings
from api.wiring import Application, WorkerApplication, open_application
from ledger.errors import TextInvalid
from ledger.vault_keys import PrivateKey
from tests.fix_database import Database
from tests.ledger.payouts.shop import MOMENT, SECRET

CANARY = "canary-Zx81"
KEY, OTHER = bytes(range(1, 33)), bytes(range(32, 64))
OWN_DATABASE = SecretStr("postgresql://daftari_app@127.0.0.1:1/daftari")
WITHOUT_WORKER = [{Role.GRPC}, {Role.HTTP}, {Role.GRPC, Role.HTTP}]
WITH_WORKER = [{Role.WORKER}, {Role.WORKER, Role.HTTP}, ALL_ROLES]


def names(roles: Collection[Role]) -> str:
    """The same in every process, which the order of a set is not."""
    return "-".join(sorted(role.value for role in roles))


def settings(**given: Any) -> Settings:
    """Settings of the test alone."""
    return Settings(**({"database_url": None, "vault_public_key": ""} | given))


def value_of(name: str) -> SecretStr | Path:
    """Something to give for a setting that only workers have."""
    return Path(f"/run/{CANARY}") if name.endswith("_file") else SecretStr(CANARY)


@pytest.mark.parametrize("roles", WITHOUT_WORKER, ids=names)
@pytest.mark.parametrize("name", WORKERS_ALONE)
def test_a_process_without_the_worker_role_refuses_what_opens_or_pays(name: str, roles: Collection[Role]) -> None:
    with pytest.raises(TextInvalid) as caught:
        check_roles(settings(**{name: value_of(name)}), roles=roles)

    assert caught.value.field == f"DAFTARI_{name.upper()}"
    assert f"take DAFTARI_{name.upper()} from this process" in caught.value.message
    assert CANARY not in caught.value.message


def test_all_that_is_too_much_is_named_at_once() -> None:
    given = settings(vault_key=SecretStr(CANARY), daraja_initiator_password=SecretStr(CANARY))

    with pytest.raises(TextInvalid, match="take DAFTARI_VAULT_KEY, DAFTARI_DARAJA_INITIATOR_PASSWORD from"):
        check_roles(given, roles={Role.GRPC})


@pytest.mark.parametrize("roles", WITH_WORKER, ids=names)
def test_a_worker_holds_all_of_it(roles: Collection[Role]) -> None:
    check_roles(settings(**{name: value_of(name) for name in WORKERS_ALONE}), roles=roles)


@pytest.mark.parametrize("roles", WITHOUT_WORKER, ids=names)
def test_what_is_set_to_nothing_is_not_given(roles: Collection[Role]) -> None:
    nothing = {name: SecretStr("") for name in WORKERS_ALONE if not name.endswith("_file")}

    check_roles(settings(**nothing, vault_public_key="whatever", daraja_base_url="https://rail"), roles=roles)


def test_a_worker_on_a_database_of_ones_own_needs_a_vault_key_of_its_own(tmp_path: Path) -> None:
    own: dict[str, Any] = {"database_url": OWN_DATABASE, "daraja_secrets": "vault"}

    with pytest.raises(TextInvalid, match="set DAFTARI_VAULT_KEY"):
        check_roles(settings(**own), roles={Role.WORKER})
    check_roles(settings(**own, vault_key=SecretStr(KEY.hex())), roles={Role.WORKER})
    check_roles(settings(**own, vault_key_file=tmp_path), roles={Role.WORKER})
    check_roles(settings(**own), roles={Role.GRPC})
    check_roles(settings(database_url=OWN_DATABASE), roles={Role.WORKER})
    check_roles(settings(daraja_secrets="vault"), roles={Role.WORKER})


def test_the_public_key_is_the_given_one_or_that_of_the_private_one(tmp_path: Path) -> None:
    file, public = tmp_path / "key", PrivateKey(KEY).public
    file.write_text(f"{KEY.hex()}\n")
    given = [
        settings(database_url=OWN_DATABASE, vault_public_key=public.text),
        settings(database_url=OWN_DATABASE, vault_key=SecretStr(KEY.hex())),
        settings(database_url=OWN_DATABASE, vault_key_file=file),
        settings(vault_key=SecretStr(KEY.hex()), vault_public_key=public.text),
    ]

    assert [public_key(one, secret=lambda: SECRET) for one in given] == [public] * 4
    assert public_key(settings(database_url=OWN_DATABASE), secret=lambda: SECRET) is None


def test_a_key_is_derived_from_the_secret_beside_the_embedded_database_alone() -> None:
    derived, own = settings(), settings(database_url=OWN_DATABASE)

    writer, opener = vault_writer(derived, secret=SECRET), vault_opener(derived, secret=SECRET)

    assert writer is not None
    assert [key.public for key in opener.keys] == [writer.key]
    assert vault_writer(own, secret=SECRET) is None


def test_a_public_key_of_another_private_one_is_refused() -> None:
    mixed = settings(vault_key=SecretStr(KEY.hex()), vault_public_key=PrivateKey(OTHER).public.text)

    with pytest.raises(TextInvalid) as caught:
        vault_writer(mixed, secret=SECRET)

    assert caught.value.field == "DAFTARI_VAULT_PUBLIC_KEY"
    assert KEY.hex() not in caught.value.message


def test_a_worker_reads_with_the_key_in_force_the_one_before_and_the_derived_one() -> None:
    both = settings(vault_key=SecretStr(KEY.hex()), vault_key_old=SecretStr(OTHER.hex()))

    opener = vault_opener(both, secret=SECRET)

    assert [key.public for key in opener.keys[:2]] == [PrivateKey(KEY).public, PrivateKey(OTHER).public]
    assert len(opener.keys) == 3


async def test_only_a_workers_application_has_rails_that_call(database: Database, tmp_path: Path) -> None:
    certificate = tmp_path / "certificate.pem"
    certificate.write_text(make_certificate(MOMENT).pem)
    place = {
        "database_url": SecretStr(database.app.render_as_string(hide_password=False)),
        "secret": SecretStr(SECRET.hex()),
        "daraja_base_url": "http://127.0.0.1:1",
        "daraja_certificate": certificate,
    }

    async with (
        open_application(settings(**place), name="tests", roles={Role.GRPC, Role.HTTP}) as serving,
        open_application(settings(**place), name="tests", roles={Role.WORKER}) as working,
    ):
        limits = (serving.payout_limits, working.payout_limits)

    assert type(serving) is Application
    assert not hasattr(serving.rails["daraja"], "submit_payout")
    assert isinstance(working, WorkerApplication)
    assert isinstance(working.rails["daraja"], DarajaRail)
    assert limits[0] == limits[1] != {}


async def test_an_application_that_holds_too_much_is_not_opened() -> None:
    too_much = settings(database_url=OWN_DATABASE, vault_key=SecretStr(CANARY))

    with pytest.raises(TextInvalid, match="take DAFTARI_VAULT_KEY"):
        async with open_application(too_much, name="tests", roles={Role.GRPC}):
            pass
