"""Messages that go out of a router: another endpoint's data producer, over an SCTP stream or to this process."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

from worker_bridge.channel import Body, Channel
from worker_bridge.checks import items
from worker_bridge.data_producer import DataProducer, DataType
from worker_bridge.dump_shapes import DataConsumerDump
from worker_bridge.dumps import data_dump
from worker_bridge.event_names import DataConsumerEvent, names_of
from worker_bridge.flow import Pausable, SourceBound
from worker_bridge.resource import CloseReason
from worker_bridge.sctp import Payload, SctpStreamParameters, message_from_fbs, message_to_fbs
from worker_bridge.stats import DataConsumerStats


class DataConsumer(SourceBound[DataConsumerEvent]):
    """Events: ``message(Message)`` on a direct transport; ``bufferedamountlow(bytes)``, ``sctpsendbufferfull()``,
    ``dataproducerpause()``, ``dataproducerresume()``, ``pause()`` and ``resume()`` when the flow really changes,
    ``dataproducerclose()``, ``transportclose()``, ``close(reason)``."""

    known_events = names_of(DataConsumerEvent)
    resource_kind = "data_consumer"
    methods = "DATACONSUMER"
    source = "dataproducer"

    def __init__(
        self,
        data_consumer_id: str,
        channel: Channel,
        transport_id: str,
        data_producer: DataProducer,
        sctp_stream_parameters: SctpStreamParameters | None,
        data_producers: Mapping[str, Pausable],
        message_limit: int,
    ) -> None:
        super().__init__(data_consumer_id, channel, transport_id)
        self.data_producer_id = data_producer.id
        self.type: DataType = "direct" if sctp_stream_parameters is None else "sctp"
        self.sctp_stream_parameters = sctp_stream_parameters
        self.label = data_producer.label
        self.protocol = data_producer.protocol
        self.subchannels: tuple[int, ...] = ()
        self._message_limit = message_limit
        self._sources = data_producers

    @property
    def data_producer_paused(self) -> bool:
        """Whether its data producer is paused; ``paused`` is about the data consumer itself."""
        return self._source_paused

    async def send(self, payload: Payload, *, ppid: int | None = None) -> int:
        """Send a message of ours over its SCTP stream; returns the bytes that wait on it now, this message included.

        Raises InvalidParameters where ``DataProducer.send`` does, RequestRefused where the message was not taken, for
        which ``sctpsendbufferfull`` comes, too: wait for ``bufferedamountlow``, and send it again.
        """
        body = message_to_fbs(payload, ppid, self._message_limit)
        answer = await self._request("DATACONSUMER_SEND", body)
        waiting: int = answer["buffered_amount"]
        return waiting

    async def get_buffered_amount(self) -> int:
        """Bytes that wait to be sent on its stream."""
        amount: int = (await self._request("DATACONSUMER_GET_BUFFERED_AMOUNT"))["buffered_amount"]
        return amount

    async def set_buffered_amount_low_threshold(self, threshold: int) -> None:
        """Bytes: ``bufferedamountlow`` comes when what waits has fallen to so many."""
        await self._request("DATACONSUMER_SET_BUFFERED_AMOUNT_LOW_THRESHOLD", {"threshold": threshold})

    async def set_subchannels(self, subchannels: Sequence[int]) -> None:
        """Be in these, and in no other."""
        await self._change_subchannels(
            "DATACONSUMER_SET_SUBCHANNELS", {"subchannels": items("subchannels", subchannels)}
        )

    async def add_subchannel(self, subchannel: int) -> None:
        """Be in this one, too (0 to 65535)."""
        await self._change_subchannels("DATACONSUMER_ADD_SUBCHANNEL", {"subchannel": subchannel})

    async def remove_subchannel(self, subchannel: int) -> None:
        """Be in this one no longer; does nothing if it was not."""
        await self._change_subchannels("DATACONSUMER_REMOVE_SUBCHANNEL", {"subchannel": subchannel})

    async def dump(self) -> DataConsumerDump:
        """Everything that the worker knows of it: stream, label, subchannels, what is paused."""
        return cast(DataConsumerDump, data_dump(await self._request("DATACONSUMER_DUMP")))

    async def get_stats(self) -> list[DataConsumerStats]:
        """One entry: messages and bytes sent, and what waits."""
        stats = await self._request("DATACONSUMER_GET_STATS")
        return [cast(DataConsumerStats, {"type": "data-consumer", **stats})]

    async def _change_subchannels(self, method: str, body: Body) -> None:
        self.subchannels = tuple(sorted((await self._request(method, body))["subchannels"]))

    def _created(self, dump: Body) -> None:
        self.paused = dump["paused"]
        self._source_paused = dump["data_producer_paused"]
        self.subchannels = tuple(sorted(dump["subchannels"]))

    def _notified(self, event: str, body: Body) -> None:
        match event:
            case "DATACONSUMER_MESSAGE":
                self._emit("message", message_from_fbs(body))
            case "DATACONSUMER_DATAPRODUCER_CLOSE":
                self._close(CloseReason.PRODUCER_CLOSED, event="dataproducerclose")
            case "DATACONSUMER_DATAPRODUCER_PAUSE":
                self._source_notified(self.data_producer_id, True)
            case "DATACONSUMER_DATAPRODUCER_RESUME":
                self._source_notified(self.data_producer_id, False)
            case "DATACONSUMER_SCTP_SENDBUFFER_FULL":
                self._emit("sctpsendbufferfull")
            case "DATACONSUMER_BUFFERED_AMOUNT_LOW":
                self._emit("bufferedamountlow", body["buffered_amount"])
            case _:
                super()._notified(event, body)
