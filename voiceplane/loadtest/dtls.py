"""The client's side of DTLS-SRTP (RFC 5764): a handshake in memory, and its keys. Opens no socket."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from OpenSSL import SSL
from pylibsrtp import Policy

from voiceplane.loadtest.errors import LegFailed

# The profile that every WebRTC endpoint has (RFC 8827 §6.5). It costs most: a capacity measured with it is safe.
PROFILE = b"SRTP_AES128_CM_SHA1_80"
SRTP_PROFILE = Policy.SRTP_PROFILE_AES128_CM_SHA1_80
KEY_BYTES, SALT_BYTES = 16, 14
LABEL = b"EXTRACTOR-dtls_srtp"  # RFC 5764 §4.2
LARGEST_FLIGHT = 8192  # bytes; all records of one flight leave in one datagram
LIFETIME = timedelta(days=1)


class Fingerprint(NamedTuple):
    """A certificate's fingerprint (RFC 8122 §5)."""

    algorithm: str
    value: str


class SrtpKeys(NamedTuple):
    """Master key and salt, joined as libsrtp takes them: `ours` for what we send, `theirs` for what we receive."""

    ours: bytes
    theirs: bytes


class Identity:
    """One certificate for all handshakes of a process."""

    def __init__(self) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "loadtest")])
        now = datetime.now(UTC)
        certificate = (
            x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
            .not_valid_before(now - LIFETIME)
            .not_valid_after(now + LIFETIME)
            .sign(key, SHA256())
        )
        self.fingerprint = Fingerprint("sha-256", _colons(certificate.fingerprint(SHA256())))
        self.context = SSL.Context(SSL.DTLS_METHOD)
        self.context.use_certificate(certificate)
        self.context.use_privatekey(key)
        self.context.set_verify(SSL.VERIFY_PEER, lambda *_: True)  # fingerprints are what is trusted: RFC 8122 §6
        self.context.set_tlsext_use_srtp(PROFILE)


class Handshake:
    """Takes and makes datagrams, until `keys` are there."""

    def __init__(self, identity: Identity, expected: Sequence[Fingerprint]) -> None:
        self.keys: SrtpKeys | None = None
        self._expected = expected
        self._connection = SSL.Connection(identity.context)
        self._connection.set_connect_state()

    def advance(self, datagram: bytes | None = None) -> bytes:
        """Take a datagram that came, or begin the handshake. Returns what is to be sent, which may be nothing.

        Raises LegFailed where the peer breaks off, or its certificate is not the one that signalling named.
        """
        if datagram is not None:
            self._connection.bio_write(datagram)
        try:
            self._connection.do_handshake()
        except SSL.WantReadError:
            pass
        except SSL.Error as error:
            raise LegFailed(f"the DTLS handshake failed: {error}") from error
        else:
            self.keys = self._finish()
        return self._outgoing()

    def repeat(self) -> bytes:
        """What is to be sent again because its answer is overdue (RFC 6347 §4.2.4); else nothing."""
        self._connection.DTLSv1_handle_timeout()
        return self._outgoing()

    def goodbye(self) -> bytes:
        """The close_notify alert, so that the server sees a client that left and not one that vanished."""
        self._connection.shutdown()
        return self._outgoing()

    def _outgoing(self) -> bytes:
        try:
            return self._connection.bio_read(LARGEST_FLIGHT)
        except SSL.WantReadError:
            return b""

    def _finish(self) -> SrtpKeys:
        certificate = self._connection.get_peer_certificate(as_cryptography=True)
        if certificate is None or not self._is_expected(certificate.public_bytes(Encoding.DER)):
            raise LegFailed("the server's certificate has none of the fingerprints that it gave")
        if self._connection.get_selected_srtp_profile() != PROFILE:
            raise LegFailed(f"the server did not agree on {PROFILE.decode()}")
        material = self._connection.export_keying_material(LABEL, 2 * (KEY_BYTES + SALT_BYTES))
        keys, salts = material[: 2 * KEY_BYTES], material[2 * KEY_BYTES :]
        return SrtpKeys(keys[:KEY_BYTES] + salts[:SALT_BYTES], keys[KEY_BYTES:] + salts[SALT_BYTES:])

    def _is_expected(self, certificate: bytes) -> bool:
        return any(
            _colons(hashlib.new(algorithm.replace("-", ""), certificate).digest()) == value.upper()
            for algorithm, value in self._expected
        )


def _colons(digest: bytes) -> str:
    return digest.hex(":").upper()
