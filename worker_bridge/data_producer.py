"""Messages that come into a router: from the far end of an SCTP stream, or from this process by a direct transport."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, cast

from worker_bridge.channel import Channel
from worker_bridge.dump_shapes import DataProducerDump
from worker_bridge.dumps import data_dump
from worker_bridge.event_names import DataProducerEvent, names_of
from worker_bridge.flow import Pausable
from worker_bridge.sctp import Payload, SctpStreamParameters, message_to_fbs
from worker_bridge.stats import DataProducerStats

DataType = Literal["sctp", "direct"]


class DataProducer(Pausable[DataProducerEvent]):
    """Events: ``pause()``, ``resume()``, ``transportclose()``, ``close(reason)``."""

    known_events = names_of(DataProducerEvent)
    resource_kind = "data_producer"
    methods = "DATAPRODUCER"

    def __init__(
        self,
        data_producer_id: str,
        channel: Channel,
        transport_id: str,
        sctp_stream_parameters: SctpStreamParameters | None,
        *,
        label: str,
        protocol: str,
        paused: bool,
        message_limit: int,
    ) -> None:
        super().__init__(data_producer_id, channel, transport_id)
        self.type: DataType = "direct" if sctp_stream_parameters is None else "sctp"
        self.sctp_stream_parameters = sctp_stream_parameters
        self.label = label
        self.protocol = protocol
        self.paused = paused
        self._message_limit = message_limit

    def send(
        self,
        payload: Payload,
        *,
        ppid: int | None = None,
        subchannels: Sequence[int] = (),
        required_subchannel: int | None = None,
        ignored_subchannel: int | None = None,
    ) -> None:
        """Put in a message of ours, at once and in order; nothing answers. Meant for direct transports.

        ``ppid`` is found from the payload: text or binary, empty or not (RFC 8831 §8). With ``subchannels``, only data
        consumers in one of them get it; with ``required_subchannel``, only those that are in that one, too; with
        ``ignored_subchannel``, none that is in that one. Raises InvalidParameters where the payload is none, or
        larger than the transport's ``max_receive_message_size``.

        Many in a row want a pause now and then: see ``DirectTransport.drain``.
        """
        self._require_open()
        body = message_to_fbs(payload, ppid, self._message_limit)
        body["subchannels"] = subchannels
        body["required_subchannel"] = required_subchannel
        body["ignored_subchannel"] = ignored_subchannel
        self._channel.notify("DATAPRODUCER_SEND", self.id, body)

    async def dump(self) -> DataProducerDump:
        """Everything that the worker knows of it: stream, label and protocol, whether it is paused."""
        return cast(DataProducerDump, data_dump(await self._request("DATAPRODUCER_DUMP")))

    async def get_stats(self) -> list[DataProducerStats]:
        """One entry: messages and bytes received."""
        stats = await self._request("DATAPRODUCER_GET_STATS")
        del stats["buffered_amount"]  # which nothing that comes in has
        return [cast(DataProducerStats, {"type": "data-producer", **stats})]
