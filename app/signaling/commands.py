"""The commands that clients may send over the WebSocket, each a declaration and a line. Knows no socket and no errors.

A command is a name, which decides the schema of its payload, and a function that calls the service. What the service
raises is answered by the dispatcher.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any, Final, Protocol, get_args

from msgspec import UnsetType

from app.access.tokens import Claims
from schemas.base import Body, given
from schemas.call import CallAck, CallRequest, CallState
from schemas.people import Availability, StatusRequest, StatusSet
from schemas.signaling import COMMANDS, CallCommand, CommandType, Ping, Pong, Reply, RequestId


class CallView(Protocol):
    """What an answer tells of a call."""

    @property
    def call_id(self) -> str: ...

    @property
    def state(self) -> CallState: ...


class CallService(Protocol):
    """What may be done to a call. Each method returns the call as it is then, and raises errors of ``app.errors``."""

    async def request_call(
        self, claims: Claims, otomo_id: str, call_id: str | None, metadata: Mapping[str, str] | None
    ) -> CallView: ...

    async def accept(self, claims: Claims, call_id: str) -> CallView: ...

    async def reject(self, claims: Claims, call_id: str, reason: str | None) -> CallView: ...

    async def cancel(self, claims: Claims, call_id: str, reason: str | None) -> CallView: ...

    async def end(self, claims: Claims, call_id: str, reason: str | None) -> CallView: ...


Run = Callable[[CallService, Claims, Any], Awaitable[CallView | None]]
SetStatus = Callable[[Claims, Availability], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Command:
    """One command, bound to the service: ``await run(claims, payload)`` does it."""

    name: CommandType
    payload: type[Body]
    run: Callable[[Claims, Any], Awaitable[CallView | StatusSet | None]]

    async def perform(self, claims: Claims, payload: Any, request_id: RequestId | UnsetType) -> Reply:
        """Do it, and return the answer. Raises what the service raises."""
        done = await self.run(claims, payload)
        if done is None:
            return Reply("pong", Pong(), request_id)
        answer = done if isinstance(done, StatusSet) else CallAck(done.call_id, done.state)
        return Reply(f"{self.name}_ack", answer, request_id)


_DECLARED: Final[dict[CommandType, Run]] = {}


def command(name: CommandType) -> Callable[[Run], Run]:
    """Declare what a command does. Its answer is ``<name>_ack``, or ``pong`` where there is no call."""

    def declare(run: Run) -> Run:
        _DECLARED[name] = run
        return run

    return declare


@command("call_request")
async def request_call(service: CallService, claims: Claims, body: CallRequest) -> CallView:
    return await service.request_call(claims, body.otomo_id, given(body.call_id), given(body.metadata))


@command("call_accept")
async def accept_call(service: CallService, claims: Claims, body: CallCommand) -> CallView:
    return await service.accept(claims, body.call_id)


@command("call_reject")
async def reject_call(service: CallService, claims: Claims, body: CallCommand) -> CallView:
    return await service.reject(claims, body.call_id, given(body.reason))


@command("call_cancel")
async def cancel_call(service: CallService, claims: Claims, body: CallCommand) -> CallView:
    return await service.cancel(claims, body.call_id, given(body.reason))


@command("call_end")
async def end_call(service: CallService, claims: Claims, body: CallCommand) -> CallView:
    return await service.end(claims, body.call_id, given(body.reason))


@command("ping")
async def ping(_service: CallService, _claims: Claims, _body: Ping) -> None:
    return None


def build_commands(service: CallService, set_status: SetStatus) -> Mapping[str, Command]:
    """The command table over ``service``: every command that the schemas know, by its name."""

    async def status_set(claims: Claims, body: StatusRequest) -> StatusSet:
        await set_status(claims, body.status)
        return StatusSet(body.status)

    runs = {name: partial(run, service) for name, run in _DECLARED.items()} | {"status_set": status_set}
    names: tuple[CommandType, ...] = get_args(CommandType)
    return MappingProxyType({name: Command(name, COMMANDS[name], runs[name]) for name in names})
