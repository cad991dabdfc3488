"""One person's client of a voiceplane server: who is online, who calls, and the calls of this person.

Owns the WebSocket and the HTTP session, and passes each event to the call that it names. Knows no media; the media
libraries are loaded with the first call.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Mapping
from types import MappingProxyType, TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self, cast, overload

import aiohttp
from msgspec import UNSET

from voiceplane.client.api import Api
from voiceplane.client.call import Call, Leave, Role
from voiceplane.client.emitter import Emitter
from voiceplane.client.errors import BadAnswer, ClientError, NotSupported, Refused, SocketClosed
from voiceplane.client.events import (
    AboutCall,
    Asked,
    CallRecord,
    ConnectionChanged,
    IncomingCall,
    OtomoList,
    OtomoStatus,
    WalletUpdate,
    read,
)
from voiceplane.client.preflight import Preflight, preflight
from voiceplane.client.socket import Hooks, Socket
from voiceplane.client.tokens import Subject, Token

if TYPE_CHECKING:
    from aiortc import MediaStreamTrack
    from pymediasoup import Device

LIVE = frozenset({"requesting", "ringing", "matched", "connecting", "talking", "interrupted"})
ASK_FOR_S = 10.0

ClientEvent = Call | Mapping[str, str] | WalletUpdate | ConnectionChanged


class Voiceplane:
    """`async with Voiceplane(url, token) as vp:` is online until the block is left, which hangs up.

    :param url: the server's, as in `https://voice.example.com`.
    :param token: a JWT, or a function or coroutine function that returns one, called whenever one is needed.
    """

    def __init__(self, url: str, token: Token) -> None:
        self._url = url
        self._token = token
        self._api: Api | None = None
        self._socket: Socket | None = None
        self._calls: dict[str, Call] = {}
        self._otomos: dict[str, str] = {}
        self._events: Emitter[ClientEvent] = Emitter()
        self._loading: asyncio.Task[Device] | None = None
        self._leaving: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        await self.connect()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.disconnect()

    async def connect(self) -> None:
        """Go online: open the WebSocket, which from then on reconnects by itself.

        Raises ClientError where the server can't be reached, or refuses; nothing is left of it then.
        """
        self._api = Api(aiohttp.ClientSession(), self._url, self._token)
        self._socket = Socket(self._api, Hooks(self._take, self._on_up, self._on_down, self._on_over))
        try:
            await self._socket.open()
        except BaseException:
            await self.disconnect()
            raise

    async def disconnect(self, *, hang_up: bool = True) -> None:
        """Hang up, and close everything on this side. Without `hang_up`, a call goes on at the server until it notices
        that this party is away; a client that is back in time asks for `current`."""
        if hang_up:
            await self._hang_up()
        if self._socket is not None:
            await self._socket.close()
        for call in tuple(self._calls.values()):
            await self._forget(call)
        if self._leaving:
            await asyncio.wait(self._leaving)
        await self._events.quiet()
        if self._loading is not None:
            self._loading.cancel()
            await asyncio.wait([self._loading])
        if self._api is not None:
            await self._api.http.close()

    async def _hang_up(self) -> None:
        """As far as the server can be reached: else it notices by itself."""
        leaving = [asyncio.create_task(call.hang_up(), name=f"hanging up {call.id}") for call in self.calls]
        if leaving:
            _, late = await asyncio.wait(leaving, timeout=ASK_FOR_S)
            for task in late:
                task.cancel()
            await asyncio.gather(*leaving, return_exceptions=True)

    # What happens

    @overload
    def on(self, name: Literal["incoming"], listener: Callable[[Call], object]) -> Leave: ...
    @overload
    def on(self, name: Literal["otomos"], listener: Callable[[Mapping[str, str]], object]) -> Leave: ...
    @overload
    def on(self, name: Literal["wallet"], listener: Callable[[WalletUpdate], object]) -> Leave: ...
    @overload
    def on(self, name: Literal["state"], listener: Callable[[ConnectionChanged], object]) -> Leave: ...
    def on(self, name: str, listener: Callable[[Any], object]) -> Leave:
        """Have `listener`, a function or a coroutine function, told of each event of that name."""
        return self._events.add(name, listener)

    # What can be seen

    @property
    def api(self) -> Api:
        """The REST API as this person. Raises SocketClosed before `connect`."""
        if self._api is None:
            raise SocketClosed("CLOSED", "connect first")
        return self._api

    @property
    def subject(self) -> Subject:
        """The person that the token names. Raises ClientError before `connect`, and where it names nobody."""
        return self.api.tokens.subject

    @property
    def otomos(self) -> Mapping[str, str]:
        """The status of each otomo who is not offline, as far as it was told. Only users are told."""
        return MappingProxyType(self._otomos)

    @property
    def calls(self) -> tuple[Call, ...]:
        """The live calls that this client takes part in."""
        return tuple(self._calls.values())

    # What can be done

    async def call(
        self, otomo_id: str, *, audio: MediaStreamTrack | None = None, metadata: Mapping[str, str] | None = None
    ) -> Call:
        """Call an otomo, as a user. Returns while it rings; `accepted`, `connected` and `ended` follow.

        :param audio: the track to send; without it, silence. Frames may have any rate and length.
        :param metadata: for the call's record: up to 16 texts of 512 characters.

        Raises Refused: OTOMO_OFFLINE, OTOMO_BUSY, CALLER_BUSY, INSUFFICIENT_POINTS, and others. Raises ClientError.
        """
        call = self._known(f"u_{secrets.token_hex(12)}", "user", audio)
        body = Asked(otomo_id=otomo_id, call_id=call.id, metadata=dict(metadata) if metadata else UNSET)
        try:
            await self.api.patiently("POST", "/calls", body, for_s=ASK_FOR_S)
        except BaseException:
            await self._forget(call)
            raise
        return call

    async def join(self, call_id: str, *, audio: MediaStreamTrack | None = None) -> Call:
        """Take part in a call that the back end has matched, or that this person has already, with this client.

        Returns once the sound is set up; of a call that rings, at once. Raises ClientError: CallEnded where it is over.
        """
        call = self._known(call_id, self._role(), audio)
        try:
            await call.refresh()
            if call.end is None and call.state != "ringing":
                await call.join()
        except BaseException:
            await self._forget(call)
            raise
        return call

    async def current(self) -> Call | None:
        """The call that the server still has of this person, or None; `Call.join` takes part in it.

        Raises ClientError.
        """
        answer = await self.api.patiently("GET", "/calls?limit=10", for_s=ASK_FOR_S)
        calls = (read(CallRecord, one, "GET /calls") for one in answer.get("calls", ()))
        live = [one.call_id for one in calls if one.state in LIVE]
        if not live:
            return None
        call = self._known(live[0], self._role(), None)
        await call.refresh()
        return call

    async def set_status(self, status: Literal["available", "away"]) -> None:
        """Be called, or not, as an otomo. Raises ClientError: NotSupported where the server does not know that."""
        try:
            await self.api.request("PUT", "/me/status", {"status": status})
        except Refused as error:
            if error.status not in (404, 405):
                raise
            raise NotSupported("this server has no status of its otomos") from error

    @staticmethod
    async def preflight(url: str, token: Token) -> Preflight:
        """Whether a call would work, as far as that can be seen without one, in some seconds. Raises nothing."""
        return await preflight(url, token)

    # What the socket tells

    def _take(self, event: str, payload: dict[str, Any]) -> None:
        try:
            self._hand_out(event, payload)
        except BadAnswer as error:  # one event that is not understood ends nothing
            asyncio.get_running_loop().call_exception_handler({"message": str(error), "exception": error})

    def _hand_out(self, event: str, payload: dict[str, Any]) -> None:
        call = self._calls.get(read(AboutCall, payload, event).call_id)
        if call is not None:
            call.take(event, payload)
        elif event == "incoming_call":
            self._ring(read(IncomingCall, payload, event))
        elif event == "otomo_list":
            listed = read(OtomoList, payload, event).otomos
            self._otomos = {one.otomo_id: one.status for one in listed}
            self._events.tell("otomos", self.otomos)
        elif event == "otomo_status":
            self._note_otomo(read(OtomoStatus, payload, event))
        elif event == "wallet_update":
            self._events.tell("wallet", read(WalletUpdate, payload, event))

    def _ring(self, incoming: IncomingCall) -> None:
        call = self._known(incoming.call_id, "otomo", None)
        self._events.tell("incoming", call)

    def _note_otomo(self, told: OtomoStatus) -> None:
        self._otomos[told.otomo_id] = told.status
        if told.status == "offline":
            del self._otomos[told.otomo_id]
        self._events.tell("otomos", self.otomos)

    def _on_up(self) -> None:
        for call in self._calls.values():
            call.check()
        self._events.tell("state", ConnectionChanged(state="connected"))

    def _on_down(self) -> None:
        self._events.tell("state", ConnectionChanged(state="reconnecting"))

    def _on_over(self, error: ClientError) -> None:
        self._events.tell("state", ConnectionChanged(state="closed", code=error.code))

    # Calls

    def _role(self) -> Role:
        return "otomo" if self.subject.role == "otomo" else "user"

    def _known(self, call_id: str, role: Role, audio: MediaStreamTrack | None) -> Call:
        """The call of that id, which from now on gets its events."""
        call = self._calls.get(call_id)
        if call is None:
            call = self._calls[call_id] = Call(self.api, call_id, role, self._device, audio)
            call.on("ended", lambda _: self._see_off(call_id))
            self._hurry()
        elif audio is not None:
            call.set_microphone(audio)
        return call

    def _see_off(self, call_id: str) -> None:
        """Wait until an ended call's sound is closed, which takes a moment."""
        call = self._calls.pop(call_id, None)
        self._hurry()
        if call is not None:
            leaving = asyncio.create_task(call.leave(), name=f"the end of {call_id}")
            self._leaving.add(leaving)
            leaving.add_done_callback(self._leaving.discard)

    async def _forget(self, call: Call) -> None:
        if self._calls.pop(call.id, None) is not None:
            await call.leave()
        self._hurry()

    def _hurry(self) -> None:
        if self._socket is not None:
            self._socket.busy = bool(self._calls)

    async def _device(self) -> Device:
        """The codecs that this server and pymediasoup have in common, found once. Raises ClientError."""
        if self._loading is None or (self._loading.done() and self._loading.exception() is not None):
            from voiceplane.client.media import load_device

            self._loading = asyncio.create_task(load_device(self.api), name="what can be sent and received")
        return cast("Device", await asyncio.shield(self._loading))
