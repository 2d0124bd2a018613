"""A folder of statements: taken in once, held against the books, put away, by one process at a time."""

from __future__ import annotations

import fcntl
import json
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from sqlalchemy.ext.asyncio import AsyncEngine
from typer.testing import CliRunner, Result

from api.cli import app
from api.statement_folder import LOCK_FILE, FolderBusy, FolderResult, Say, work_through, write_result
from api.statements import StatementDesk, StatementFile, Whose
from ledger.outcomes import OutcomeRecorder
from ledger.reconciliation.importing import Importer
from ledger.reconciliation.run import Reconciler
from ledger.sealing import Sealer
from tests.adapters.statement_files import CHARGES, UTILITY, rows_of, write_csv
from tests.fix_database import Database
from tests.ledger.payouts.shop import SECRET, Shop, open_shop

PLACE = "daraja/600584"


@pytest.fixture
async def shop(engine: AsyncEngine) -> AsyncIterator[Shop]:
    """After the days of the captured statements."""
    async with open_shop(engine) as opened:
        opened.clock.advance(seconds=10 * 86_400)
        yield opened


def _desk(shop: Shop) -> StatementDesk:
    recorder = OutcomeRecorder(directory=shop.directory, ids=shop.ids)
    return StatementDesk(
        engine=shop.engine,
        directory=shop.directory,
        importer=Importer(sealer=Sealer(SECRET, purpose="statements"), ids=shop.ids),
        reconciler=Reconciler(recorder=recorder, ids=shop.ids),
        now=shop.now,
    )


def _put(source: Path, folder: Path, sub_account: str, name: str) -> Path:
    place = folder / PLACE / sub_account
    place.mkdir(parents=True, exist_ok=True)
    return Path(shutil.copy(source, place / name))


def _names(folder: Path) -> list[str]:
    return sorted(str(one.relative_to(folder)) for one in folder.rglob("*.*") if one.is_file() and one.suffix)


async def _worked(shop: Shop, folder: Path, *, say: Say = lambda result: None) -> FolderResult:
    result = FolderResult(shop.ledger.code)
    await work_through(_desk(shop), folder, actor="cron", result=result, say=say)
    return result


async def test_every_file_is_taken_in_once_and_each_sub_account_held_against_the_books(
    shop: Shop, tmp_path: Path
) -> None:
    _put(UTILITY, tmp_path, "utility", "september.csv")
    _put(UTILITY, tmp_path, "utility", ".half.csv")
    _put(CHARGES, tmp_path, "charges_paid", "september.csv")

    result, idle = await _worked(shop, tmp_path), await _worked(shop, tmp_path)
    write_result(result, tmp_path / "result.json")

    assert [(one["outcome"], one["added"] == one["lines"]) for one in result.files] == [("taken", True)] * 2
    assert [one["account"] for one in result.runs] == [
        "liab.provider_charges.daraja.600584", "asset.float.daraja.600584.utility",
    ]  # fmt: skip
    assert (result.exit_code, idle.exit_code, idle.files, idle.runs) == (1, 0, [], [])
    assert json.loads(_text(tmp_path / "result.json"))["files"] == result.files
    put_away = [f"{PLACE}/charges_paid/taken/september.csv", f"{PLACE}/utility/taken/september.csv"]
    assert [one for one in _names(tmp_path) if "taken" in one] == put_away
    assert (tmp_path / PLACE / "utility" / ".half.csv").exists()


async def test_what_is_refused_is_put_aside_and_keeps_no_other_file_out(shop: Shop, tmp_path: Path) -> None:
    place = _put(UTILITY, tmp_path, "utility", "b.csv").parent
    write_csv(place / "a.csv", rows_of(UTILITY)[:-5])
    _put(UTILITY, tmp_path, "petty", "c.csv")

    result = await _worked(shop, tmp_path)

    assert [(one["file"], one["outcome"]) for one in result.files] == [
        (f"{PLACE}/petty/c.csv", "left"), (f"{PLACE}/utility/a.csv", "refused"), (f"{PLACE}/utility/b.csv", "taken"),
    ]  # fmt: skip
    assert (result.exit_code, len(result.runs)) == (2, 1)
    assert "not whole" in str(result.files[1]["message"])
    assert (place / "refused" / "a.csv").exists()


async def test_who_dies_after_the_import_leaves_the_file_to_the_next_one(shop: Shop, tmp_path: Path) -> None:
    path = _put(UTILITY, tmp_path, "utility", "september.csv")
    whose = Whose(ledger=shop.ledger.code, provider="daraja", shortcode="600584", sub_account="utility")
    await _desk(shop).take_in(whose, StatementFile(path=path, name=path.name), actor="cron")

    result = await _worked(shop, tmp_path)

    assert [(one["outcome"], one["added"]) for one in result.files] == [("taken", 0)]
    assert len(result.runs) == 1
    assert not path.exists()


