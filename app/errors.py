"""What a request can fail with, and the one table that turns a failure into an answer.

AppError
├── EdgeError                 the request itself is refused, before anybody asked for a call
│   ├── BadRequest, Unauthorized
│   ├── PayloadTooLarge, UnsupportedMediaType
│   ├── RateLimited, RangeNotSatisfiable
│   └── Banned
├── CallError                 the rules of calls and rooms say no
│   ├── InsufficientPoints
│   ├── Forbidden
│   ├── RoomNotFound, TransportNotFound, ProducerNotFound, ConsumerNotFound
│   ├── CallNotFound, OtomoNotFound, WalletNotFound, NodeNotFound, ClipNotFound, SupervisionNotFound
│   ├── LivesElsewhere, RefusedElsewhere
│   ├── AlreadyConnected, AlreadyResumed
│   ├── ProducerAlreadyExists, TransportLimitExceeded, CannotConsume
│   ├── InvalidCallState
│   ├── OtomoOffline, OtomoBusy, CallerBusy, Blocked
│   ├── NotEnabled, SupervisorSpeaks, SupervisionLimitExceeded
│   ├── CallLimitExceeded
│   └── RecordingNotFound, RecordingNotReady
└── NodeError                 this node can't serve it now, another one or a later try might
    ├── WorkerUnavailable
    ├── Draining, Overloaded
    └── RecordingLimitExceeded

The classes know no HTTP: ``app.calls`` raises them and they carry ids for the log. Only the table below knows codes,
statuses and the Japanese texts that clients show.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from msgspec import UNSET

from app.ledger.errors import (
    AlreadyExpired,
    BadCursor,
    BalanceTooHigh,
    BalanceTooLow,
    EndpointDisabled,
    EndpointFromSettings,
    Fenced,
    KeyReused,
    LedgerUnavailable,
    RefundTooHigh,
    StaleState,
    TooManyBlocks,
    TooManyEndpoints,
    UnknownCall,
    UnknownDelivery,
    UnknownEndpoint,
    Unstorable,
)
from app.recording.errors import NotStored, StorageError
from schemas.error import ErrorBody, InvalidBody, Problem
from schemas.own_media import Direction
from worker_bridge.errors import InvalidMessage, InvalidParameters, ResourceClosed, Unsupported, WorkerGone

RETRY_AFTER_S = 5  # a draining node is replaced by another within seconds
ROOM_AFTER_S = 1  # a call that has lost its room gets another at once
LEADING_PATH = re.compile(r"([A-Za-z][^:\s]*): ")  # how messages of ``worker_bridge`` begin


class AppError(Exception):
    """Base of everything that ``app`` raises to be answered."""


class EdgeError(AppError):
    """The request itself is refused, whatever it asks for."""


class CallError(AppError):
    """The rules of calls and rooms refuse what was asked."""


class NodeError(AppError):
    """The node can't do it now."""


class BadRequest(EdgeError):
    """The body, a path or a query value is wrong; ``details`` tell a developer where and why."""

    def __init__(self, details: Iterable[Problem]) -> None:
        self.details = tuple(details)
        super().__init__("; ".join(f"{problem.path}: {problem.problem}" for problem in self.details))

    @classmethod
    def at(cls, path: str, problem: str) -> BadRequest:
        """One thing is wrong, at ``path`` in the wire's spelling ("" is the whole body)."""
        return cls((Problem(path, problem),))

    @classmethod
    def within(cls, path: str, misuse: Exception) -> BadRequest:
        """What ``worker_bridge`` refused in the object at ``path``; its message begins with the path in there."""
        inner = problem_of(misuse)
        return cls((Problem(f"{path}.{inner.path}" if inner.path else path, inner.problem),))


class Unauthorized(EdgeError):
    """No token, or one that is not accepted. Only ``token_given`` tells a client which of the two (RFC 6750 §3.1)."""

    def __init__(self, reason: str = "no token", *, token_given: bool = False) -> None:
        super().__init__(reason)
        self.token_given = token_given


class PayloadTooLarge(EdgeError):
    """The body is longer than a body may be."""


class UnsupportedMediaType(EdgeError):
    """The body is not plain UTF-8 JSON."""


class RateLimited(EdgeError):
    """The user asks too often; ``retry_after_s`` is in whole seconds, 1 or more."""

    def __init__(self, retry_after_s: int) -> None:
        super().__init__(f"again in {retry_after_s} s")
        self.retry_after_s = retry_after_s


class RangeNotSatisfiable(EdgeError):
    """The request asks for bytes behind the end; there are ``size``."""

    def __init__(self, size: int) -> None:
        super().__init__(f"there are {size} bytes")
        self.size = size


class Banned(EdgeError):
    """The person is kept out by an admin."""


