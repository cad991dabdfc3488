"""What is done with the sound of calls besides passing it on: each part is there as long as the application, and for
nothing where the settings do not ask for it."""

from __future__ import annotations

from collections.abc import AsyncIterator

from aiohttp import web

from app.announcing.announcing import Announcing
from app.calls.taps import Taps
from app.keys import ANNOUNCING, ENDINGS, JOURNAL, LIFECYCLE, METRICS, RECORDING, REGISTRY, SETTINGS, TAPS
from app.ops.recording_gauges import RecordingGauges
from app.recording.recording import Recording
from app.streaming.orders import Configuration
from app.streaming.streams import AudioStreams
from app.supervision.wiring import supervision
from app.tasks import Tasks
from app.watch.silence import SilenceWatch


async def taps(app: web.Application) -> AsyncIterator[None]:
    """What the parties of calls send, for whoever listens."""
    app[TAPS] = Taps(app[LIFECYCLE])
    yield
    await app[TAPS].close()


async def announcing(app: web.Application) -> AsyncIterator[None]:
    """What the node itself lets parties hear."""
    running = Announcing.running(app[SETTINGS], app[LIFECYCLE], app[ENDINGS], app[JOURNAL])
    async with running as app[ANNOUNCING]:
        app[METRICS].watch_announcing(app[ANNOUNCING])
        yield


async def silence(app: web.Application) -> AsyncIterator[None]:
    """Who says nothing for long is asked, and the call ended, where the settings say so."""
    warning_s, end_s = app[SETTINGS].silence_warning_s, app[SETTINGS].silence_end_s
    if not (warning_s or end_s):
        yield
        return
    watch = SilenceWatch(app[REGISTRY], app[LIFECYCLE], app[JOURNAL], warning_s, end_s)
    background = Tasks()
    background.keep(watch.run, "silence")
    yield
    await background.close()
    await watch.close()


async def streaming(app: web.Application) -> AsyncIterator[None]:
    """What parties say goes to whoever transcribes it, where the settings say so."""
    url, token = app[SETTINGS].audio_stream_url, app[SETTINGS].audio_stream_token
    if url is None:
        yield
        return
    async with AudioStreams.running(Configuration(url, token), app[LIFECYCLE], app[TAPS]) as streams:
        app[METRICS].watch_streams(streams.process)
        yield


async def recording(app: web.Application) -> AsyncIterator[None]:
    """What is kept of what parties send."""
    running = Recording.running(app[SETTINGS], app[REGISTRY], app[LIFECYCLE], app[JOURNAL], app[TAPS])
    async with running as app[RECORDING]:
        app[METRICS].registry.register(RecordingGauges(app[RECORDING]))
        yield


SOUND = (taps, announcing, silence, streaming, supervision, recording)
"""In the order in which they begin: those that listen come after what they listen to."""
