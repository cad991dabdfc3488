"""Calls in every state on a running node, so that generated requests find something: whatever one of them used up is
there again for the next.

alice and hana have a room with all that can be in one, ume is rung by bob, yuki is free to be called by carol; dave
and rin talk with real sound and have paid for it. eve has no part in anything.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import aiohttp

from app.keys import DRAIN, LEDGER
from app.media.room import Room
from app.person import Person
from app.web.build import BUILT, BUNDLE
from tests.conftest import eventually
from tests.conversation import conversation
from voiceplane.client.api import Api, Json

OPUS = {"mimeType": "audio/opus", "payloadType": 111, "clockRate": 48000, "channels": 2}
USERS, OTOMOS = ("alice", "bob", "carol", "dave", "eve"), ("hana", "ume", "yuki", "rin")
POINTS = 10**9
NOWHERE = "http://127.0.0.1:9/"  # where nobody listens: what is told there fails at once
MOST_RECORDED = 3  # times: it takes a second or two
UNIT_S = 1.0  # so that dave has paid before anything begins

Ids = dict[str, str]


@dataclass(frozen=True, slots=True)
class Aim:
    """Who asks, and the ids that mean something to them."""

    user_id: str
    ids: Ids


class World:
    def __init__(self, server: Any, http: aiohttp.ClientSession) -> None:
        self.server = server
        self.tokens = {
            **{name: server.token(name, "user") for name in USERS},
            **{name: server.token(name, "otomo") for name in OTOMOS},
            "root": server.token("root", "admin"),
        }
        self._apis = {name: Api(http, server.base, token) for name, token in self.tokens.items()}
        self._talk: Ids = {}
        self._recorded = 0

    @classmethod
    @asynccontextmanager
    async def opened(cls, server: Any) -> AsyncIterator[World]:
        async with aiohttp.ClientSession() as http:
            world = cls(server, http)
            for name in USERS:
                await world._give_points(name)
            async with world._online("ume"), world._online("yuki"), world._talking():
                yield world

    async def aim(self, operation: str, tag: str) -> Aim:
        """What a good request of this operation would be about. Makes what is missing."""
        if self.server.app[DRAIN].active:
            self.server.app[DRAIN].take_back()
        if operation in AIMS:
            return await AIMS[operation](self)
        reads = operation.startswith(("get", "list", "inspect"))
        ids = self._talk | {"name": "base.css"} if reads else await self._media()
        if tag in {"Admins", "Health"}:
            return Aim("root", ids | {"userId": "alice", "otomoId": "hana"})
        return Aim("dave" if reads else "alice", ids)

    async def to_read_client(self) -> Aim:
        [version] = (path.name for path in (BUILT / "client").iterdir())
        return Aim("dave", {"name": BUNDLE, "version": version})

    async def to_create_transport(self) -> Aim:
        ids = await self._media()
        await self._ask("alice", "DELETE", f"/rtc/transports/{ids['transportId']}")
        return Aim("alice", ids)

    async def to_connect(self) -> Aim:
        return Aim("alice", await self._media(unconnected=True))

    async def to_produce(self) -> Aim:
        ids = await self._media()
        await self._ask("alice", "DELETE", f"/rtc/producers/{ids['producerId']}")
        return Aim("alice", ids)

    async def to_consume(self) -> Aim:
        ids = await self._media()
        return Aim("hana", ids | {"transportId": ids["hearing"], "consumerId": ids["heard"]})

    async def to_hear(self) -> Aim:
        aim = await self.to_consume()
        await self._ask("hana", "POST", f"/rtc/consumers/{aim.ids['consumerId']}/pause")
        return aim

    async def to_answer(self) -> Aim:
        return Aim("ume", await self._ringing())

    async def to_cancel(self) -> Aim:
        return Aim("bob", await self._ringing())

    async def to_request(self) -> Aim:
        """carol is in no other call then."""
        await self._end_calls_of("carol")
        return Aim("carol", {"otomoId": "yuki"})

    async def to_give_feedback(self) -> Aim:
        """Of a call that has just ended."""
        opened = await self._ask("root", "POST", "/admin/calls", {"userId": "eve", "otomoId": "rin"})
        await self._ask("root", "POST", f"/admin/calls/{opened['callId']}/end")
        return Aim("eve", {"callId": opened["callId"]})

    async def to_refund(self) -> Aim:
        """Of what dave pays, second by second."""
        return Aim("root", self._talk)

    async def to_close_preflight(self) -> Aim:
        return Aim("eve", {"callId": await self._apis["eve"].open_preflight()})

    async def to_open(self) -> Aim:
        """eve and rin, whose last such call is ended: only one of a whole run's is open at a time."""
        for call in self.server.registry.calls_of(Person("otomo", "rin")):
            if call.id != self._talk["callId"]:
                await self._ask("root", "POST", f"/admin/calls/{call.id}/end")
        return Aim("root", {"userId": "eve", "otomoId": "rin"})

    async def to_keep_out(self) -> Aim:
        """mallory, whom nobody else needs."""
        return Aim("root", {"userId": "mallory"})

    async def to_be_there(self) -> Aim:
        return Aim("rin", {})

    async def to_supervise(self) -> Aim:
        """The talk of dave and rin, in which root listens."""
        path = f"/admin/calls/{self._talk['callId']}/supervise"
        made = await self._ask("root", "POST", path, {"mode": "listen", "reason": "tests"})
        return Aim("root", self._talk | {"supervisionId": made["supervisionId"]})

    async def to_play(self) -> Aim:
        """To dave and rin, a clip that every node has."""
        return Aim("root", self._talk | {"clip": "warning", "music": "hold"})

    async def to_record(self) -> Aim:
        """The talk of dave and rin, which is recorded."""
        await self._ask("root", "POST", self._recording, {"reason": "tests"})
        return Aim("root", self._talk)

    async def to_have_recorded(self) -> Aim:
        """A file that is stored; a few times it is made anew where all have been deleted."""
        if not (found := await self._stored()) and self._recorded < MOST_RECORDED:
            self._recorded += 1
            await self._ask("root", "POST", self._recording, {"reason": "tests"})
            await self._ask("root", "DELETE", self._recording)
            await eventually(self._none_stored)
            found = await self._stored()
        return Aim("root", {"recordingId": found[0]} if found else {})

    @property
    def _recording(self) -> str:
        return f"/admin/calls/{self._talk['callId']}/recording"

    async def _stored(self) -> list[str]:
        files = (await self._ask("root", "GET", self._recording))["recordings"]
        return [one["recordingId"] for one in files if one["state"] == "stored"]

    async def _none_stored(self) -> str | None:
        return None if await self._stored() else "no file is stored"

    async def to_add_webhook(self) -> Aim:
        """There is room for it."""
        for one in (await self._ask("root", "GET", "/admin/webhooks"))["webhooks"][1:]:
            await self._ask("root", "DELETE", f"/admin/webhooks/{one['webhookId']}")
        return Aim("root", {"url": NOWHERE})

    async def to_webhook(self) -> Aim:
        """One that is enabled, with a delivery."""
        webhooks = (await self._ask("root", "GET", "/admin/webhooks"))["webhooks"]
        webhook = webhooks[0] if webhooks else await self._ask("root", "POST", "/admin/webhooks", {"url": NOWHERE})
        path = f"/admin/webhooks/{webhook['webhookId']}"
        if not webhook["enabled"]:
            await self._ask("root", "PATCH", path, {"enabled": True})
        deliveries = (await self._ask("root", "GET", f"{path}/deliveries"))["deliveries"]
        delivery = deliveries[0] if deliveries else await self._ask("root", "POST", f"{path}/test")
        ids = {"webhookId": webhook["webhookId"], "deliveryId": delivery["deliveryId"], "url": NOWHERE}
        return Aim("root", ids)

    async def _media(self, *, unconnected: bool = False) -> Ids:
        """alice and hana's room: a transport, a producer and a consumer of hers, and what hana hears her by."""
        room = await self._room("alice", "hana")
        if unconnected:
            for transport in [one for one in room.transports.values() if one.party == "user" and one.connecting]:
                await self._ask("alice", "DELETE", f"/rtc/transports/{transport.transport.id}")
        transports = {
            (user_id, direction): await self._transport(room, user_id, direction)
            for user_id in ("alice", "hana")
            for direction in ("send", "recv")
        }
        producers = {one: await self._producer(room, one, transports[one, "send"]) for one in ("alice", "hana")}
        heard_by = {
            one: await self._consumer(room, one, transports[one, "recv"], producers[other])
            for one, other in (("alice", "hana"), ("hana", "alice"))
        }
        return {
            "callId": room.call_id,
            "transportId": transports["alice", "send"],
            "producerId": producers["alice"],
            "consumerId": heard_by["alice"],
            "hearing": transports["hana", "recv"],
            "heard": heard_by["hana"],
        }

    async def _room(self, user_id: str, otomo_id: str) -> Room:
        for call in self.server.registry.calls_of(Person("user", user_id)):
            if otomo_id == call.otomo_id and call.live and call.room is not None:
                return call.room
        opened = await self._ask("root", "POST", "/admin/calls", {"userId": user_id, "otomoId": otomo_id})
        return self.server.registry.room(opened["callId"])

    async def _transport(self, room: Room, user_id: str, direction: str) -> str:
        for id_, one in room.transports.items():
            if (room.parties.person(one.party).id, one.direction) == (user_id, direction):
                return id_
        body = {"callId": room.call_id, "direction": direction}
        return (await self._ask(user_id, "POST", "/rtc/transports", body))["transportId"]

    async def _producer(self, room: Room, user_id: str, transport_id: str) -> str:
        for id_, one in room.producers.items():
            if room.parties.person(one.party).id == user_id:
                return id_
        sent = {"mid": "0", "codecs": [OPUS], "encodings": [{"ssrc": 1000 + len(user_id)}], "rtcp": {"cname": user_id}}
        body = {"callId": room.call_id, "transportId": transport_id, "kind": "audio", "rtpParameters": sent}
        return (await self._ask(user_id, "POST", "/rtc/producers", body))["producerId"]

    async def _consumer(self, room: Room, user_id: str, transport_id: str, producer_id: str) -> str:
        body = {"callId": room.call_id, "transportId": transport_id, "producerId": producer_id}
        return (await self._ask(user_id, "POST", "/rtc/consumers", body))["consumerId"]

    async def _ringing(self) -> Ids:
        for call in self.server.registry.calls_of(Person("user", "bob")):
            if call.state == "ringing":
                return {"callId": call.id}
        await self._end_calls_of("bob")
        return {"callId": (await self._ask("bob", "POST", "/calls", {"otomoId": "ume"}))["callId"]}

    async def _end_calls_of(self, user_id: str) -> None:
        for call in self.server.registry.calls_of(Person("user", user_id)):
            await self._ask("root", "POST", f"/admin/calls/{call.id}/end")

    async def _give_points(self, user_id: str) -> None:
        body = {"amount": POINTS, "reason": "tests", "idempotencyKey": f"tests-{user_id}"}
        await self._ask("root", "POST", f"/admin/wallets/{user_id}/adjust", body)

    async def _ask(self, user_id: str, method: str, path: str, body: Json | None = None) -> Json:
        return await self._apis[user_id].request(method, path, body)

    @asynccontextmanager
    async def _online(self, otomo_id: str) -> AsyncIterator[None]:
        """The otomo's WebSocket, read so that it stays open."""

        async def read() -> None:
            async for _ in socket:
                pass

        headers = {"Authorization": f"Bearer {self.tokens[otomo_id]}"}
        async with aiohttp.ClientSession(headers=headers) as http, http.ws_connect(self.server.url("/ws")) as socket:
            task = asyncio.create_task(read())
            yield
            await socket.close()
            await task

    @asynccontextmanager
    async def _talking(self) -> AsyncIterator[None]:
        """dave and rin, from the first unit that dave has paid."""
        call_id = await self._apis["root"].open_call("talk", "dave", "rin", 10)
        async with conversation(self._apis["dave"], self._apis["rin"], call_id) as talk:
            await talk.heard(int(UNIT_S * 50) + 10)
            room = self.server.registry.room(call_id)
            self._talk = {
                "callId": call_id,
                "nodeId": self.server.app[LEDGER].node,
                "transportId": next(id_ for id_, one in room.transports.items() if one.party == "user"),
                "producerId": talk.user_voice.producer_id,
                "consumerId": talk.user_hearing.consumer_id,
            }
            yield