class InsufficientPoints(CallError):
    """The caller's balance does not cover one minute."""


class Forbidden(CallError):
    """The user is not a party of the call, or not allowed this at all."""


class RoomNotFound(CallError):
    """There is no room for that call."""


class TransportNotFound(CallError):
    """There is no such transport of this party; ``which`` is the direction that was needed, where one was."""

    def __init__(self, transport_id: str = "", *, which: Direction | None = None) -> None:
        super().__init__(transport_id)
        self.which = which


class ProducerNotFound(CallError):
    """There is no such producer that this party may refer to."""


class ConsumerNotFound(CallError):
    """There is no such consumer of this party."""


class CallNotFound(CallError):
    """There is no such call."""


class NodeNotFound(CallError):
    """There is no such node, or several are called so."""


class ClipNotFound(CallError):
    """There is no clip of that name that can be played; ``problem`` is why not, where there is a file."""

    def __init__(self, name: str, problem: str | None = None) -> None:
        super().__init__(f"there is no clip {name}" if problem is None else f"the clip {name} {problem}")


class LivesElsewhere(CallError):
    """The call lives, on another node."""


class RefusedElsewhere(CallError):
    """The node on which the call lives has refused, with this answer."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.code)
        self.answer = answer


class OtomoNotFound(CallError):
    """Nobody by that id takes calls."""


class WalletNotFound(CallError):
    """That user has no wallet."""


class AlreadyConnected(CallError):
    """The transport's DTLS parameters were given before."""


class AlreadyResumed(CallError):
    """The consumer is not paused."""


class ProducerAlreadyExists(CallError):
    """The party already sends media of that kind, with other parameters."""


class TransportLimitExceeded(CallError):
    """The party has as many live transports in that direction as it may have."""


class CannotConsume(CallError):
    """The capabilities of the receiver don't match the producer."""


class InvalidCallState(CallError):
    """The call is not in a state in which this can be done."""


class OtomoOffline(CallError):
    """The otomo has no live socket."""


class OtomoBusy(CallError):
    """The otomo is in another call."""


class CallerBusy(CallError):
    """The caller is in another call."""


class Blocked(CallError):
    """One of the two has blocked the other."""


class NotEnabled(CallError):
    """The settings have it off."""


class SupervisionNotFound(CallError):
    """There is no such supervision of that call."""


class SupervisorSpeaks(CallError):
    """Another admin speaks in the call."""


class SupervisionLimitExceeded(CallError):
    """As many admins supervise the call as may."""


class CallLimitExceeded(CallError):
    """The caller has rung too often; ``retry_after_s`` is in whole seconds, 1 or more."""

    def __init__(self, retry_after_s: int) -> None:
        super().__init__(f"again in {retry_after_s} s")
        self.retry_after_s = retry_after_s


class RecordingNotFound(CallError):
    """There is no such recording."""


class RecordingNotReady(CallError):
    """The recording goes on, or is on its way to the storage, or nothing came of it."""


class WorkerUnavailable(NodeError):
    """No worker can take a room, or the call's own worker is gone."""


class Draining(NodeError):
    """The node takes no new calls."""


class Overloaded(NodeError):
    """The node is too full for another call; the text names what it is short of."""


class RecordingLimitExceeded(NodeError):
    """As many calls are recorded here as may be; the text has the setting."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One refusal as clients see it. ``message`` is shown to people, ``details`` are read by developers."""

    code: str
    status: int
    message: str
    headers: tuple[tuple[str, str], ...] = ()
    details: tuple[Problem, ...] = ()

    @property
    def body(self) -> ErrorBody:
        return ErrorBody(self.code, self.message, self.details if self.status == 400 or self.details else UNSET)


BAD_REQUEST = Answer("BAD_REQUEST", 400, "リクエストが不正です。")
INTERNAL_ERROR = Answer("INTERNAL_ERROR", 500, "サーバー内部でエラーが発生しました。")
NOT_FOUND = Answer("NOT_FOUND", 404, "指定されたURLは存在しません。")
METHOD_NOT_ALLOWED = Answer("METHOD_NOT_ALLOWED", 405, "このURLでは使用できないメソッドです。")
URI_TOO_LONG = Answer("URI_TOO_LONG", 414, "URLが長すぎます。")
EXPECTATION_FAILED = Answer("EXPECTATION_FAILED", 417, "Expectヘッダーが不正です。")
UPGRADE_REQUIRED = Answer(  # RFC 9110 §15.5.22 and RFC 6455 §4.4: say what to upgrade to
    "UPGRADE_REQUIRED",
    426,
    "WebSocketで接続してください。",
    (("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Version", "13")),
)
HEADER_TOO_LARGE = Answer("HEADER_TOO_LARGE", 431, "リクエストヘッダーが大きすぎます。")
NO_HTTP = replace(BAD_REQUEST, details=(Problem("", "is not HTTP/1.1 that can be read"),))

