"""A document that finance people take away: a title, what it is of, columns, rows and totals; and its three forms. A
spreadsheet takes no text of it for a formula.

Figures are minor units with their currency until they are written."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import TypeAlias, assert_never

from fpdf import FPDF
from fpdf.fonts import FontFace
from openpyxl import Workbook
from openpyxl.cell import WriteOnlyCell
from openpyxl.styles import Font
from openpyxl.utils import get_column_letter
from openpyxl.worksheet._write_only import WriteOnlyWorksheet

from api.tables import RIGHT
from ledger.errors import ChoiceInvalid, SetTooLarge
from ledger.money import decimal_text, exponent_of, format_minor_units

PDF_ROWS_MAX = 5_000
# What a spreadsheet holds exactly; larger figures are written as text.
_EXACT_MAX = 10**15
_FORMULA = re.compile(r"^\s*[=+\-@']")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_BOLD = Font(bold=True)
_CELL_MARGINS = 4.0  # both sides of a column in a PDF, in millimetres
_RULE_GREY, _RULE_MILLIMETRES = 170, 0.1  # between the rows of a PDF
_SHEET_WIDTHS = (9, 60)  # of a spreadsheet's columns, in characters


@dataclass(frozen=True, slots=True)
class Figure:
    """An amount."""

    minor_units: int
    currency: str


Cell: TypeAlias = str | Figure


@dataclass(frozen=True, slots=True)
class Row:
    """One line; totals are set apart and not counted."""

    cells: tuple[Cell, ...]
    is_total: bool = False


@dataclass(frozen=True, slots=True)
class Part:
    """A table with a title of its own; a column whose heading begins with ">" is set flush right."""

    title: str
    columns: tuple[str, ...]
    rows: Sequence[Row]

    @property
    def headings(self) -> tuple[str, ...]:
        """The columns' names."""
        return tuple(column.removeprefix(RIGHT) for column in self.columns)


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """What is written. `facts` are labelled: the ledger, its zone, the days; `parts` follow its own table."""

    title: str
    facts: tuple[tuple[str, str], ...]
    columns: tuple[str, ...]
    rows: Sequence[Row]
    parts: Sequence[Part] = ()

    @property
    def head(self) -> tuple[tuple[str, str], ...]:
        """The facts, and how many rows there are beside the totals."""
        return (*self.facts, ("rows", str(sum(not row.is_total for row in self.rows))))

    @property
    def tables(self) -> tuple[Part, ...]:
        """Its own table, under no title but the document's, and the parts."""
        return (Part("", self.columns, self.rows), *self.parts)


def write_document(document: Document, path: Path) -> None:
    """Writes the form that the file's name ends with: .csv, .xlsx or .pdf. Raises ChoiceInvalid, and SetTooLarge for a
    PDF of more than PDF_ROWS_MAX rows."""
    match path.suffix.lower():
        case ".csv":
            _write_csv(document, path)
        case ".xlsx":
            _write_xlsx(document, path)
        case ".pdf":
            _write_pdf(document, path)
        case _:
            raise ChoiceInvalid("name a file that ends in .csv, .xlsx or .pdf", field="out")


def harmless(text: str) -> str:
    """The text as a spreadsheet shows it and calculates nothing: control characters are spaces, and what could begin a
    formula follows an apostrophe, as one does that was there before. Pure."""
    plain = _CONTROL.sub(" ", text)
    return f"'{plain}" if _FORMULA.match(plain) else plain


def written(cell: Cell) -> str:
    """A cell for people."""
    match cell:
        case str():
            return cell
        case Figure():
            return format_minor_units(cell.minor_units, cell.currency)
        case _:
            assert_never(cell)


def _write_csv(document: Document, path: Path) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([harmless(document.title)])
        writer.writerows([(label, harmless(value)) for label, value in document.head])
        for part in document.tables:
            writer.writerow([])
            if part.title:
                writer.writerow([harmless(part.title)])
            writer.writerow(part.headings)
            writer.writerows([[_in_csv(cell) for cell in row.cells] for row in part.rows])


def _in_csv(cell: Cell) -> str:
    return harmless(cell) if isinstance(cell, str) else decimal_text(cell.minor_units, cell.currency)


def _write_xlsx(document: Document, path: Path) -> None:
    book = Workbook(write_only=True)
    sheet: WriteOnlyWorksheet = book.create_sheet(document.title[:31])
    for place, width in enumerate(_sheet_widths(document), start=1):
        sheet.column_dimensions[get_column_letter(place)].width = width
    sheet.append([_text_cell(sheet, document.title, bold=_BOLD)])
    for label, value in document.head:
        sheet.append([_text_cell(sheet, label), _text_cell(sheet, value)])
    for part in document.tables:
        sheet.append([])
        if part.title:
            sheet.append([_text_cell(sheet, part.title, bold=_BOLD)])
        sheet.append([_text_cell(sheet, heading, bold=_BOLD) for heading in part.headings])
        for row in part.rows:
            sheet.append([_in_xlsx(sheet, cell, bold=_BOLD if row.is_total else None) for cell in row.cells])
    book.save(path)


