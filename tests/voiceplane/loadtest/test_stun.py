"""ICE checks of the generator, read by another stack: aioice."""

from __future__ import annotations

from aioice import stun

from voiceplane.loadtest.stun import binding_request, is_success


def test_a_check_is_what_another_stack_reads_and_believes():
    request = binding_request("theirs:ours", "their password")
    message = stun.parse_message(request)  # which checks the fingerprint
    assert message.attributes["USERNAME"] == "theirs:ours"
    assert {"USE-CANDIDATE", "ICE-CONTROLLING", "PRIORITY", "FINGERPRINT"} <= set(message.attributes)
    assert message.check_message_integrity(b"their password")
    assert not message.check_message_integrity(b"another password")


def test_only_a_success_is_an_answer():
    def answer(kind: stun.Class) -> bytes:
        return bytes(stun.Message(stun.Method.BINDING, kind))

    assert is_success(answer(stun.Class.RESPONSE))
    assert not is_success(answer(stun.Class.ERROR))
    assert not is_success(binding_request("theirs:ours", "their password"))
    assert not is_success(b"\x01\x01")
