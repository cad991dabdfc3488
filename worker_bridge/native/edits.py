"""What is changed in the worker's own sources, because Debian's OpenSSL 3.0 can't live with them. Each change has its
reason, and knows the one place where it fits: where that is not there exactly once, the build stops."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from worker_bridge.errors import NativeError
from worker_bridge.native.package import require_version


@dataclass(frozen=True, slots=True)
class Edit:
    """``before`` stands in ``file``, of the package's ``worker`` folder, once, and ``after`` takes its place."""

    name: str
    file: str
    before: str
    after: str


# In Debian it does kernel TLS, and asks a BIO whether it does. The worker's callback on its memory BIO answers 1 to
# every control call, which is yes; OpenSSL then has no write buffer, and the worker dies in the first DTLS handshake in
# which it is the client. The callback must pass on the result of each operation that has returned.
KERNEL_TLS: Final = Edit(
    "kernel TLS",
    "src/RTC/DtlsTransport.cpp",
    "(operationType == BIO_CB_RETURN)",
    "((operationType & BIO_CB_RETURN) != 0)",
)

# It takes a record that is too short to be a protected one for a fatal error of its own, and ends DTLS, with the sound
# of the party. RFC 6347 §4.1.2.7 wants it dropped without a word: no key is needed to make one, and whoever sends from
# the client's address can. The shortest true one, which is empty under ChaCha20-Poly1305, is that cipher's tag.
SHORT_RECORDS: Final = Edit(
    "short DTLS records",
    "src/RTC/DtlsTransport.cpp",
    "\t\t// Write the received DTLS data into the sslBioFromNetwork.\n",
    """\
		// Header of a record: type (1), version (2), epoch (2), sequence number (6), length (2).
		for (size_t at{ 0 }; at + 13 <= len; at += 13 + Utils::Byte::Get2Bytes(data, at + 11))
		{
			const bool isProtected = Utils::Byte::Get2Bytes(data, at + 3) != 0;

			if (isProtected && Utils::Byte::Get2Bytes(data, at + 11) < 16)
			{
				MS_WARN_TAG(dtls, "dropping DTLS data with a record that is too short to be protected");

				return;
			}
		}

		// Write the received DTLS data into the sslBioFromNetwork.
""",
)

EDITS: Final = (KERNEL_TLS, SHORT_RECORDS)


def edit_sources(package: Path, version: str) -> None:
    """Makes all changes in an unpacked npm ``package``.

    Raises ``NativeError`` for a package of another release, and where a change does not fit; nothing is changed then.
    """
    require_version(package, version)
    texts: dict[Path, str] = {}
    for edit in EDITS:
        source = package / "worker" / edit.file
        texts[source] = edited(texts.get(source) or source.read_text(), edit)
    for source, text in texts.items():
        source.write_text(text)


def edited(text: str, edit: Edit) -> str:
    """Raises ``NativeError`` where the place of the change is not there exactly once."""
    if text.count(edit.before) != 1:
        raise NativeError(
            f"{edit.file} holds {edit.before.strip()!r} {text.count(edit.before)} times, not once: "
            f"see whether this release still needs the change for {edit.name}, and correct edits.py"
        )
    return text.replace(edit.before, edit.after)