async def test_a_name_seen_before_hides_no_file(shop: Shop, tmp_path: Path) -> None:
    for _ in range(2):
        _put(UTILITY, tmp_path, "utility", "september.csv")
        await _worked(shop, tmp_path)

    assert [one.rpartition("/")[2] for one in _names(tmp_path) if "taken" in one] == [
        "september-2.csv", "september.csv",
    ]  # fmt: skip


async def test_what_a_link_leads_to_is_left_alone(shop: Shop, tmp_path: Path) -> None:
    elsewhere, folder = tmp_path / "elsewhere", tmp_path / "folder"
    path = _put(UTILITY, elsewhere, "utility", "september.csv")
    (folder / "mpesa").mkdir(parents=True)
    (folder / "daraja").symlink_to(elsewhere / "daraja")
    (folder / "mpesa" / "600584").symlink_to(elsewhere / PLACE)

    result = await _worked(shop, folder)

    assert (result.files, path.exists()) == ([], True)


async def test_a_second_process_leaves_the_folder_alone(shop: Shop, tmp_path: Path) -> None:
    path = _put(UTILITY, tmp_path, "utility", "september.csv")
    with (tmp_path / LOCK_FILE).open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)

        with pytest.raises(FolderBusy):
            await _worked(shop, tmp_path)

    assert path.exists()


@pytest.mark.parametrize("reason", ["DATABASE_UNAVAILABLE", "LEDGER_NOT_FOUND", "TEXT_INVALID"])
def test_what_fails_outright_is_told_in_the_result_and_leaves_the_files(
    database: Database, tmp_path: Path, reason: str
) -> None:
    path = _put(UTILITY, tmp_path, "utility", "september.csv")
    url = database.app.render_as_string(hide_password=False)
    if reason == "DATABASE_UNAVAILABLE":
        url = "postgresql://nobody@127.0.0.1:1/none"
    folder = tmp_path / "nowhere" if reason == "TEXT_INVALID" else tmp_path
    told = tmp_path / "result.json"

    ended = _folder_command(url, "nobodys", folder, told)

    result = json.loads(_text(told))
    assert (ended.exit_code, result["exit_code"], result["failure"]["reason"]) == (4, 4, reason)
    waiting = [] if reason == "TEXT_INVALID" else [{"file": f"{PLACE}/utility/september.csv", "outcome": "waiting"}]
    assert (result["files"], result["runs"], result["ended"], path.exists()) == (waiting, [], None, True)
    assert result["failure"]["message"] in ended.output


async def test_what_fails_half_way_is_told_file_by_file(shop: Shop, tmp_path: Path) -> None:
    _put(CHARGES, tmp_path, "charges_paid", "september.csv")
    path = _put(UTILITY, tmp_path, "utility", "september.csv")
    (path.parent / "taken").touch()  # so that nothing can be put there
    told: list[dict[str, Any]] = []

    with pytest.raises(FileExistsError):
        await _worked(shop, tmp_path, say=lambda result: told.append(json.loads(json.dumps(result.document()))))

    first, last = told
    assert ([one["outcome"] for one in first["files"]], first["exit_code"]) == (["waiting", "waiting"], None)
    assert [one["outcome"] for one in last["files"]] == ["taken", "waiting"]
    assert (last["exit_code"], last["ended"], len(last["runs"])) == (None, None, 1)
    (path.parent / "taken").unlink()
    again = await _worked(shop, tmp_path)
    assert [(one["file"], one["outcome"], one["added"]) for one in again.files] == [
        (f"{PLACE}/utility/september.csv", "taken", 0)
    ]


def test_a_command_that_fails_half_way_says_at_what(database: Database, shop: Shop, tmp_path: Path) -> None:
    _put(CHARGES, tmp_path, "charges_paid", "september.csv")
    path = _put(UTILITY, tmp_path, "utility", "september.csv")
    (path.parent / "taken").touch()
    told = tmp_path / "result.json"

    ended = _folder_command(database.app.render_as_string(hide_password=False), shop.ledger.code, tmp_path, told)

    result = json.loads(_text(told))
    assert (ended.exit_code, result["exit_code"], len(result["runs"])) == (4, 4, 2)
    assert [one["outcome"] for one in result["files"]] == ["taken", "waiting"]
    assert result["files"][1]["added"] > 0
    assert (result["failure"]["at"], path.exists()) == (f"{PLACE}/utility", True)


def _folder_command(url: str, ledger: str, folder: Path, told: Path) -> Result:
    ended = CliRunner().invoke(
        app,
        ["reconcile", "folder", ledger, str(folder), "--actor", "cron", "--result", str(told)],
        env={"DAFTARI_DATABASE_URL": url, "DAFTARI_SECRET": SECRET.hex()},
    )
    structlog.reset_defaults()  # a command sends its log to an output that ends with it
    return ended


def _text(path: Path) -> str:
    return path.read_text()
