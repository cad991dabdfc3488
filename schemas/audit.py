"""Bodies about the audit log: what admins did, to whom or what, when and why."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from schemas.base import Answer
from schemas.types import CallId, Cursor, MetadataKey, MetadataText, Name, Reason, Role, Timestamp

AuditAction = Literal[
    "call.end",
    "call.extend",
    "call.announce",
    "call.hold",
    "call.resume",
    "call.refund",
    "wallet.adjust",
    "rate.set",
    "person.ban",
    "person.unban",
    "person.revoke",
    "webhook.create",
    "webhook.change",
    "webhook.delete",
    "webhook.rotate",
    "webhook.replay",
    "recording.start",
    "recording.pause",
    "recording.resume",
    "recording.stop",
    "recording.play",
    "recording.download",
    "recording.delete",
    "node.drain",
    "node.undrain",
    "supervision.start",
    "supervision.change",
    "supervision.end",
]
"""What is written down; what is done to a thing, behind the thing."""

AuditDetails = Annotated[dict[MetadataKey, MetadataText], Meta(max_length=16)]


class AuditLine(Answer, frozen=True, kw_only=True):
    """One thing that an admin did, or tried to: it is written before it is done.

    It was about a call, about a person (``role`` and ``user_id``), or about something else, of which ``subject`` is the
    id: a webhook, a node, an otomo whose price it is. What else was asked for is in ``details``.
    """

    audit_id: Name
    at: Timestamp
    admin_id: Name
    action: AuditAction
    call_id: CallId | None
    role: Role | None
    user_id: Name | None
    subject: Name | None
    reason: Reason | None
    details: AuditDetails


class AuditList(Answer, frozen=True):
    """One page, newest first; ``next_cursor`` is null on the last one."""

    entries: tuple[AuditLine, ...]
    next_cursor: Cursor | None