_RETRY = (("Retry-After", str(RETRY_AFTER_S)),)
_NOT_NOW = Answer("INVALID_CALL_STATE", 409, "現在この操作はできません。")
_NO_WORKER = Answer(
    "WORKER_UNAVAILABLE", 503, "メディアサーバーを利用できません。", (("Retry-After", str(ROOM_AFTER_S)),)
)

ANSWERS: Mapping[type[Exception], Answer] = MappingProxyType(
    {
        BadRequest: BAD_REQUEST,
        InvalidBody: BAD_REQUEST,
        InvalidParameters: BAD_REQUEST,
        InvalidMessage: INTERNAL_ERROR,  # what clients send was checked before: the mistake is ours
        Unsupported: BAD_REQUEST,
        BadCursor: BAD_REQUEST,
        BalanceTooHigh: BAD_REQUEST,
        TooManyBlocks: BAD_REQUEST,
        AlreadyExpired: BAD_REQUEST,
        RefundTooHigh: BAD_REQUEST,
        Unstorable: BAD_REQUEST,
        Unauthorized: Answer("UNAUTHORIZED", 401, "認証が必要です。", (("WWW-Authenticate", "Bearer"),)),
        InsufficientPoints: Answer("INSUFFICIENT_POINTS", 402, "ポイントが不足しています。"),
        Forbidden: Answer("FORBIDDEN", 403, "この通話を操作する権限がありません。"),
        RoomNotFound: Answer("ROOM_NOT_FOUND", 404, "Roomが見つかりません。"),
        TransportNotFound: Answer("TRANSPORT_NOT_FOUND", 404, "Transportが存在しません。"),
        ProducerNotFound: Answer("PRODUCER_NOT_FOUND", 404, "Producerが存在しません。"),
        ConsumerNotFound: Answer("CONSUMER_NOT_FOUND", 404, "Consumerが存在しません。"),
        CallNotFound: Answer("CALL_NOT_FOUND", 404, "通話が見つかりません。"),
        UnknownCall: Answer("CALL_NOT_FOUND", 404, "通話が見つかりません。"),
        OtomoNotFound: Answer("OTOMO_NOT_FOUND", 404, "おともはんが見つかりません。"),
        WalletNotFound: Answer("WALLET_NOT_FOUND", 404, "ウォレットが見つかりません。"),
        NodeNotFound: Answer("NODE_NOT_FOUND", 404, "ノードが見つかりません。"),
        ClipNotFound: Answer("CLIP_NOT_FOUND", 404, "音声クリップが見つかりません。"),
        SupervisionNotFound: Answer("SUPERVISION_NOT_FOUND", 404, "監視が見つかりません。"),
        UnknownEndpoint: Answer("WEBHOOK_NOT_FOUND", 404, "Webhookが見つかりません。"),
        UnknownDelivery: Answer("DELIVERY_NOT_FOUND", 404, "配信が見つかりません。"),
        AlreadyConnected: Answer("ALREADY_CONNECTED", 409, "TransportはすでにDTLS接続済みです。"),
        AlreadyResumed: Answer("ALREADY_RESUMED", 409, "Consumerはすでに受信を開始しています。"),
        ProducerAlreadyExists: Answer("PRODUCER_ALREADY_EXISTS", 409, "すでに音声を送信しています。"),
        TransportLimitExceeded: Answer("TRANSPORT_LIMIT_EXCEEDED", 409, "Transportの上限に達しています。"),
        CannotConsume: Answer("CANNOT_CONSUME", 409, "このProducerは受信できません。"),
        InvalidCallState: _NOT_NOW,
        ResourceClosed: _NOT_NOW,  # the room closed under the request: the call has ended meanwhile
        OtomoOffline: Answer("OTOMO_OFFLINE", 409, "相手はオフラインです。"),
        OtomoBusy: Answer("OTOMO_BUSY", 409, "相手は通話中です。"),
        CallerBusy: Answer("CALLER_BUSY", 409, "すでに通話中です。"),
        NotEnabled: Answer("NOT_ENABLED", 403, "この機能は有効になっていません。"),
        SupervisorSpeaks: Answer("SUPERVISOR_SPEAKS", 409, "別の管理者が発言中です。"),
        SupervisionLimitExceeded: Answer("SUPERVISION_LIMIT_EXCEEDED", 409, "監視の上限に達しています。"),
        Blocked: Answer("BLOCKED", 403, "この相手には発信できません。"),
        Banned: Answer("BANNED", 403, "このアカウントは利用できません。"),
        TooManyEndpoints: Answer("WEBHOOK_LIMIT_EXCEEDED", 409, "Webhookの上限に達しています。"),
        EndpointFromSettings: Answer("WEBHOOK_FROM_SETTINGS", 409, "このWebhookは設定で管理されています。"),
        EndpointDisabled: Answer("WEBHOOK_DISABLED", 409, "このWebhookは無効です。"),
        PayloadTooLarge: Answer("PAYLOAD_TOO_LARGE", 413, "リクエストが大きすぎます。"),
        UnsupportedMediaType: Answer("UNSUPPORTED_MEDIA_TYPE", 415, "Content-Typeが不正です。"),
        RangeNotSatisfiable: Answer("RANGE_NOT_SATISFIABLE", 416, "指定された範囲は取得できません。"),
        RateLimited: Answer("RATE_LIMITED", 429, "リクエストが多すぎます。"),
        CallLimitExceeded: Answer("CALL_LIMIT_EXCEEDED", 429, "発信回数の上限に達しました。"),
        StaleState: _NOT_NOW,
        BalanceTooLow: Answer("INSUFFICIENT_POINTS", 402, "ポイントが不足しています。"),
        KeyReused: Answer("IDEMPOTENCY_KEY_REUSED", 409, "このキーは別の操作で使用されています。"),
        LedgerUnavailable: Answer("DATABASE_UNAVAILABLE", 503, "データベースを利用できません。", _RETRY),
        RecordingNotFound: Answer("RECORDING_NOT_FOUND", 404, "録音が見つかりません。"),
        RecordingNotReady: Answer("RECORDING_NOT_READY", 409, "録音はまだ利用できません。"),
        RecordingLimitExceeded: Answer("RECORDING_LIMIT_EXCEEDED", 503, "録音の上限に達しています。", _RETRY),
        NotStored: Answer("RECORDING_NOT_FOUND", 404, "録音が見つかりません。"),
        StorageError: Answer("STORAGE_UNAVAILABLE", 503, "録音の保存先を利用できません。", _RETRY),
        WorkerUnavailable: _NO_WORKER,
        WorkerGone: _NO_WORKER,
        LivesElsewhere: _NO_WORKER,
        RefusedElsewhere: _NO_WORKER,  # in whose place its own answer is given
        Fenced: _NO_WORKER,  # the call is on another node by now, where the next try will find it
        Draining: Answer("DRAINING", 503, "このサーバーは停止準備中です。", _RETRY),
        Overloaded: Answer("OVERLOADED", 503, "サーバーが混み合っています。", _RETRY),
    }
)
"""The answer to each failure. A type in this table answers for its subclasses too."""

