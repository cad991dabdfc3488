"""What ``mypy --strict`` finds in the code of somebody who uses the bridge: names that are not there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from tests.examples.programs import EXAMPLES

RIGHT = """
from worker_bridge import AudioLevelObserver, Consumer, DataConsumer, DataProducer, DirectTransport, PlainTransport
from worker_bridge import Producer, Resource, Router, RtpCodecCapability, SctpOptions, Transport, WebRtcServer
from worker_bridge import ListenInfo, WebRtcTransport, Worker, observer


async def use(
    worker: Worker, server: WebRtcServer, router: Router, transport: Transport, webrtc: WebRtcTransport,
    plain: PlainTransport, direct: DirectTransport, producer: Producer, consumer: Consumer, chat: DataProducer,
    words: DataConsumer, levels: AudioLevelObserver,
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
)


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
