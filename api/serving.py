"""What a process runs: any of the roles grpc, http and worker over one application, started and stopped in order."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection
from dataclasses import dataclass

import structlog
from fastapi import Request, Response
from sqlalchemy import text as sql_text
from sqlalchemy.exc import DBAPIError

from adapters.collecting import RegistrationAnswer
from adapters.listener import Listener
from api.admission import Turn
from api.authentication import Authenticator
from api.caller import Caller
from api.core import Core, open_core
from api.facade import add_facade
from api.http import callbacks
from api.http.sources import Sources
from api.interceptors import Door
from api.metrics import CONTENT_TYPE, Metrics
from api.roles import ALL_ROLES, Role
from api.server import AddressUnavailable, GrpcServer, Tls, is_local
from api.services.adjustments import adjustment_services
from api.services.closings import closing_services
from api.services.collections import collection_services
from api.services.finance import finance_services
from api.services.journal import journal_services
from api.services.loans import loan_services
from api.services.partners import partner_services
from api.services.payout_commands import PayoutRequester
from api.services.payouts import open_requester, payout_services
from api.services.promotion_commands import CodeRedeemer
from api.services.promotions import open_redeemer, promotion_services
from api.services.prompts import prompt_services
from api.services.reconciliation import reconciliation_services
from api.services.redemption_counts import RedemptionCounts
from api.services.refunds import refund_services
from api.services.returns import return_services
from api.services.reviews import review_services
from api.services.text_messages import text_message_services
from api.services.vault import vault_services
from api.services.webhooks import webhook_services
from api.statement_desk import adjustment_desk, statement_desk
from api.wiring import Application, WorkerApplication
from api.worker import Worker
from ledger import partners
from ledger.collections.shortcodes import Shortcode
from ledger.database import transaction
from ledger.errors import Overloaded, TextInvalid
from ledger.journal.books import Ledger
from ledger.loans.settling import LoanCounter
from ledger.msisdn import Msisdn
from ledger.refunds import RefundDesk

log = structlog.get_logger(__name__)

GRACE_SECONDS = 10


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where a process listens; None for a role it does not have."""

    grpc: str | None
    http: str | None


@dataclass(frozen=True, slots=True)
class _Shared:
    """What the gRPC and the HTTP surface of a process share, so that their callers gather into the same sets."""

    core: Core
    requester: PayoutRequester
    redeemer: CodeRedeemer
    authenticator: Authenticator


