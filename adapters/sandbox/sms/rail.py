"""The simulated providers' HTTP APIs, at their paths."""

from __future__ import annotations

import json
from urllib.parse import parse_qs

from fastapi import APIRouter, Request, Response
from starlette.background import BackgroundTask

from adapters.sandbox.listener import RoughListener
from adapters.sandbox.sms.world import AFRICASTALKING, PINDO, SMS_KEY, SMS_USERNAME, Sent, SmsSimulation

_REFUSALS = {
    "invalid-number": ("InvalidPhoneNumber", 403),
    "blacklisted": ("UserInBlacklist", 406),
    "no-balance": ("InsufficientBalance", 405),
}


class SmsRails:
    """The handlers."""

    def __init__(self, simulation: SmsSimulation, listener: RoughListener) -> None:
        self._simulation = simulation
        self._listener = listener

    def router(self) -> APIRouter:
        """The routes."""
        router = APIRouter()
        router.add_route("/version1/messaging", self.africastalking, methods=["POST"])
        router.add_route("/v1/sms/", self.pindo, methods=["POST"])
        return router

    async def africastalking(self, request: Request) -> Response:
        """Sends to the one recipient of a form; what is refused is told with HTTP 201."""
        simulation = self._simulation
        simulation.calls[AFRICASTALKING] += 1
        form = {name: values[0] for name, values in parse_qs((await request.body()).decode()).items()}
        to = form.get("to", "")
        behaviour = simulation.choose(to)
        allowed = request.headers.get("apikey") == SMS_KEY and form.get("username") == SMS_USERNAME
        if not allowed or behaviour == "access-refused":
            return Response("The supplied authentication is invalid", status_code=401, media_type="text/plain")
        if behaviour == "invalid-sender":
            return _told("InvalidSenderId", [])
        if behaviour in _REFUSALS:
            status, code = _REFUSALS[behaviour]
            return _told(
                "Sent to 0/1 Total Cost: 0", [{"cost": "0", "messageId": "None", "number": to, "status": status,
                                               "statusCode": code}],
            )  # fmt: skip
        text, sender = form.get("message", ""), form.get("from", "")
        sent = simulation.send(AFRICASTALKING, to=to, text=text, sender=sender, behaviour=behaviour)
        row = {"cost": "KES 0.8000", "messageId": sent.message_id, "number": to, "status": "Success", "statusCode": 101}
        return await self._answer(request, sent, _told("Sent to 1/1 Total Cost: KES 0.8000 Message parts: 1", [row]))

    async def pindo(self, request: Request) -> Response:
        """Sends to the one recipient of a document."""
        simulation = self._simulation
        simulation.calls[PINDO] += 1
        wanted = json.loads(await request.body())
        behaviour = simulation.choose(wanted["to"])
        if request.headers.get("authorization") != f"Bearer {SMS_KEY}" or behaviour == "access-refused":
            return _json({"error": "unauthorized", "message": "unauthorized", "status": 401}, 401)
        if behaviour == "invalid-sender":
            words = f"Unknown sender id {wanted['sender']}"
            return _json({"error": words, "message": words, "status": 409}, 409)
        if behaviour in _REFUSALS:
            return _json({"error": behaviour, "message": behaviour, "status": 404}, 404)
        sent = simulation.send(
            PINDO, to=wanted["to"], text=wanted["text"], sender=wanted["sender"], behaviour=behaviour
        )
        told = {"item_count": 1, "sms_id": sent.message_id, "status": "sent", "to": sent.to, "total_cost": 0.006}
        return await self._answer(request, sent, _json(told, 201))

    async def _answer(self, request: Request, sent: Sent, response: Response) -> Response:
        dispatch = self._simulation.courier.prepare(self._simulation.reports(sent))
        if sent.behaviour == "report-first":
            await dispatch.release()
            await dispatch.delivered()
        if sent.behaviour == "answer-lost":
            await self._listener.drop(request)
            await dispatch.release()
            return Response(status_code=499)
        if sent.behaviour == "error-yet-sent":
            response = Response("<html>Internal Server Error</html>", status_code=500, media_type="text/html")
        response.background = BackgroundTask(dispatch.release)
        return response


def _told(message: str, recipients: list[dict[str, object]]) -> Response:
    return _json({"SMSMessageData": {"Message": message, "Recipients": recipients}}, 201)


def _json(document: object, status: int) -> Response:
    return Response(json.dumps(document), status_code=status, media_type="application/json")
