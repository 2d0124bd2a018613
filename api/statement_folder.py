"""A folder of statements worked through: each file once, then a run per sub-account, and a result for a program.

    FOLDER/PROVIDER/SHORTCODE/SUB_ACCOUNT/file.csv        what waits; columns.json beside it declares columns
    FOLDER/PROVIDER/SHORTCODE/SUB_ACCOUNT/taken/file.csv  what is done, .../refused/file.csv what was refused

A file leaves its place only once its run is recorded; whoever dies before that leaves it there, and the next one finds
every line known and goes on. One process at a time works on a folder.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from api.statements import StatementDesk, StatementFile, Whose
from api.statements_told import imported_summary, run_summary
from ledger.errors import AccountNotFound, LedgerError, RuleBroken, TextInvalid
from ledger.journal.books import Ledger
from ledger.reconciliation.importing import Imported
from ledger.reconciliation.reading import Days
from ledger.reconciliation.statement import StatementRefused

# Of a file: LEFT stays where it is, for its folder or its name is at fault.
TAKEN, REFUSED, LEFT = "taken", "refused", "left"
COLUMNS_FILE, LOCK_FILE = "columns.json", ".daftari-lock"
AGREES, BREAKS, REFUSALS, BUSY, FAILED = 0, 1, 2, 3, 4
FILES_MAX = 1_000
_DEPTH = 3


class FolderBusy(RuleBroken):
    """Another process works on the folder."""


@dataclass(frozen=True, slots=True)
class _Place:
    """A sub-account's folder, and the files that wait there, by name."""

    path: Path
    whose: Whose
    files: Sequence[Path]


@dataclass(slots=True)
class FolderResult:
    """What became of each file and what each run found, as a program reads it; and what kept the rest from being done,
    None where all was."""

    ledger: str
    started_at: datetime | None = None
    ended_at: datetime | None = None
    failure: LedgerError | None = None
    files: list[Mapping[str, object]] = field(default_factory=list)
    runs: list[Mapping[str, object]] = field(default_factory=list)

    @property
    def exit_code(self) -> int:
        """FAILED before REFUSALS before BREAKS before AGREES."""
        if self.failure is not None:
            return FAILED
        if any(one["outcome"] != TAKEN for one in self.files):
            return REFUSALS
        return BREAKS if any(not one["agrees"] for one in self.runs) else AGREES

    def document(self) -> dict[str, object]:
        """The whole as JSON holds it."""
        failure = self.failure
        return {
            "ledger": self.ledger,
            "started": self.started_at.isoformat() if self.started_at else None,
            "ended": self.ended_at.isoformat() if self.ended_at else None,
            "exit_code": self.exit_code,
            "failure": {"reason": failure.reason, "message": failure.message} if failure else None,
            "files": self.files,
            "runs": self.runs,
        }


async def work_through(desk: StatementDesk, folder: Path, *, actor: str, result: FolderResult) -> None:
    """Everything that waits in the folder. Raises FolderBusy, and what keeps all of it from being done, such as a
    database that cannot be reached: what was done by then stays done, and stands in the result."""
    with _alone(folder):
        result.started_at = desk.now()
        for place in _places(folder, result.ledger):
            await _work(desk, folder, place, actor, result)
        result.ended_at = desk.now()


def write_result(result: FolderResult, path: Path) -> None:
    """Whole or not at all: a reader never sees half of it."""
    half = path.with_name(f".{path.name}.{os.getpid()}")
    half.write_text(json.dumps(result.document(), indent=2) + "\n")
    half.replace(path)


async def _work(desk: StatementDesk, folder: Path, place: _Place, actor: str, result: FolderResult) -> None:
    taken: list[Path] = []
    days: list[Days] = []
    for path in place.files:
        about: dict[str, object] = {"file": str(path.relative_to(folder))}
        try:
            books, _, imported = await desk.take_in(place.whose, _file(path), actor=actor)
        except (StatementRefused, AccountNotFound, TextInvalid) as error:
            about |= {"outcome": LEFT, "reason": error.reason, "message": error.message, **error.facts}
            if isinstance(error, StatementRefused):
                about["outcome"] = REFUSED
                _put_away(path, REFUSED)
        else:
            about |= {"outcome": TAKEN, **imported_summary(imported)}
            days.append(_days(books, imported))
            taken.append(path)
        result.files.append(about)
    if days:
        span = Days(min(one.first for one in days), max(one.last for one in days))
        _, account, run = await desk.reconcile(place.whose, days=span, actor=actor)
        result.runs.append({"account": account.path, "currency": account.currency, **run_summary(run)})
    for path in taken:
        _put_away(path, TAKEN)


def _days(ledger: Ledger, imported: Imported) -> Days:
    return Days(*(at.astimezone(ledger.zone).date() for at in (imported.from_at, imported.until_at)))


def _file(path: Path) -> StatementFile:
    columns = path.with_name(COLUMNS_FILE)
    return StatementFile(path=path, name=path.name, declared=columns.read_bytes() if columns.is_file() else None)


def _places(folder: Path, ledger: str) -> Iterator[_Place]:
    """Sub-accounts with something that waits. Links are not followed, and hidden names are nobody's: a file is put
    here whole, by renaming it."""
    root = folder.resolve()
    for path in sorted(folder.glob("*/" * (_DEPTH - 1) + "*")):
        provider, shortcode, sub_account = path.relative_to(folder).parts
        is_own = path.is_dir() and path.resolve() == root / path.relative_to(folder)
        waiting = [one for one in sorted(path.iterdir()) if _waits(one)] if is_own else []
        if waiting:
            whose = Whose(ledger=ledger, provider=provider, shortcode=shortcode, sub_account=sub_account)
            yield _Place(path, whose, waiting[:FILES_MAX])


def _waits(path: Path) -> bool:
    return (
        path.is_file()
        and not path.is_symlink()
        and not path.name.startswith(".")
        and path.suffix.lower() in (".csv", ".xlsx")
    )


def _put_away(path: Path, place: str) -> None:
    """Beside what came before it under the same name."""
    directory = path.parent / place
    directory.mkdir(exist_ok=True)
    target, number = directory / path.name, 1
    while target.exists():
        number += 1
        target = directory / f"{path.stem}-{number}{path.suffix}"
    path.replace(target)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """The lock goes with the process that holds it."""
    with (folder / LOCK_FILE).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise FolderBusy("another process works on this folder; it is left to that one", field="folder") from None
        yield
