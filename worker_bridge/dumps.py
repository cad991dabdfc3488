"""Dumps in the shape that people read: flat, maps as dicts, codes in lower case, RTP parameters as values.

What the worker says of itself is for diagnosis: its shape may change with the worker's release.
"""

from __future__ import annotations

from typing import Any, cast

from worker_bridge import rtp_fbs
from worker_bridge.channel import Body
from worker_bridge.connectivity_fbs import ALGORITHMS
from worker_bridge.dump_shapes import ConsumerDump, ProducerDump, RouterDump, TransportDump
from worker_bridge.sctp import SctpStreamParameters
from worker_bridge.stats import ENUM_KEYS, tuple_to_stats

CODES = ENUM_KEYS | {"type", "role", "tcp_type", "trace_event_types"}
"""Keys whose values are enum names in the schema."""


def router_dump(body: Body) -> RouterDump:
    dump = {name: _pairs(value) if name.startswith("map_") else value for name, value in body.items()}
    return cast(RouterDump, dump)


def transport_dump(body: Body) -> TransportDump:
    dump = {**body.pop("base"), **body}
    for name in ("ice_selected_tuple", "tuple", "rtcp_tuple"):
        if dump.get(name):
            dump[name] = tuple_to_stats(dump[name])
    for name in ("rtp_listener", "sctp_listener"):
        if dump.get(name):
            dump[name] = {table: _pairs(entries) for table, entries in dump[name].items()}
    for name in ("map_ssrc_consumer_id", "map_rtx_ssrc_consumer_id"):
        dump[name] = _pairs(dump[name])
    if "dtls_parameters" in dump:
        for fingerprint in dump["dtls_parameters"]["fingerprints"]:
            fingerprint["algorithm"] = ALGORITHMS[fingerprint["algorithm"]]
    return cast(TransportDump, _readable_dict(dump))


def producer_dump(body: Body) -> ProducerDump:
    dump = {**body, "rtp_parameters": rtp_fbs.parameters_from_fbs(body["rtp_parameters"])}
    return cast(ProducerDump, _readable_dict(dump))


def consumer_dump(body: Body) -> ConsumerDump:
    """Layers are left out where the worker says -1: none of them is wanted, or sent."""
    data = body["data"]
    dump = {**data.pop("base"), **data}
    dump["rtp_parameters"] = rtp_fbs.parameters_from_fbs(dump["rtp_parameters"])
    layers = {name: None if value == -1 else value for name, value in dump.items() if name.endswith("_layer")}
    return cast(ConsumerDump, _readable_dict({**dump, **layers}))


def data_dump(body: Body) -> Body:
    """That of a data producer or a data consumer."""
    stream = body.pop("sctp_stream_parameters")
    dump = {**body, "type": body["type"].lower()}
    return {**dump, "sctp_stream_parameters": SctpStreamParameters(**stream)} if stream else dump


def _pairs(entries: list[Body]) -> dict[Any, Any]:
    return {entry["key"]: entry["value"] if "value" in entry else entry["values"] for entry in entries}


def _readable_dict(body: Body) -> Body:
    return {name: _readable(one, name) for name, one in body.items() if one is not None and one != ""}


def _readable(value: Any, key: str) -> Any:
    if isinstance(value, dict):
        return _readable_dict(value)
    if isinstance(value, list):
        return [_readable(one, key) for one in value]
    if isinstance(value, bytes):  # a vector of small numbers
        return list(value)
    return value.lower() if key in CODES and isinstance(value, str) else value
