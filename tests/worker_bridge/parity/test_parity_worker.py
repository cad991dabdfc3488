"""Worker: every setting takes effect, every way to end it is told, and a closed one says so."""

from __future__ import annotations

import datetime as dt
import hashlib
import os
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.conftest import eventually, free_ports
from tests.worker_bridge.listening import recorded
from tests.worker_bridge.rtp_peer import LOOPBACK
from tests.worker_bridge.rtp_samples import OPUS
from worker_bridge.errors import WorkerGone, WrongSettings
from worker_bridge.native import NativeWorker
from worker_bridge.worker import Worker
from worker_bridge.worker_settings import WorkerSettings

USAGE = {
    *("ru_utime", "ru_stime", "ru_maxrss", "ru_ixrss", "ru_idrss", "ru_isrss", "ru_minflt", "ru_majflt"),
    *("ru_nswap", "ru_inblock", "ru_oublock", "ru_msgsnd", "ru_msgrcv", "ru_nsignals", "ru_nvcsw", "ru_nivcsw"),
}


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, str]:
    """A certificate, its key, and its SHA-256 fingerprint as SDP has it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "a worker")])
    now = dt.datetime.now(dt.UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(now).not_valid_after(now + dt.timedelta(days=1))
    signed = builder.sign(key, hashes.SHA256())
    folder = tmp_path_factory.mktemp("dtls")
    (folder / "cert.pem").write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    fingerprint = hashlib.sha256(signed.public_bytes(serialization.Encoding.DER)).hexdigest().upper()
    return folder / "cert.pem", folder / "key.pem", ":".join(fingerprint[at : at + 2] for at in range(0, 64, 2))


async def test_every_setting_takes_effect(
    native_worker: NativeWorker, certificate: tuple[Path, Path, str], caplog: pytest.LogCaptureFixture
) -> None:
    port = free_ports(2)
    settings = WorkerSettings(
        log_level="debug",
        log_tags=("info",),
        rtc_min_port=port,
        rtc_max_port=port + 1,
        dtls_certificate_file=certificate[0],
        dtls_private_key_file=certificate[1],
        libwebrtc_field_trials="WebRTC-Bwe-AlrLimitedBackoff/Disabled/",
    )
    with caplog.at_level("DEBUG"):
        async with Worker.running(native_worker, settings, app_data={"rack": 7}) as worker:
            assert (worker.closed, worker.died, worker.subprocess_closed) == (False, False, False)
            assert worker.pid > 0
            assert worker.app_data == {"rack": 7}
            assert settings.libwebrtc_field_trials in Path(f"/proc/{worker.pid}/cmdline").read_text()
            router = await worker.create_router()
            transport = await router.create_webrtc_transport([LOOPBACK])
            assert transport.ice_candidates[0].port in (port, port + 1)
            prints = {print_.algorithm: print_.value for print_ in transport.dtls_parameters.fingerprints}
            assert prints["sha-256"] == certificate[2]
    assert "logTags: info" in caplog.text
    assert (worker.closed, worker.died, worker.subprocess_closed) == (True, False, True)


@pytest.mark.parametrize(
    "settings",
    [
        WorkerSettings(rtc_min_port=1000, rtc_max_port=999),
        WorkerSettings(rtc_min_port=1000, rtc_max_port=65536),
        WorkerSettings(dtls_certificate_file="/nowhere/cert.pem"),
        WorkerSettings(dtls_private_key_file="/nowhere/key.pem"),
    ],
)
async def test_settings_that_make_no_sense_start_no_worker(
    native_worker: NativeWorker, settings: WorkerSettings
) -> None:
    with pytest.raises(WrongSettings):
        async with Worker.running(native_worker, settings):
            pytest.fail("it is not running")


async def test_a_new_worker_holds_nothing(worker: Worker) -> None:
    assert await worker.dump() == {
        "pid": worker.pid,
        "web_rtc_server_ids": [],
        "router_ids": [],
        "channel_message_handlers": {"channel_request_handlers": [], "channel_notification_handlers": []},
    }
    usage = await worker.get_resource_usage()
    assert usage.keys() == USAGE
    assert usage["ru_maxrss"] > 0


async def test_nothing_can_be_asked_of_a_closed_worker(worker: Worker) -> None:
    router = await worker.create_router([OPUS])
    server = await worker.create_webrtc_server([LOOPBACK])
    await worker.close()
    asks: list[Callable[[], Awaitable[object]]] = [
        worker.dump,
        worker.get_resource_usage,
        lambda: worker.update_settings("error"),
        worker.create_router,
        lambda: worker.create_webrtc_server([LOOPBACK]),
    ]
    for ask in asks:
        with pytest.raises(WorkerGone):
            await ask()
    assert router.closed
    assert server.closed
    assert worker.load == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
async def test_a_process_that_ends_by_itself_has_died(worker: Worker, number: int) -> None:
    told = recorded(worker, "died", "close", "subprocessclose")
    ended: list[bool] = []
    worker.events.on("died", lambda _: ended.append(worker.subprocess_closed))
    os.kill(worker.pid, number)
    failure = await worker.wait_gone()
    await eventually(lambda: None if worker.subprocess_closed else "the process is still there")
    assert isinstance(failure, WorkerGone)
    assert told == [("died", failure), "close", "subprocessclose"]
    assert (worker.closed, worker.died) == (True, True)
    assert ended == [True]


async def test_signals_that_are_not_for_it_are_ignored(worker: Worker) -> None:
    for number in (signal.SIGPIPE, signal.SIGHUP, signal.SIGALRM, signal.SIGUSR1, signal.SIGUSR2):
        os.kill(worker.pid, number)
        assert (await worker.dump())["pid"] == worker.pid
    assert not worker.died
