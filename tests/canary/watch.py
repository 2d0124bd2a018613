"""Where the watch listens: log records, structlog's events, gRPC errors, HTTP refusals, metrics, commands' output.

Library classes are wrapped where everything of a channel passes; nothing of it changes. What the other side of the wire
says is not ours: the simulated provider, and the tests' own clients.
"""

from __future__ import annotations

import functools
import logging
import secrets
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

import grpc.aio
import pydantic
import starlette.responses
import structlog
import typer.testing

import api.metrics
from adapters.sandbox.settings import SandboxSettings
from adapters.transport import Secret
from tests.canary.allowed import ALLOWED
from tests.canary.birds import MADE_HERE, TYPED, Canaries, Leak, masked

ROOT = Path(__file__).parents[2]
_PRODUCT = tuple(f"{ROOT / folder}/" for folder in ("ledger", "adapters", "api", "migrations"))
_NOT_OURS = (f"{ROOT / 'tests'}/", f"{ROOT / 'adapters' / 'sandbox'}/")
_ITSELF = f"{Path(__file__).parent}/"
# Loggers of HTTP clients, which the provider's side and the tests use as well.
_SHARED = ("httpx", "httpcore")
# Who says most by far, all of it below WARNING.
_CHATTERERS = (
    "sqlalchemy.engine.Engine", "sqlalchemy.pool.impl.AsyncAdaptedQueuePool", "sqlalchemy.pool.impl.NullPool",
    "grpc._cython.cygrpc",
)  # fmt: skip
_SECRET_BYTES = 32
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


@dataclass(slots=True)
class Watch:
    """What was said since the last time somebody looked."""

    canaries: Canaries = field(default_factory=Canaries)
    _heard: list[tuple[str, str]] = field(default_factory=list, repr=False)

    def hear(self, place: str, text: str) -> None:
        """Keeps what was said at a place, for the next look."""
        self._heard.append((place, text))

    def hear_command(self, arguments: Sequence[str], *, out: str, err: str) -> None:
        """What a `daftari` command wrote."""
        words = [word for word in arguments[:2] if word.isalpha()]
        words += [word for word in arguments if word == "--sandbox"]
        name = f"`daftari {' '.join(words)}`"
        self.hear(f"stdout of {name}", out)
        self.hear(f"stderr of {name}", err)

    def leaks(self) -> list[str]:
        """One sentence for each place that leaked since the last look, with what leaked masked."""
        # Much is said again and again, statements above all.
        heard, self._heard = dict.fromkeys(self._heard), []
        if not self.canaries.in_output("\n".join(text for _, text in heard)):
            return []
        return list(dict.fromkeys(told for place, text in heard for told in self._told(place, text)))

    def _told(self, place: str, text: str) -> list[str]:
        found = [leak for leak in self.canaries.in_output(text) if (place, leak.what) not in ALLOWED]
        return [sentence(place, text, found)] if found else []


def sentence(place: str, text: str, leaks: list[Leak]) -> str:
    """What leaked where, without showing it."""
    kinds = ", ".join(dict.fromkeys(leak.what for leak in leaks))
    return f"{place} shows {kinds}: ...{masked(text, leaks)}..."


class _Handler(logging.Handler):
    """Hears every record of the standard library's logging."""

    def __init__(self, watch: Watch) -> None:
        super().__init__(logging.NOTSET)
        self._watch = watch

    def emit(self, record: logging.LogRecord) -> None:
        if record.name.startswith(_SHARED) and not _is_products(sys._getframe()):
            return
        text = record.getMessage()
        if record.exc_info:
            text += f"\n{logging.Formatter().formatException(record.exc_info)}"
        extra = vars(record).keys() - _STANDARD
        if extra:
            text += f"\n{ {name: vars(record)[name] for name in extra} }"
        self._watch.hear(f"log {record.name} {record.levelname}", text)


def _is_products(frame: FrameType | None) -> bool:
    """Whether the product called, rather than a test or the simulated provider: the nearest of them decides. Where none
    is, a test made a task of the library's own coroutine; the product awaits them itself."""
    while frame is not None:
        path = frame.f_code.co_filename
        if not path.startswith(_ITSELF):
            if path.startswith(_NOT_OURS):
                return False
            if path.startswith(_PRODUCT):
                return True
        frame = frame.f_back
    return False


