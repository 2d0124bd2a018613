"""A connection that can say several things at once: the statements of one exchange share a round trip, and the last
one of a transaction travels with its COMMIT.

psycopg sends a statement, waits for its answer and sends the next, and its own pipeline sends each one by itself. Where
small sets are posted, most of the time went into that waiting; here libpq's pipeline mode is used as it is.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias, cast

import psycopg
from psycopg import abc, pq
from psycopg.adapt import Transformer
from psycopg.errors import InvalidSqlStatementName, error_from_result
from psycopg.rows import TupleRow, tuple_row
from psycopg.waiting import Ready, Wait

_PLACEHOLDER = re.compile(r"%\((\w+)\)s")
_numbers = itertools.count(1)

Rows: TypeAlias = list[TupleRow]
_Answers: TypeAlias = list[pq.abc.PGresult]


class Statement:
    """A statement that each session prepares once, with placeholders like `%(ledger)s`. Make it once, in a module."""

    __slots__ = ("_names", "name", "sql")

    def __init__(self, sql: str) -> None:
        self._names = tuple(dict.fromkeys(_PLACEHOLDER.findall(sql)))
        numbers = {name: f"${number}" for number, name in enumerate(self._names, start=1)}
        self.sql = _PLACEHOLDER.sub(lambda match: numbers[match.group(1)], sql).encode()
        self.name = f"daftari_{next(_numbers)}".encode()

    def asked(self, values: Mapping[str, object]) -> Asked:
        """The statement with its values, which are sent as str() writes them, None as NULL: numbers, texts, and arrays
        in PostgreSQL's own text form."""
        return Asked(self, [None if values[name] is None else str(values[name]).encode() for name in self._names])


@dataclass(frozen=True, slots=True)
class Asked:
    """A statement and the values it is to be carried out with."""

    statement: Statement
    values: Sequence[bytes | None]


_BEGIN, _COMMIT = b"BEGIN", b"COMMIT"


class Session(psycopg.AsyncConnection[TupleRow]):
    """What the engine's connections are underneath."""

    def __init__(self, pgconn: pq.abc.PGconn) -> None:
        super().__init__(pgconn, row_factory=tuple_row)
        self._at_hand: set[Statement] = set()
        self._deferred: list[Asked] = []

    async def exchange(self, *asked: Asked) -> list[Rows]:
        """The rows of each statement, in order, after one round trip. Begins a transaction where none is under way, as
        execute() does. Raises the psycopg.Error of the first that failed; those behind it were not carried out."""
        assert not self._deferred, "nothing may follow what goes with COMMIT"
        if self.pgconn.transaction_status == pq.TransactionStatus.IDLE and not self.autocommit:
            return (await self._exchange([_BEGIN, *asked]))[1:]
        return await self._exchange(asked)

    def defer(self, asked: Asked) -> None:
        """Sends a statement together with the COMMIT that comes next, which raises what the statement would raise."""
        self._deferred.append(asked)

    async def commit(self) -> None:
        """COMMIT, right behind what was deferred."""
        if not self._deferred:
            await super().commit()
            return
        deferred, self._deferred = self._deferred, []
        await self._exchange([*deferred, _COMMIT])

    async def rollback(self) -> None:
        """ROLLBACK. What was deferred is never sent."""
        self._deferred = []
        if self.pgconn.transaction_status != pq.TransactionStatus.IDLE:
            # psycopg then has the server forget every prepared statement, ours among them.
            self._at_hand.clear()
        await super().rollback()

    async def _exchange(self, asked: Sequence[Asked | bytes]) -> list[Rows]:
        async with self.lock:
            new = {one.statement for one in asked if isinstance(one, Asked)} - self._at_hand
            if new:
                await self.wait(self._prepare(new))
                self._at_hand |= new
            try:
                answers = await self.wait(self._carry_out(asked))
            except InvalidSqlStatementName:
                self._at_hand.clear()  # forgotten behind our back; the transaction is run again, see database.run
                raise
        transformer = Transformer(self)
        return [_rows(transformer, answer) for answer in answers]

    def _prepare(self, statements: set[Statement]) -> abc.PQGen[None]:
        self.pgconn.enter_pipeline_mode()
        for statement in statements:
            self.pgconn.send_close_prepared(statement.name)  # no error where there is none
            self.pgconn.send_prepare(statement.name, statement.sql)
        yield from self._answers()

    def _carry_out(self, asked: Sequence[Asked | bytes]) -> abc.PQGen[_Answers]:
        self.pgconn.enter_pipeline_mode()
        for one in asked:
            if isinstance(one, Asked):
                self.pgconn.send_query_prepared(one.statement.name, one.values)
            else:
                self.pgconn.send_query_params(one, None)
        return (yield from self._answers())

    def _answers(self) -> abc.PQGen[_Answers]:
        """Sends what was queued and returns the answers to it, one each. A connection that breaks meanwhile is closed,
        and so is one whose caller leaves without them."""
        pgconn, answers = self.pgconn, list[pq.abc.PGresult]()
        try:
            pgconn.pipeline_sync()
            while pgconn.flush():
                if (yield Wait.RW) & Ready.R:
                    pgconn.consume_input()
            while not answers or answers[-1].status != pq.ExecStatus.PIPELINE_SYNC:
                yield Wait.R
                pgconn.consume_input()
                answers += _arrived(pgconn)
            pgconn.exit_pipeline_mode()
        except BaseException:
            pgconn.finish()
            raise
        for answer in answers:
            if answer.status == pq.ExecStatus.FATAL_ERROR:
                raise error_from_result(answer, encoding=self.info.encoding)
        return answers[:-1]


def _arrived(pgconn: pq.abc.PGconn) -> _Answers:
    """The answers that are here already, up to the end of the exchange."""
    answers = list[pq.abc.PGresult]()
    while not pgconn.is_busy():
        answer = pgconn.get_result()
        if answer is not None:  # else the end of one statement's answers
            answers.append(answer)
            if answer.status == pq.ExecStatus.PIPELINE_SYNC:
                break
    return answers


def _rows(transformer: abc.Transformer, answer: pq.abc.PGresult) -> Rows:
    if answer.status != pq.ExecStatus.TUPLES_OK:
        return []
    transformer.set_pgresult(answer)
    return transformer.load_rows(0, answer.ntuples, tuple)


def plain_array(values: Iterable[object]) -> str:
    """An array of numbers, dates and codes, what needs no quotes, as PostgreSQL writes it. None stands for NULL.

    psycopg makes the same of a list, at ten times the price: it asks every element for its type."""
    return "{" + ",".join(["NULL" if value is None else str(value) for value in values]) + "}"


def text_array(values: Sequence[str | None]) -> str:
    """An array of any text, likewise."""
    if None not in values:
        together = '","'.join(cast("Sequence[str]", values))
        # Nothing to escape, as in nearly every column: no quote but those between the values.
        if values and "\\" not in together and together.count('"') == 2 * (len(values) - 1):
            return f'{{"{together}"}}'
    return "{" + ",".join(["NULL" if value is None else _quoted(value) for value in values]) + "}"


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
