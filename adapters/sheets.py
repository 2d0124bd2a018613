"""Rows of a CSV or XLSX file, one at a time and bounded: size, decompression, columns; no macros, no formulas.

A cell is text, a number or a moment; what it means is its reader's business. Text of a CSV file that looks like a
formula stays text: whoever pays may type it, and must not be able to keep a statement out.
"""

from __future__ import annotations

import csv
import io
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import closing
from datetime import date, datetime
from pathlib import Path
from typing import IO, TypeAlias

from openpyxl import load_workbook
from openpyxl.utils.exceptions import InvalidFileException

from ledger.reconciliation.statement import refused

Cell: TypeAlias = str | int | float | datetime
Row: TypeAlias = tuple[int, list[Cell]]

BYTES_MAX = 512 * 2**20
UNPACKED_MAX = 2 * 2**30
RATIO_MAX = 200
COLUMNS_MAX = 64
ROWS_MAX = 5_000_000
_XLSX, _XLS = b"PK\x03\x04", b"\xd0\xcf\x11\xe0"
_MEMBERS_MAX = 200
# What a damaged archive or damaged XML makes of reading it.
_UNREADABLE = (
    zipfile.BadZipFile, InvalidFileException, KeyError, IndexError, SyntaxError, EOFError, OSError, ValueError,
    TypeError, zlib.error,
)  # fmt: skip
_FORBIDDEN = ("vbaproject", "externallink", "activex", "embeddings", "macrosheet")


def read_rows(path: Path) -> Iterator[Row]:
    """(row number from 1, cells) of a CSV file or of the first sheet of an XLSX file. Raises StatementRefused."""
    size = path.stat().st_size
    if size > BYTES_MAX:
        raise refused(f"the file is larger than {BYTES_MAX // 2**20} MiB; export a shorter period")
    with path.open("rb") as file:
        magic = file.read(4)
        file.seek(0)
        if magic == _XLS:
            raise refused("an old .xls workbook; save it as .xlsx or .csv")
        rows = _sheet(file) if magic == _XLSX else _csv(file)
        for number, cells in rows:
            if len(cells) > COLUMNS_MAX:
                raise refused(f"more than {COLUMNS_MAX} columns", row=number)
            if number > ROWS_MAX:
                raise refused(f"more than {ROWS_MAX:,} rows; export a shorter period")
            yield number, cells


def _csv(file: IO[bytes]) -> Iterator[Row]:
    number = 0
    with io.TextIOWrapper(file, encoding="utf-8-sig", errors="strict", newline="") as text:
        try:
            for cells in csv.reader(text, strict=True):
                number += 1
                if any("\0" in one for one in cells):
                    raise refused("a NUL character: this is no text file", row=number)
                yield number, list(cells)
        except UnicodeDecodeError:
            raise refused("not UTF-8 from here on; export the file again", row=number + 1) from None
        except csv.Error as error:
            raise refused(f"not a row of a CSV file: {error}", row=number + 1) from None


def _sheet(file: IO[bytes]) -> Iterator[Row]:
    try:
        _check_archive(file)
        with closing(load_workbook(file, read_only=True, data_only=False, keep_links=False)) as book:
            sheet = book.worksheets[0]
            sheet.reset_dimensions()
            for number, cells in enumerate(sheet.iter_rows(), start=1):
                row = [_cell(one.value, one.data_type, number) for one in cells]
                while row and row[-1] == "":
                    row.pop()
                yield number, row
    except _UNREADABLE as error:
        raise refused(f"not a workbook that can be read: {type(error).__name__}") from None


def _check_archive(file: IO[bytes]) -> None:
    with zipfile.ZipFile(file) as archive:
        members = archive.infolist()
        packed = sum(one.compress_size for one in members)
        unpacked = sum(one.file_size for one in members)
        if len(members) > _MEMBERS_MAX or unpacked > UNPACKED_MAX or unpacked > RATIO_MAX * max(packed, 1):
            raise refused("the workbook unpacks to more than a statement can be")
        for one in members:
            if any(word in one.filename.lower() for word in _FORBIDDEN):
                raise refused("the workbook holds macros or links; save it as a plain .xlsx or .csv")
            if one.filename.endswith((".xml", ".rels")):
                with archive.open(one) as member:
                    if b"<!DOCTYPE" in member.read(65_536):
                        raise refused("the workbook declares entities, which no statement does")
    file.seek(0)


def _cell(value: object, data_type: str, number: int) -> Cell:
    if data_type == "f":
        raise refused("a formula; a statement holds values alone", row=number)
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str | int | float | datetime):
        return value
    if isinstance(value, date):
        return value.isoformat()
    raise refused("a cell that is no text, number or moment", row=number)