class Service:
    """The roles of one process, over an application opened for them."""

    def __init__(self, application: Application, *, roles: Collection[Role] = ALL_ROLES) -> None:
        self._application = application
        self._roles = frozenset(roles)
        self._metrics = Metrics()
        self._shared: _Shared | None = None
        self._grpc: GrpcServer | None = None
        self._http: Listener | None = None
        self._worker: Worker | None = None
        self._working: asyncio.Task[None] | None = None

    async def start(self) -> Addresses:
        """Starts all of the roles, or none. Raises TextInvalid for settings that do not fit together, PlaintextRefused,
        AddressUnavailable where an address is taken."""
        try:
            return await self._start()
        except BaseException:
            await self.stop()
            raise

    async def _start(self) -> Addresses:
        """The callback edge comes first, for payouts need its address."""
        shared = self._shared = self._share()
        http = await self._start_http(shared) if Role.HTTP in self._roles else None
        if Role.WORKER in self._roles:
            self._start_worker(http)
        grpc = await self._start_grpc(shared) if Role.GRPC in self._roles else None
        return Addresses(grpc, http)

    async def stop(self) -> None:
        """Takes no more work, finishes what is under way, and leaves the rest in its queues."""
        if self._grpc is not None:
            await self._grpc.stop(grace_seconds=GRACE_SECONDS)
        if self._shared is not None:
            await self._shared.core.poster.close()
            await self._shared.requester.close()
            await self._shared.redeemer.close()
        if self._worker is not None and self._working is not None:
            self._worker.stop()
            await self._working
        if self._http is not None:
            await self._http.stop()

    async def _start_http(self, shared: _Shared) -> str:
        application = self._application
        host, port = parse_address(application.settings.http_listen, field="http_listen")
        self._http = Listener(host=host, port=port, grace_seconds=GRACE_SECONDS)
        settings = application.settings
        edge = callbacks.application(
            application.inbound(),
            questions=application.questions(),
            healthy=self._healthy,
            sources=Sources(allowed=settings.callback_sources, proxies=settings.callback_proxies),
            stored=lambda rail, kind: self._metrics.callbacks.labels(rail, kind).inc(),
        )
        edge.add_api_route("/metrics", self._scrape, methods=["GET"], include_in_schema=False)
        if is_local(settings.http_listen) or settings.http_behind_tls:
            add_facade(
                edge,
                application,
                shared.core,
                authenticator=shared.authenticator,
                requester=shared.requester,
                register=self._register if Role.WORKER in self._roles else None,
                monotonic=time.monotonic,
            )
        else:
            log.warning("rest.off", advice="set DAFTARI_HTTP_BEHIND_TLS where something in front of it ends TLS")
        try:
            return await self._http.start(edge)
        except OSError as error:
            raise AddressUnavailable(f"cannot listen on {settings.http_listen}: {error.strerror}") from error

    async def _scrape(self, request: Request) -> Response:
        """For this machine's scraper alone: floats and volumes are nobody else's business."""
        application = self._application
        peer = request.client.host if request.client else ""
        if "x-forwarded-for" in request.headers or not is_local(f"{peer}:0"):
            return Response(status_code=404)
        text = await self._metrics.exposition(application.engine, now=application.now)
        return Response(text, media_type=CONTENT_TYPE)

    def _observe(self, method: str, code: str, seconds: float) -> None:
        self._metrics.answered(method, code, seconds)

    async def _register(self, ledger: Ledger, shortcode: Shortcode, nominated: Msisdn | None) -> RegistrationAnswer:
        """Tells a provider where to tell of money that comes in, with the credentials of this process's worker."""
        if self._worker is None:
            raise Overloaded("the worker of this process is starting; repeat in a moment")
        return await self._worker.recovery.register(ledger, shortcode, nominated=nominated)

    def _start_worker(self, http: str | None) -> None:
        public_url = self._application.settings.public_url or http
        if public_url is None:
            raise TextInvalid(
                "set DAFTARI_PUBLIC_URL: a worker without the http role cannot know where providers call back",
                field="public_url",
            )
        assert isinstance(self._application, WorkerApplication), "a worker's application is opened for its role"
        self._worker = Worker(self._application, public_url=public_url)
        self._working = asyncio.create_task(self._worker.run())

    def _share(self) -> _Shared:
        application = self._application
        core = open_core(
            application.engine,
            directory=application.directory,
            ids=application.ids,
            now=application.now,
            monotonic=time.monotonic,
        )
        requester = open_requester(
            core, limits=application.payout_limits, party_keys=application.party_keys, monotonic=time.monotonic
        )
        redeemer = open_redeemer(core, redeemer=application.promotions.redeemer, monotonic=time.monotonic)
        return _Shared(core, requester, redeemer, Authenticator(self._authenticate, monotonic=time.monotonic))

    async def _start_grpc(self, shared: _Shared) -> str:
        application = self._application
        door = Door(shared.authenticator, monotonic=time.monotonic, observe=self._observe)
        services = journal_services(shared.core)
        services += payout_services(shared.core, requester=shared.requester, party_keys=application.party_keys)
        services += finance_services(shared.core)
        services += collection_services(
            shared.core, recorder=application.receipt_recorder, keys=application.receipt_keys
        )
        services += loan_services(
            shared.core,
            desk=application.loan_desk,
            disburser=application.loan_disburser,
            counter=LoanCounter(days=application.loan_days),
        )
        services += prompt_services(shared.core, recorder=application.prompt_recorder, rules=application.prompt_rules)
        services += promotion_services(
            shared.core,
            parts=application.promotions,
            redeemer=shared.redeemer,
            counts=RedemptionCounts(lambda result: self._metrics.redemption_attempts.labels(result).inc()),
        )
        turn = Turn()
        services += reconciliation_services(shared.core, desk=statement_desk(application), turn=turn)
        services += adjustment_services(shared.core, desk=adjustment_desk(application), turn=turn)
        services += closing_services(shared.core)
        services += refund_services(shared.core, desk=RefundDesk(application.receipt_recorder))
        services += return_services(shared.core, recorder=application.return_recorder)
        services += partner_services(shared.core)
        services += review_services(shared.core, recorder=application.recorder, returns=application.return_recorder)
        services += text_message_services(shared.core)
        services += vault_services(shared.core, writer=application.vault_writer)
        services += webhook_services(shared.core, sealer=application.webhook_sealer, rules=application.webhook_rules)
        self._grpc = GrpcServer(services, door=door)
        address = application.settings.grpc_listen
        port = await self._grpc.start(address, tls=self._tls())
        return f"{address.rpartition(':')[0]}:{port}"

    def _tls(self) -> Tls | None:
        settings = self._application.settings
        if settings.tls_certificate is None or settings.tls_key is None:
            return None
        return Tls(certificate_chain=settings.tls_certificate.read_bytes(), private_key=settings.tls_key.read_bytes())

    async def _authenticate(self, key: str) -> Caller:
        async with transaction(self._application.engine) as connection:
            holder = await partners.authenticate(connection, key=key, now=self._application.now())
        return Caller(
            client_id=holder.client_id,
            name=holder.name,
            ledger_id=holder.ledger_id,
            partner_id=holder.partner_id,
            permissions=holder.permissions,
        )

    async def _healthy(self) -> bool:
        try:
            async with transaction(self._application.engine) as connection:
                await connection.execute(sql_text("SELECT 1"))
        except (DBAPIError, TimeoutError):
            return False
        return True


def parse_address(address: str, *, field: str) -> tuple[str, int]:
    """("127.0.0.1", 8080) from "127.0.0.1:8080". Raises TextInvalid."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65_535:
        raise TextInvalid("write an address as HOST:PORT, such as 127.0.0.1:8080", field=field)
    return host.strip("[]"), int(port)