def _sheet_widths(document: Document) -> list[int]:
    """Each column as wide as its longest text in any table, within bounds: a figure that does not fit shows none of
    itself."""
    longest: dict[int, int] = {}
    for part in document.tables:
        for cells in (part.headings, *(row.cells for row in part.rows)):
            for place, cell in enumerate(cells):
                longest[place] = max(longest.get(place, 0), len(written(cell)) + 2)
    narrowest, widest = _SHEET_WIDTHS
    return [min(max(longest[place], narrowest), widest) for place in sorted(longest)]


def _in_xlsx(sheet: WriteOnlyWorksheet, cell: Cell, *, bold: Font | None) -> WriteOnlyCell:
    if isinstance(cell, str) or abs(cell.minor_units) >= _EXACT_MAX:
        return _text_cell(sheet, written(cell), bold=bold)
    exponent = exponent_of(cell.currency)
    made = WriteOnlyCell(sheet, Decimal(cell.minor_units).scaleb(-exponent))
    made.number_format = "#,##0" + ("." + "0" * exponent if exponent else "")
    if bold is not None:
        made.font = bold
    return made


def _text_cell(sheet: WriteOnlyWorksheet, text: str, *, bold: Font | None = None) -> WriteOnlyCell:
    made = WriteOnlyCell(sheet, _CONTROL.sub(" ", text))
    made.data_type = "s"  # never "f": what begins with an equals sign is text as well
    if bold is not None:
        made.font = bold
    return made


class _Page(FPDF):
    """Numbers its pages."""

    def footer(self) -> None:
        self.set_y(-12)
        self.set_font("helvetica", size=7)
        self.cell(0, 5, f"{self.page_no()} / {{nb}}", align="R")


def _write_pdf(document: Document, path: Path) -> None:
    if sum(len(part.rows) for part in document.tables) > PDF_ROWS_MAX:
        raise SetTooLarge(f"a PDF holds {PDF_ROWS_MAX:,} rows; write this one as .csv or .xlsx", field="out")
    page = _Page(orientation="landscape", format="A4")
    page.set_auto_page_break(auto=True, margin=15)
    page.add_page()
    page.set_font("helvetica", style="B", size=13)
    page.cell(0, 8, _in_pdf(document.title), new_x="LMARGIN", new_y="NEXT")
    page.set_font("helvetica", size=8)
    for label, value in document.head:
        page.cell(0, 4.5, _in_pdf(f"{label}: {value}"), new_x="LMARGIN", new_y="NEXT")
    page.set_draw_color(_RULE_GREY)
    page.set_line_width(_RULE_MILLIMETRES)
    for part in document.tables:
        page.ln(3)
        if part.title:
            page.set_font("helvetica", style="B", size=9)
            page.cell(0, 6, _in_pdf(part.title), new_x="LMARGIN", new_y="NEXT")
            page.set_font("helvetica", size=8)
        _table_in_pdf(page, part)
    page.output(str(path))


def _table_in_pdf(page: _Page, part: Part) -> None:
    with page.table(
        col_widths=_widths(page, part),
        text_align=["RIGHT" if column.startswith(RIGHT) else "LEFT" for column in part.columns],
        borders_layout="HORIZONTAL_LINES",
        line_height=4.5,
    ) as table:
        table.row([_in_pdf(heading) for heading in part.headings])
        for row in part.rows:
            style = FontFace(emphasis="BOLD") if row.is_total else None
            table.row([_in_pdf(written(cell)) for cell in row.cells], style=style)


def _widths(page: _Page, part: Part) -> tuple[float, ...]:
    """As wide as the longest text of each column; where a page is too narrow for all, the widest ones are cut alike."""
    page.set_font("helvetica", style="B", size=8)
    widest = [page.get_string_width(_in_pdf(heading)) for heading in part.headings]
    page.set_font("helvetica", size=8)
    for row in part.rows:
        texts = [page.get_string_width(_in_pdf(written(cell))) for cell in row.cells]
        widest = [max(pair) for pair in zip(widest, texts, strict=True)]
    wanted = [width + _CELL_MARGINS for width in widest]
    return tuple(min(width, _level(wanted, page.epw)) for width in wanted)


def _level(wanted: Sequence[float], room: float) -> float:
    """How wide the widest may be for all of them to fit. Pure."""
    left, waiting = room, sorted(wanted)
    while len(waiting) > 1 and waiting[0] <= left / len(waiting):
        left -= waiting.pop(0)
    return left / len(waiting)


def _in_pdf(text: str) -> str:
    """The font that every reader has knows Latin letters alone."""
    return _CONTROL.sub(" ", text).encode("latin-1", "replace").decode("latin-1")