_TRANSPORT_MESSAGES = {"send": "送信用Transportが存在しません。", "recv": "受信用Transportが存在しません。"}
_INVALID_TOKEN = (("WWW-Authenticate", 'Bearer error="invalid_token"'),)


def answer_to(error: BaseException) -> Answer:
    """The answer to a failure; :data:`INTERNAL_ERROR` where the table has none, which the caller then has to log."""
    answer = next((ANSWERS[kind] for kind in type(error).__mro__ if kind in ANSWERS), INTERNAL_ERROR)
    match error:
        case RefusedElsewhere():
            return error.answer
        case InvalidMessage():
            return answer
        case BadRequest() | InvalidBody():
            return replace(answer, details=tuple(error.details))
        case InvalidParameters() | Unsupported():
            return replace(answer, details=(problem_of(error),))
        case TransportNotFound(which="send" | "recv" as which):
            return replace(answer, message=_TRANSPORT_MESSAGES[which])
        case Unauthorized(token_given=True):
            return replace(answer, headers=_INVALID_TOKEN)
        case RateLimited() | CallLimitExceeded() | RangeNotSatisfiable():
            return replace(answer, headers=(header_of(error),))
        case BadCursor() | BalanceTooHigh() | RefundTooHigh() | AlreadyExpired():
            return replace(answer, details=(Problem(error.place, str(error)),))
        case TooManyBlocks() | Unstorable() | Overloaded() | RecordingLimitExceeded() | ClipNotFound():
            return replace(answer, details=(Problem("", str(error)),))
        case _:
            return answer


def header_of(error: RateLimited | CallLimitExceeded | RangeNotSatisfiable) -> tuple[str, str]:
    """What a client needs to know to ask again."""
    if isinstance(error, RangeNotSatisfiable):
        return "Content-Range", f"bytes */{error.size}"
    return "Retry-After", str(error.retry_after_s)


def problem_of(misuse: Exception) -> Problem:
    """``codecs.0.payloadType: 300 ...`` is a problem at ``codecs.0.payloadType``; what names no path, at none."""
    text = str(misuse)
    found = LEADING_PATH.match(text)
    return Problem(found[1], text[found.end() :]) if found else Problem("", text)
