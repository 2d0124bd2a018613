"""The statements of the instruction queue for each subject: the same ones, about another table."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import LiteralString

from psycopg import sql


class Subject(enum.Enum):
    """What an instruction can be about. The value is the first word of its kinds."""

    PAYOUT = "payout"
    PROMPT = "prompt"
    RETURN = "return"
    RECEIPT = "receipt"
    SMS = "sms"


@dataclass(frozen=True, slots=True, kw_only=True)
class Statements:
    """What the queue says to PostgreSQL about one subject."""

    enqueue: bytes
    claim: bytes
    rest_oldest: bytes
    complete: bytes
    reopen: bytes
    find_begun: bytes
    hint: bytes
    find_platforms: bytes


_ENQUEUE = """
INSERT INTO instructions (ledger_id, id, kind, {key}, due_at)
SELECT %s, i.id, %s, i.subject_id, %s FROM unnest(%s::bigint[], %s::bigint[]) AS i (id, subject_id)
ON CONFLICT (ledger_id, {key}, kind) DO NOTHING
"""
# The oldest due first; nothing leaves over a stopped rail or for a suspended partner, but questions do, and what is
# lost, and so will not be sent, is told at once; rows another worker is claiming are skipped, not waited for.
_CLAIM = """
WITH due AS (
    SELECT i.ledger_id, i.id, i.hinted FROM instructions AS i
    JOIN {table} AS p ON p.ledger_id = i.ledger_id AND p.id = i.{key}
    WHERE i.done_at IS NULL AND i.due_at <= %(now)s AND (i.kind = ANY({questions}) OR NOT EXISTS (
        SELECT FROM rail_stops AS s WHERE s.ledger_id = p.ledger_id AND s.rail = p.{rail} AND s.resumed_at IS NULL
    ) {unless_suspended} OR EXISTS (
        SELECT FROM attempts AS a WHERE a.ledger_id = i.ledger_id AND a.instruction_id = i.id
           AND a.number = i.attempts AND a.finished_at IS NULL
    ))
    AND i.kind = ANY(%(kinds)s) AND p.{rail} = ANY(%(rails)s)
    ORDER BY i.due_at, i.ledger_id, i.id LIMIT %(limit)s FOR NO KEY UPDATE OF i, p SKIP LOCKED
), claimed AS (
    UPDATE instructions AS i SET attempts = i.attempts + 1, lease_token = %(token)s, due_at = %(lease_until)s,
        hinted = false
    FROM due WHERE i.ledger_id = due.ledger_id AND i.id = due.id
    RETURNING i.ledger_id, i.id, i.kind, i.{key}, i.attempts, due.hinted
)
SELECT c.ledger_id, c.id, c.kind, c.{key}, c.attempts, last.number IS NOT NULL AS lost, c.hinted
FROM claimed AS c LEFT JOIN attempts AS last
  ON last.ledger_id = c.ledger_id AND last.instruction_id = c.id AND last.number = c.attempts - 1
 AND last.finished_at IS NULL
ORDER BY c.ledger_id, c.kind, c.{key}
"""
_UNLESS_SUSPENDED = """AND NOT EXISTS (
        SELECT FROM partners AS w WHERE w.ledger_id = p.ledger_id AND w.id = p.partner_id AND w.suspended_at IS NOT NULL
    )"""
_REST_OLDEST = """
UPDATE instructions AS i SET due_at = %(until)s
FROM (SELECT i.ledger_id, i.id FROM instructions AS i
      JOIN {table} AS p ON p.ledger_id = i.ledger_id AND p.id = i.{key}
      WHERE i.done_at IS NULL AND i.due_at <= %(now)s AND i.kind = ANY(%(kinds)s) AND p.{rail} = ANY(%(rails)s)
      ORDER BY i.due_at, i.ledger_id, i.id LIMIT 1 FOR NO KEY UPDATE OF i SKIP LOCKED) AS first
WHERE i.ledger_id = first.ledger_id AND i.id = first.id RETURNING i.{key}
"""
_COMPLETE = """
UPDATE instructions SET done_at = %s, lease_token = NULL
WHERE ledger_id = %s AND {key} = ANY(%s) AND done_at IS NULL
"""
_REOPEN = """
UPDATE instructions SET done_at = NULL, due_at = %s
WHERE ledger_id = %s AND kind = %s AND {key} = ANY(%s) AND done_at IS NOT NULL
"""
_FIND_BEGUN = """
SELECT {key} FROM instructions WHERE ledger_id = %s AND kind = %s AND {key} = ANY(%s) AND attempts > 0
"""
# Not sooner than a while after it was asked last, so that a hint told fifty times asks once; and whoever is asking just
# now does not put it off again.
_HINT = """
UPDATE instructions AS i SET hinted = true, done_at = NULL, lease_token = NULL, due_at = greatest(%(now)s, (
    SELECT max(a.started_at) + %(rest)s FROM attempts AS a WHERE a.ledger_id = i.ledger_id AND a.instruction_id = i.id))
WHERE i.ledger_id = %(ledger)s AND i.kind = %(kind)s AND i.{key} = ANY(%(subjects)s)
"""
_FIND_PLATFORMS = """
SELECT {key}, platform FROM instructions
WHERE ledger_id = %s AND kind = %s AND {key} = ANY(%s) AND platform IS NOT NULL
"""


def _statements_about(
    table: LiteralString,
    key: LiteralString,
    *,
    questions: Sequence[str],
    rail: LiteralString = "rail",
    unless: LiteralString = "",
) -> Statements:
    """The statements about the rows of a table, which instructions name by a column. `questions` are the kinds that go
    out though the rail is stopped; `unless` is what else holds the others back."""
    names: dict[str, sql.Composable] = {
        "table": sql.Identifier(table),
        "key": sql.Identifier(key),
        "rail": sql.Identifier(rail),
        "questions": sql.Literal(list(questions)),
        "unless_suspended": sql.SQL(unless),
    }

    def compose(text: LiteralString) -> bytes:
        return sql.SQL(text).format(**names).as_bytes(None)

    return Statements(
        enqueue=compose(_ENQUEUE),
        claim=compose(_CLAIM),
        rest_oldest=compose(_REST_OLDEST),
        complete=compose(_COMPLETE),
        reopen=compose(_REOPEN),
        find_begun=compose(_FIND_BEGUN),
        hint=compose(_HINT),
        find_platforms=compose(_FIND_PLATFORMS),
    )


STATEMENTS: Mapping[Subject, Statements] = {
    Subject.PAYOUT: _statements_about("payouts", "payout_id", questions=["payout.query"], unless=_UNLESS_SUSPENDED),
    Subject.PROMPT: _statements_about("prompts", "prompt_id", questions=["prompt.query"], unless=_UNLESS_SUSPENDED),
    Subject.RETURN: _statements_about("returns", "return_id", questions=["return.silence", "return.query"]),
    Subject.RECEIPT: _statements_about("receipts", "receipt_id", questions=["receipt.query"], rail="provider"),
    Subject.SMS: _statements_about("sms_messages", "sms_id", questions=[], rail="provider"),
}
