"""What ``mypy --strict`` finds in the code of somebody who uses the bridge: names that are not there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import worker_bridge.api
from tests.examples.programs import EXAMPLES
from worker_bridge.observable import Observable

RIGHT = """
from worker_bridge import AudioLevelObserver, Consumer, DataConsumer, DataProducer, DirectTransport, PlainTransport
from worker_bridge import Producer, Resource, Router, RtpCodecCapability, SctpOptions, Transport, WebRtcServer
from worker_bridge import ActiveSpeakerObserver, CloseReason, ConsumerScore, EventStream, Message, ProducerScore
from worker_bridge import ListenInfo, PipeTransport, Trace, WebRtcTransport, Worker, observer


async def use(
    worker: Worker, server: WebRtcServer, router: Router, transport: Transport, webrtc: WebRtcTransport,
    plain: PlainTransport, direct: DirectTransport, producer: Producer, consumer: Consumer, chat: DataProducer,
    words: DataConsumer, levels: AudioLevelObserver, speaker: ActiveSpeakerObserver, pipe: PipeTransport,
) -> None:
    observer.on("newworker", print)
    worker.events.once("died", print)
    await router.wait_for("newtransport")
    server.events_of("webrtctransporthandled")
    await webrtc.wait_for("icestatechange", lambda state: state == "connected")
    await plain.wait_for("tuple")
    direct.events_of("rtcp")
    producer.events.on("score", print)
    consumer.events.on("layerschange", print)
    words.events_of("bufferedamountlow")
    levels.events.on("volumes", print)
    levels.events.on("error", print)
    anything: list[Resource] = [router, webrtc, producer, levels]
    anything[0].events.on("close", print)
    transports: list[Transport] = [webrtc, plain, transport]
    print(transports)
    await producer.enable_trace_event("rtp", "sr")
    await webrtc.enable_trace_event("bwe")
    await transport.produce("audio", producer.rtp_parameters, traces=["keyframe"])
    print((await producer.get_stats())[0]["packet_count"], (await webrtc.get_stats())[0]["dtls_state"])
    print((await chat.get_stats())[0]["messages_received"], (await words.get_stats())[0]["buffered_amount"])
    scores: tuple[ProducerScore, ...] = await producer.wait_for("score", lambda scores: scores[0].score > 5)
    score: ConsumerScore = await consumer.wait_for("score", lambda score: score.producer_score > 5)
    reason: CloseReason = await anything[0].wait_for("close")
    failure: Exception = await worker.wait_for("died", lambda failure: failure.args)
    messages: EventStream[Message] = words.events_of("message")
    async for packet in consumer.events_of("rtp"):
        print(packet.hex(), scores, score, reason, failure, [message.text async for message in messages])
    traced: Trace = await webrtc.wait_for("trace", lambda trace: trace.type == "bwe")
    print(traced.info["available_bitrate"], (await speaker.wait_for("dominantspeaker")).id, (await pipe.dump())["rtx"])
    print((await producer.dump())["rtp_parameters"].codecs, (await webrtc.dump())["dtls_parameters"]["role"])
    print((await worker.dump())["router_ids"], (await worker.get_resource_usage())["ru_maxrss"])
