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
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TypeAlias

from api.statements import StatementDesk, StatementFile, Whose
from api.statements_told import imported_summary, run_summary
from ledger.errors import AccountNotFound, LedgerError, RuleBroken, TextInvalid
from ledger.journal.books import Ledger
from ledger.reconciliation.importing import Imported
from ledger.reconciliation.reading import Days
from ledger.reconciliation.statement import StatementRefused

# Of a file: WAITING stays where it is for the next time, LEFT because its folder or its name is at fault.
WAITING, TAKEN, REFUSED, LEFT = "waiting", "taken", "refused", "left"
COLUMNS_FILE, LOCK_FILE = "columns.json", ".daftari-lock"
AGREES, BREAKS, REFUSALS, BUSY, FAILED = 0, 1, 2, 3, 4
FILES_MAX = 1_000
_DEPTH = 3


Say: TypeAlias = "Callable[[FolderResult], None]"


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
    """What became of each file and what each run found, as a program reads it; what kept the rest from being done, None
    where all was, and `at` what was worked on then, a file or the folder of a sub-account. A file that is in while its
    run is not recorded is WAITING, with its import beside it."""

    ledger: str
    started_at: datetime | None = None
    ended_at: datetime | None = None
    failure: LedgerError | None = None
    at: str | None = None
    files: list[dict[str, object]] = field(default_factory=list)
    runs: list[Mapping[str, object]] = field(default_factory=list)

    @property
    def exit_code(self) -> int | None:
        """FAILED before REFUSALS before BREAKS before AGREES; None before the end."""
        if self.failure is not None:
            return FAILED
        if self.ended_at is None:
            return None
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
            "failure": {"reason": failure.reason, "message": failure.message, "at": self.at} if failure else None,
            "files": self.files,
            "runs": self.runs,
        }


def survey(folder: Path, result: FolderResult) -> None:
    """Fills in the files that wait."""
    result.files = [_waiting(folder, path) for place in _places(folder, result.ledger) for path in place.files]


async def work_through(
    desk: StatementDesk, folder: Path, *, actor: str, result: FolderResult, say: Say = lambda result: None
) -> None:
    """Everything that waits in the folder; `say` hears the result as it is after each step, for whoever dies before the
    end. Raises FolderBusy, and what keeps all of it from being done, such as a database that cannot be reached: what
    was done by then stays done, and stands in the result."""
    with _alone(folder):
        result.started_at = desk.now()
        survey(folder, result)
        say(result)
        files = {str(one["file"]): one for one in result.files}
        for place in _places(folder, result.ledger):
            await _Work(desk, folder, actor, result, files).work(place)
            say(result)
        result.at, result.ended_at = None, desk.now()


def write_result(result: FolderResult, path: Path) -> None:
    """Whole or not at all: a reader never sees half of it."""
    half = path.with_name(f".{path.name}.{os.getpid()}")
    half.write_text(json.dumps(result.document(), indent=2) + "\n")
    half.replace(path)


@dataclass(frozen=True, slots=True)
class _Work:
    """One sub-account after the other; `files` are those of the result by their names."""

    desk: StatementDesk
    folder: Path
    actor: str
    result: FolderResult
    files: dict[str, dict[str, object]]

    async def work(self, place: _Place) -> None:
        """Takes its files in, holds the new days against the books, and puts away what that is recorded of."""
        taken: list[tuple[Path, Days]] = []
        for path in place.files:
            days = await self._take_in(place, path)
            if days is not None:
                taken.append((path, days))
        self.result.at = str(place.path.relative_to(self.folder))
        if taken:
            span = Days(min(days.first for _, days in taken), max(days.last for _, days in taken))
            _, account, run = await self.desk.reconcile(place.whose, days=span, actor=self.actor)
            self.result.runs.append({"account": account.path, "currency": account.currency, **run_summary(run)})
        for path, _ in taken:
            _put_away(path, TAKEN)
            self._about(path)["outcome"] = TAKEN

    async def _take_in(self, place: _Place, path: Path) -> Days | None:
        about = self._about(path)
        self.result.at = str(about["file"])
        try:
            books, _, imported = await self.desk.take_in(place.whose, _file(path), actor=self.actor)
        except (StatementRefused, AccountNotFound, TextInvalid) as error:
            about |= {"outcome": LEFT, "reason": error.reason, "message": error.message, **error.facts}
            if isinstance(error, StatementRefused):
                _put_away(path, REFUSED)
                about["outcome"] = REFUSED
            return None
        about |= imported_summary(imported)
        return _days(books, imported)

    def _about(self, path: Path) -> dict[str, object]:
        """The file's own part of the result; one that came since the survey is added."""
        waiting = _waiting(self.folder, path)
        if str(waiting["file"]) not in self.files:
            self.files[str(waiting["file"])] = waiting
            self.result.files.append(waiting)
        return self.files[str(waiting["file"])]


def _waiting(folder: Path, path: Path) -> dict[str, object]:
    return {"file": str(path.relative_to(folder)), "outcome": WAITING}


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
