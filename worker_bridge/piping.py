"""Two routers joined: a pair of pipe transports, and what one router's producer becomes in the other.

A pair is made once for two routers, by whoever pipes first, and serves all that is piped between them after that, in
both directions. It ends with either of its transports; the next to pipe makes another.

No postponed annotations in this file: those of a NamedTuple can't be resolved by ``inspect``, nor by pdoc with it.
"""

import asyncio
import ipaddress
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from typing import NamedTuple

from worker_bridge.connectivity import ListenInfo
from worker_bridge.consumer import Consumer
from worker_bridge.data_consumer import DataConsumer
from worker_bridge.data_producer import DataProducer
from worker_bridge.errors import NotFound, ResourceClosed
from worker_bridge.flow import Pausable, SourceBound
from worker_bridge.pipe_transport import PipeTransport
from worker_bridge.producer import Producer
from worker_bridge.resource import Resource
from worker_bridge.sctp import SctpOptions
from worker_bridge.value import Value

Ends = tuple[PipeTransport, PipeTransport]
"""Ours and theirs."""

LOOPBACK = ListenInfo("udp", "127.0.0.1")


class PipeOptions(Value, frozen=True):
    """How a pair is made: where both ends listen, whether data, retransmissions and encryption are to pass."""

    listen_info: ListenInfo = LOOPBACK
    sctp: SctpOptions | None = SctpOptions()
    enable_rtx: bool = False
    enable_srtp: bool = False


class PipeEnd(NamedTuple):
    """A router, as far as a pipe needs it."""

    router_id: str
    create_transport: Callable[[PipeOptions], Awaitable[PipeTransport]]


class PipedProducer(NamedTuple):
    """What a piped producer is on the way: a consumer here, a producer over there."""

    pipe_consumer: Consumer
    pipe_producer: Producer


class PipedDataProducer(NamedTuple):
    """What a piped data producer is on the way: a data consumer here, a data producer over there."""

    pipe_data_consumer: DataConsumer
    pipe_data_producer: DataProducer


class PipePair:
    """The transports between two routers, once they are there."""

    def __init__(self) -> None:
        self._ends: dict[str, PipeTransport] = {}  # by the router's id
        self._making = asyncio.Lock()

    async def between(self, here: PipeEnd, there: PipeEnd, options: PipeOptions) -> Ends:
        """Both ends, connected: ours and theirs. Made now, by these options, if they are not there yet."""
        async with self._making:
            if not self._ends:
                await self._make(here, there, options)
            return self._ends[here.router_id], self._ends[there.router_id]

    async def _make(self, here: PipeEnd, there: PipeEnd, options: PipeOptions) -> None:
        with ExitStack() as undo:
            ours = await here.create_transport(options)
            undo.callback(ours.close)
            theirs = await there.create_transport(options)
            undo.callback(theirs.close)
            ip = _reachable(options.listen_info.ip)
            await ours.connect(ip=ip, port=theirs.tuple.local_port, srtp_parameters=theirs.srtp_parameters)
            await theirs.connect(ip=ip, port=ours.tuple.local_port, srtp_parameters=ours.srtp_parameters)
            if ours.closed:
                raise ResourceClosed(f"{ours!r} closed meanwhile")
            self._ends = {here.router_id: ours, there.router_id: theirs}
            ours.on_closed(lambda closed: self._end(closed, theirs))
            theirs.on_closed(lambda closed: self._end(closed, ours))
            undo.pop_all()

    def _end(self, closed: PipeTransport, other: PipeTransport) -> None:
        self._ends = {}
        _close_with(closed, other)


async def pipe_producer(ends: Ends, producer: Producer, *, keep_id: bool) -> PipedProducer:
    ours, theirs = ends
    with ExitStack() as undo:
        consumer = await ours.consume(producer.id)
        undo.callback(consumer.close)
        piped = await theirs.produce(
            consumer.kind,
            consumer.rtp_parameters,
            producer_id=producer.id if keep_id else None,
            paused=consumer.producer_paused,
            app_data=producer.app_data,
        )
        undo.callback(piped.close)
        _mirror(producer, consumer, piped)
        undo.pop_all()
    return PipedProducer(consumer, piped)


async def pipe_data_producer(ends: Ends, data_producer: DataProducer, *, keep_id: bool) -> PipedDataProducer:
    ours, theirs = ends
    with ExitStack() as undo:
        consumer = await ours.consume_data(data_producer.id)
        undo.callback(consumer.close)
        piped = await theirs.produce_data(
            consumer.sctp_stream_parameters,
            label=consumer.label,
            protocol=consumer.protocol,
            data_producer_id=data_producer.id if keep_id else None,
            paused=consumer.data_producer_paused,
            app_data=data_producer.app_data,
        )
        undo.callback(piped.close)
        _mirror(data_producer, consumer, piped)
        undo.pop_all()
    return PipedDataProducer(consumer, piped)


def _mirror(origin: Resource, consumer: SourceBound, piped: Pausable) -> None:
    """What happens to the consumer from now on, and has happened since it was made, happens to ``piped``; the end of
    ``piped`` ends the consumer."""
    if origin.closed or consumer.closed:
        raise NotFound("pipe_to_router", f"{origin!r} closed meanwhile")
    piped.mirror_pause(consumer.source_paused)
    consumer.events.on("pause", lambda: piped.mirror_pause(True))
    consumer.events.on("resume", lambda: piped.mirror_pause(False))
    consumer.on_closed(lambda closed: _close_with(closed, piped))
    piped.on_closed(lambda closed: _close_with(closed, consumer))


def _close_with(closed: Resource, other: Resource) -> None:
    if closed.close_reason is not None:
        other.close_as_pipe(closed.close_reason)


def _reachable(ip: str) -> str:
    """Where a socket on ``ip`` is reached from this machine, on which both ends are: an announced address is for
    others, and may be a name, which the worker does not resolve."""
    address = ipaddress.ip_address(ip)
    if not address.is_unspecified:
        return ip
    return "127.0.0.1" if address.version == 4 else "::1"