"""
MISTAKES = (
    'observer.on("newworkers", print)',
    'worker.events.on("dead", print)',
    'worker.wait_for("newrooter")',
    'server.events_of("webrtctransporthandle")',
    'router.events.once("newTransport", print)',
    'transport.wait_for("icestatechange")  # not every transport has ICE',
    'webrtc.wait_for("icestate")',
    'plain.events.on("icestatechange", print)',
    'direct.events_of("rtp")  # that is a consumer\'s',
    'producer.events_of("scoer")',
    'consumer.events.add_listener("producerpaused", print)',
    'chat.events.on("message", print)  # that is a data consumer\'s',
    'words.wait_for("bufferedAmountLow")',
    'levels.events.on("dominantspeaker", print)',
    'await producer.enable_trace_event("video")',
    'await consumer.enable_trace_event("sr")  # of a producer only',
    'await webrtc.enable_trace_event("rtp")',
    'await transport.produce("audio", producer.rtp_parameters, traces=["bwe"])',
    'await transport.produce("sound", producer.rtp_parameters)',
    'print((await producer.get_stats())[0]["packets"])',
    'print((await consumer.get_stats())[0]["byteCount"])',
    'print((await webrtc.get_stats())[0]["dtls"])',
    'print((await chat.get_stats())[0]["messages_sent"])',
    'print((await words.get_stats())[0]["messages"])',
    'print(webrtc.ice_state == "conected")',
    'await router.create_plain_transport(ListenInfo("tls", "127.0.0.1"))',
    "await router.create_pipe_transport(sctp={})",
    'await worker.create_router([RtpCodecCapability("sound", "audio/opus", 48000)])',
    'await webrtc.wait_for("icestatechange", lambda state: state == "conected")',
    'await webrtc.wait_for("dtlsstatechange", lambda state: state.connected)',
    'print((await producer.wait_for("score")).score)  # one for each stream',
    'print((await consumer.wait_for("layerschange")).spatial_layer)  # or none',
    'await consumer.wait_for("rtp", lambda packet: packet.payload)',
    'print((await words.wait_for("message")).data)',
    'print((await router.wait_for("newtransport")).ice_state)  # of whatever sort',
    'print((await worker.wait_for("close")).name)  # brings nothing',
    'print([packet.text async for packet in direct.events_of("rtcp")])',
    'print([volume.level async for volumes in levels.events_of("volumes") for volume in volumes])',
    'listed: list[EventStream[bytes]] = [words.events_of("message")]',
    'print((await producer.wait_for("trace")).info["packet"])',
    'print((await plain.dump())["ice_state"])',
    'print((await producer.dump())["codecs"])',
    'print((await consumer.dump())["producer"])',
    'print((await router.dump())["transports"])',
    'print((await words.dump())["sctp"])',
    'print((await server.dump())["sockets"])',
    'print((await worker.dump())["routers"])',
    'print((await worker.get_resource_usage())["maxrss"])',
)


LISTENABLE = [one for one in vars(worker_bridge.api).values() if isinstance(one, type) and issubclass(one, Observable)]


def mypy(tmp_path: Path, source: str) -> str:
    program = tmp_path / "program.py"
    program.write_text(source, encoding="utf-8")
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file=", f"--cache-dir={tmp_path}", program.name]
    environment = {**os.environ, "MYPYPATH": str(EXAMPLES.parent)}
    return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False).stdout


def test_what_is_right_passes_and_every_mistake_is_found(tmp_path: Path) -> None:
    assert mypy(tmp_path, RIGHT).startswith("Success")
    planted = RIGHT + "".join(f"    {mistake}\n" for mistake in MISTAKES)
    first = len(RIGHT.splitlines()) + 1
    found = {int(line) - first for line in re.findall(r"^program\.py:(\d+): error", mypy(tmp_path, planted), re.M)}
    assert [mistake for number, mistake in enumerate(MISTAKES) if number not in found] == []
    assert min(found) == 0


def test_the_value_of_every_event_of_every_class_is_known(tmp_path: Path) -> None:
    asked = [(kind.__name__, name) for kind in LISTENABLE for name in sorted(kind.known_events)]
    lines = [
        f'reveal_type((made({kind}).events_of("{name}"), made({kind}).wait_for("{name}")))' for kind, name in asked
    ]
    head = [
        "from typing import TypeVar",
        f"from worker_bridge import {', '.join(sorted({kind for kind, _ in asked}))}",
        'T = TypeVar("T")',
        "def made(kind: type[T]) -> T:",
        "    return kind()",
    ]
    said = mypy(tmp_path, "\n".join([*head, *lines, ""]))
    revealed = re.findall(r"EventStream\[(.+)\], _asyncio\.Future\[(.+)\]\]\"$", said, re.MULTILINE)
    assert len(revealed) == len(asked) > 100, said
    assert [
        one for one, (stream, future) in zip(asked, revealed, strict=True) if stream != future or "Any" in stream
    ] == []