AIMS: MappingProxyType[str, Callable[[World], Awaitable[Aim]]] = MappingProxyType(
    {
        "createTransport": World.to_create_transport,
        "refundCall": World.to_refund,
        "connectTransport": World.to_connect,
        "createProducer": World.to_produce,
        "createConsumer": World.to_consume,
        "resumeConsumer": World.to_hear,
        "pauseConsumer": World.to_hear,
        "acceptCall": World.to_answer,
        "rejectCall": World.to_answer,
        "cancelCall": World.to_cancel,
        "requestCall": World.to_request,
        "openCall": World.to_open,
        "giveFeedback": World.to_give_feedback,
        "closePreflight": World.to_close_preflight,
        "ban": World.to_keep_out,
        "liftBan": World.to_keep_out,
        "revokeTokens": World.to_keep_out,
        "getPerson": World.to_keep_out,
        "setStatus": World.to_be_there,
        "createWebhook": World.to_add_webhook,
        **dict.fromkeys(("announce", "holdCall", "resumeCall", "getHold"), World.to_play),
        "startRecording": World.to_play,
        **dict.fromkeys(("pauseRecording", "resumeRecording", "stopRecording", "getCallRecording"), World.to_record),
        **dict.fromkeys(("getRecording", "deleteRecording"), World.to_have_recorded),
        **dict.fromkeys(("supervise", "listSupervisions", "changeSupervision", "endSupervision"), World.to_supervise),
        **dict.fromkeys(
            (
                *("getWebhook", "changeWebhook", "deleteWebhook", "rotateSecret", "testWebhook"),
                *("listDeliveries", "getDelivery", "retryDelivery", "replayDeliveries"),
            ),
            World.to_webhook,
        ),
        "getClient": World.to_read_client,
        "getClientVersion": World.to_read_client,
    }
)
