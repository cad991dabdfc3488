"""Router: what the worker holds of it, its capabilities, and its end."""

from __future__ import annotations

import pytest

from tests.worker_bridge.household import voice
from tests.worker_bridge.listening import recorded
from tests.worker_bridge.rtp_peer import LOOPBACK
from tests.worker_bridge.rtp_samples import OPUS, VP8, camera, h264_codec
from worker_bridge.errors import InvalidParameters, ResourceClosed, Unsupported
from worker_bridge.resource import CloseReason
from worker_bridge.router import Router
from worker_bridge.rtp import RtpCodecCapability
from worker_bridge.worker import Worker

MEDIA = [OPUS, VP8, h264_codec("4d0032", 1, **{"level-asymmetry-allowed": 1})]


async def test_a_new_router_is_empty_and_known_to_the_worker(worker: Worker) -> None:
    told = recorded(worker, "newrouter")
    router = await worker.create_router(MEDIA, app_data={"room": 123})
    assert told == [("newrouter", router)]
    assert router.app_data == {"room": 123}
    router.app_data = {"room": 222}
    assert router.app_data == {"room": 222}
    assert not router.closed
    dump = await worker.dump()
    assert dump["router_ids"] == dump["channel_message_handlers"]["channel_request_handlers"] == [router.id]
    assert await router.dump() == {
        "id": router.id,
        "transport_ids": [],
        "rtp_observer_ids": [],
        "map_producer_id_consumer_ids": {},
        "map_consumer_id_producer_id": {},
        "map_producer_id_observer_ids": {},
        "map_data_producer_id_data_consumer_ids": {},
        "map_data_consumer_id_data_producer_id": {},
    }


async def test_each_video_codec_brings_its_rtx(worker: Worker) -> None:
    router = await worker.create_router(MEDIA)
    kinds = [codec.mime_type for codec in router.rtp_capabilities.codecs]
    assert kinds == ["audio/opus", "video/VP8", "video/rtx", "video/H264", "video/rtx"]


@pytest.mark.parametrize(
    ("codec", "error"),
    [
        (RtpCodecCapability("audio", "audio/x-aiff", 8000, channels=1), Unsupported),
        (RtpCodecCapability("video", "video/3gpp", 90000), Unsupported),
        (RtpCodecCapability("audio", "audio/opus", 48000, channels=1), Unsupported),
        (RtpCodecCapability("audio", "opus", 48000), InvalidParameters),
    ],
)
async def test_a_router_is_not_made_for_what_cannot_be_routed(
    worker: Worker, codec: RtpCodecCapability, error: type[Exception]
) -> None:
    with pytest.raises(error):
        await worker.create_router([codec])
    assert (await worker.dump())["router_ids"] == []


async def test_capabilities_cannot_be_changed_from_outside(router: Router) -> None:
    with pytest.raises(AttributeError, match="immutable"):
        router.rtp_capabilities.header_extensions = ()  # type: ignore[misc]
    assert isinstance(router.rtp_capabilities.codecs, tuple)


async def test_codecs_can_be_changed_while_it_routes(worker: Worker) -> None:
    router = await worker.create_router(MEDIA)
    transport = await router.create_direct_transport()
    producer = await transport.produce("audio", voice(1))
    router.update_media_codecs([VP8])
    assert [codec.mime_type for codec in router.rtp_capabilities.codecs] == ["video/VP8", "video/rtx"]
    with pytest.raises(Unsupported):
        await transport.produce("audio", voice(2))
    await transport.produce("video", camera())
    assert not producer.closed
    with pytest.raises(Unsupported):
        router.update_media_codecs([RtpCodecCapability("audio", "audio/x-aiff", 8000)])
    router.update_media_codecs([])
    assert router.rtp_capabilities.codecs == ()
    assert router.rtp_capabilities.header_extensions


async def test_a_closed_router_is_gone(worker: Worker, router: Router) -> None:
    told = recorded(router, "close", "workerclose")
    router.close()
    assert router.closed
    assert told == [("close", CloseReason.REQUESTED)]
    assert (await worker.dump())["router_ids"] == []
    for ask in (router.dump, lambda: router.create_plain_transport(LOOPBACK)):
        with pytest.raises(ResourceClosed, match=router.id):
            await ask()


async def test_a_router_ends_with_its_worker(worker: Worker, router: Router) -> None:
    told = recorded(router, "close", "workerclose")
    await worker.close()
    assert told == ["workerclose", ("close", CloseReason.WORKER_DIED)]
    with pytest.raises(ResourceClosed, match=router.id):
        await router.dump()
