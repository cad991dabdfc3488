"""Bodies about webhook endpoints and the deliveries to them."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from msgspec import UNSET, Meta, UnsetType, field

from schemas.base import Answer, Body
from schemas.types import CallId, Count, Cursor, Name, Timestamp
from schemas.webhook_events import ALL, MessageType, WebhookType
from worker_bridge.value import PRINTABLE

MAX_URL: Final = 2048  # characters
MAX_SECRET: Final = 128  # characters

WebhookUrl = Annotated[str, Meta(min_length=1, max_length=MAX_URL), PRINTABLE]
WebhookTypes = Annotated[tuple[WebhookType, ...], Meta(min_length=1, max_length=len(ALL))]
Description = Annotated[str, Meta(max_length=200), PRINTABLE]
Secret = Annotated[str, Meta(min_length=1, max_length=MAX_SECRET), PRINTABLE]
DeliveryStatus = Literal["pending", "delivered", "dead"]
DisabledReason = Literal["admin", "gone", "failing", "unset"]
"""Who or what has disabled an endpoint: an admin; its own answer 410; days of failures; that the settings name none any
more."""


class WebhookRequest(Body, frozen=True):
    """An endpoint to make. Without ``events`` it gets all but ``call.charged`` and ``call.silent``."""

    url: WebhookUrl
    events: WebhookTypes | UnsetType = UNSET
    description: Description | UnsetType = UNSET


class WebhookChange(Body, frozen=True):
    """What changes of an endpoint. ``enabled`` true uses one again that was disabled, whoever did that."""

    url: WebhookUrl | UnsetType = UNSET
    events: WebhookTypes | UnsetType = UNSET
    description: Description | UnsetType = UNSET
    enabled: bool | UnsetType = UNSET


class ReplayRequest(Body, frozen=True, kw_only=True):
    """A span of time: everything in it is delivered again, or at last."""

    since: Timestamp = field(name="from")
    until: Timestamp = field(name="to")


class WebhookBody(Answer, frozen=True, kw_only=True):
    """An endpoint. ``failing_since`` is when its failures began, null where the last delivery arrived."""

    webhook_id: Name
    url: WebhookUrl
    events: Annotated[tuple[WebhookType, ...], Meta(max_length=len(ALL))]
    description: Description
    enabled: bool
    disabled_reason: DisabledReason | None
    disabled_at: Timestamp | None
    failing_since: Timestamp | None
    from_settings: bool
    created_at: Timestamp


class WebhookCreated(WebhookBody, frozen=True, kw_only=True):
    """An endpoint with the secret that signs its deliveries, which is told this once."""

    secret: Secret


class WebhookList(Answer, frozen=True):
    webhooks: tuple[WebhookBody, ...]


class WebhookDeleted(Answer, frozen=True):
    deleted: bool = True


class DeliveryLine(Answer, frozen=True, kw_only=True):
    """A delivery; its id is the ``webhook-id`` that its receiver sees. ``answer_status`` is null where no answer came,
    and ``answer`` says why then."""

    delivery_id: Name
    webhook_id: Name
    type: MessageType
    call_id: CallId | None
    status: DeliveryStatus
    attempts: Count
    created_at: Timestamp
    next_attempt_at: Timestamp | None
    last_attempt_at: Timestamp | None
    took_ms: Count | None
    answer_status: Count | None
    answer: Annotated[str, Meta(max_length=1000)] | None


class DeliveryBody(DeliveryLine, frozen=True, kw_only=True):
    """A delivery with the body that is sent: JSON text, byte by byte as it is signed."""

    body: str


class DeliveryList(Answer, frozen=True):
    """One page, newest first; ``next_cursor`` is null on the last one."""

    deliveries: tuple[DeliveryLine, ...]
    next_cursor: Cursor | None


class Replayed(Answer, frozen=True):
    """How many deliveries are under way again."""

    replayed: Count