class Ears:
    """The listening posts of a process, set up once."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch
        self._handler = _Handler(watch)

    def set_up(self) -> None:
        """Wraps what everything passes through, and learns what there is to look for."""
        self._learn()
        self._wrap(structlog.BoundLoggerBase, "_proxy_to_logger", self._event)
        self._wrap(grpc.aio.AioRpcError, "__init__", self._grpc_error)
        self._wrap(starlette.responses.Response, "__call__", self._http_answer)
        # A command sets logging up for its process, and means to be alone in it.
        self._wrap(typer.testing.CliRunner, "invoke", lambda *_, **__: self.close(), after=self._command)
        self._wrap(api.metrics, "generate_latest", None, after=self._metrics)
        for name in _CHATTERERS:
            self._shorten(logging.getLogger(name))
        self.open()

    def open(self) -> None:
        """Opens every logger to the bottom; a command that set logging up in this process closed them."""
        root = logging.getLogger()
        if self._handler not in root.handlers:
            root.addHandler(self._handler)
        root.setLevel(logging.DEBUG)
        logging.getLogger("sqlalchemy").setLevel(logging.DEBUG)  # it sets itself to WARNING when it is imported

    def _shorten(self, logger: logging.Logger) -> None:
        """Hears what a library chatters below WARNING without the cost of a record, which nobody else would keep."""
        whole = logger._log

        def log(level: int, message: object, arguments: Any, *args: Any, **kwargs: Any) -> None:
            if level < logging.WARNING and not kwargs.get("exc_info"):
                text = str(message) % arguments if arguments else str(message)
                self._watch.hear(f"log {logger.name} {logging.getLevelName(level)}", text)
            else:
                whole(level, message, arguments, *args, **kwargs)

        vars(logger)["_log"] = log

    def close(self) -> None:
        """Leaves the levels to whoever sets them now."""
        logging.getLogger("sqlalchemy").setLevel(logging.WARNING)

    def _learn(self) -> None:
        canaries = self._watch.canaries
        sandbox = SandboxSettings()
        for value in (sandbox.consumer_secret, sandbox.initiator_password, sandbox.passkey):
            canaries.know(value, TYPED)
        canaries.know(bytes(range(32)).hex(), "the installation's secret of the tests")
        self._wrap(secrets, "token_hex", None, after=lambda made, *_: self._made(bytes.fromhex(made)))
        self._wrap(secrets, "token_bytes", None, after=lambda made, *_: self._made(made))
        self._wrap(Secret, "__init__", lambda _, text: canaries.know(text, TYPED))
        self._wrap(pydantic.SecretStr, "__init__", lambda _, text: canaries.know(str(text), TYPED))

    def _made(self, value: bytes) -> None:
        if len(value) >= _SECRET_BYTES:
            self._watch.canaries.know_bytes(value, MADE_HERE)

    @staticmethod
    def _wrap(
        owner: Any, name: str, before: Callable[..., None] | None, *, after: Callable[..., None] | None = None
    ) -> None:
        """Has `before` hear a call's arguments and `after` its answer and arguments; the call itself is as it was."""
        wrapped = getattr(owner, name)

        @functools.wraps(wrapped)
        def call(*args: Any, **kwargs: Any) -> Any:
            if before is not None:
                before(*args, **kwargs)
            answer = wrapped(*args, **kwargs)
            if after is not None:
                after(answer, *args, **kwargs)
            return answer

        setattr(owner, name, call)

    def _event(self, logger: Any, method: str, event: Any = None, /, **values: Any) -> None:
        """A structlog event, before any processor masks or drops it."""
        self._watch.hear(f"log event {event} ({method})", f"{event} {logger._context} {values}")

    def _grpc_error(
        self, _error: Any, code: Any, initial: Any = None, trailing: Any = None, details: Any = None, *_: Any, **__: Any
    ) -> None:
        """A gRPC error as a client gets it: what the server sent."""
        self._watch.hear(f"gRPC error {code.name}, details", str(details))
        for name, value in (*(initial or ()), *(trailing or ())):
            text = value.decode("latin-1") if isinstance(value, bytes) else str(value)
            self._watch.hear(f"gRPC error {code.name}, metadata {name}", text)

    def _http_answer(self, response: Any, scope: Any, *_: Any) -> None:
        """What our own HTTP edge refuses with; the simulated provider has an application of its own."""
        ours = getattr(scope.get("app"), "title", "") == "Daftari"
        if ours and response.status_code >= 400:
            self._watch.hear(f"HTTP answer {response.status_code}", bytes(response.body).decode("utf-8", "replace"))

    def _command(self, result: Any, _runner: Any, _app: Any, arguments: Any = (), *_: Any, **__: Any) -> None:
        self._watch.hear_command(list(arguments or ()), out=result.stdout, err=result.stderr)
        self.open()

    def _metrics(self, text: bytes, *_: Any) -> None:
        self._watch.hear("metrics", text.decode())
