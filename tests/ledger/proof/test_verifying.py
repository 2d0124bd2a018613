"""The verifier on files that somebody wrote: nothing breaks it, and nothing that was touched passes."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from typing import Any

import pytest

from ledger.errors import TextInvalid
from ledger.proof.chain import HEADER, LINE, Checkpoint, genesis, merkle_path, merkle_root
from ledger.proof.checking import check_export, check_receipt, read_forms, receipt_form
from ledger.proof.forms import checkpoint_form, read_checkpoint, seal_form
from ledger.proof.sealing import seal_documents
from ledger.proof.segments import out_of_order
from ledger.proof.verifying import Finding, Kind
from tests.ledger.proof.chains import KEY

LEDGER = "kenya"
WORSE: tuple[Any, ...] = (None, True, 1.5, -1, 2**70, "x", "\ud800", [], {}, [[]], "AAAA")
# What the verifier does not read: it is for people.
FOR_PEOPLE = {"name", "base_currency", "time_zone", "exported_at"}


def document(entry_id: int) -> dict[str, Any]:
    """An entry with two lines, recorded in minute `entry_id`."""
    header = dict.fromkeys(HEADER, "x") | {"id": entry_id, "recorded_at": f"2026-11-29T09:{entry_id:02}:00+00:00"}
    lines = [dict.fromkeys(LINE, "y") | {"line": number, "account": {"path": "a.b"}} for number in (1, 2)]
    return header | {"postings": lines, "reversals": []}


def export(*, count: int = 6, unsealed: int = 1) -> list[dict[str, Any]]:
    """The lines of an export: entries in sets of three, each with its checkpoint, and some that are not sealed yet."""
    lines: list[dict[str, Any]] = [{"kind": "ledger", "format": 1, "code": LEDGER, **dict.fromkeys(FOR_PEOPLE, "-")}]
    documents, before = [document(entry_id) for entry_id in range(1, count + 1)], genesis(LEDGER)
    for number, start in enumerate(range(0, count, 3), start=1):
        some = documents[start : start + 3]
        seals = seal_documents(LEDGER, some, key=KEY, position=start, before=before)
        before, digests = seals[-1].chain, [seal.digest for seal in seals]
        loose = Checkpoint(
            number, seals[0].position, seals[-1].position, merkle_root(digests), before, True,
            f"2026-11-29T09:{start + 3:02}:30+00:00", KEY.public.fingerprint,
        )  # fmt: skip
        signed = replace(loose, signature=KEY.sign(loose.signed_text(LEDGER)))
        lines += [seal_form(seal) | {"entry": entry} for seal, entry in zip(seals, some, strict=True)]
        lines.append(checkpoint_form(LEDGER, signed))
    lines += [{"kind": "unsealed", "entry": document(count + one)} for one in range(1, unsealed + 1)]
    return [*lines, {"kind": "end", "seals": count, "checkpoints": (count + 2) // 3, "unsealed": unsealed}]


def verified(lines: list[dict[str, Any]]) -> list[Finding]:
    """What the verifier finds."""
    file = io.BytesIO("".join(f"{json.dumps(line)}\n" for line in lines).encode())
    return check_export(read_forms(file), keys=[KEY.public]).findings


def test_an_export_as_it_was_written_has_no_findings() -> None:
    assert verified(export()) == []


PLACES = [(number, name) for number, line in enumerate(export()) for name in line if name not in FOR_PEOPLE]


@pytest.mark.parametrize(("number", "name"), PLACES)
def test_whatever_stands_in_a_field_breaks_nothing_and_is_found(number: int, name: str) -> None:
    kind = export()[number]["kind"]
    for worse in WORSE:
        lines = export()
        if worse == lines[number][name]:
            continue
        lines[number] = lines[number] | {name: worse}

        if kind == "ledger":
            with pytest.raises(TextInvalid):
                verified(lines)
        else:
            assert verified(lines), (kind, name, worse)


@pytest.mark.parametrize("worse", WORSE)
def test_whatever_an_entry_is_instead_is_found(worse: object) -> None:
    for name in (*HEADER, "postings", "reversals"):
        lines = export()
        entry = lines[2]["entry"]
        lines[2]["entry"] = entry | {name: worse}
        assert verified(lines) or worse == entry[name], name
    lines = export()
    lines[2]["entry"]["postings"] = [worse, worse]
    assert verified(lines)


def test_lines_that_are_no_lines_are_findings() -> None:
    head, *rest = (f"{json.dumps(line)}\n".encode() for line in export())
    for noise in (b"\xff\xfe\n", b"[]\n", b'{"kind": "other"}\n', b"[" * 100_000 + b"\n", b"x" * (1 << 21) + b"\n"):
        verifier = check_export(read_forms(io.BytesIO(b"".join([head, noise, *rest]))), keys=[KEY.public])

        assert {found.kind for found in verifier.findings} == {Kind.FILE}


def test_a_file_without_its_end_was_cut_off() -> None:
    found = verified(export()[:-1])

    assert [(one.kind, "cut off" in one.what) for one in found] == [(Kind.FILE, True)]


def test_entries_of_which_none_is_sealed_prove_nothing() -> None:
    found = verified(export(count=0, unsealed=3))

    assert [one.kind for one in found] == [Kind.CUT]


def test_an_entry_older_than_the_seals_by_more_than_ten_minutes_is_no_new_one() -> None:
    lines = export(count=18)
    old, new = (line["entry"] for line in export(count=0, unsealed=18)[1:-1:17])
    lines[-1]["unsealed"] = 3

    found = verified([*lines[:-1], {"kind": "unsealed", "entry": old}, {"kind": "unsealed", "entry": new}, lines[-1]])

    assert [(one.kind, one.entry_id) for one in found] == [(Kind.INSERTED, old["id"])]


def test_rows_that_stand_out_of_order_are_as_few_as_can_be() -> None:
    assert out_of_order([1, 2, 3]) == set()
    assert out_of_order([1, 5, 3, 4, 2, 6]) == {2, 5}
    assert out_of_order([]) == set()


def receipt() -> dict[str, Any]:
    """Of the second of the entries."""
    lines = export()
    documents = [document(entry_id) for entry_id in (1, 2, 3)]
    seals = seal_documents(LEDGER, documents, key=KEY, position=0, before=genesis(LEDGER))
    path = merkle_path([seal.digest for seal in seals], 1)
    over = read_checkpoint(lines[4], ledger=LEDGER)
    return receipt_form(LEDGER, documents[1], position=2, path=path, checkpoint=over)


def test_a_receipt_proves_nothing_once_it_was_touched() -> None:
    assert check_receipt(receipt(), keys=[KEY.public]) == ""
    for name in ("position", "entry", "path", "checkpoint"):
        for worse in (*WORSE, document(2) | {"kind": "y"}):
            try:
                why = check_receipt(receipt() | {name: worse}, keys=[KEY.public])
            except TextInvalid:
                continue
            assert why, (name, worse)
