"""The tree of errors and the table: every row of the contract, and what has no row."""

from __future__ import annotations

import pytest

from app import errors
from app.errors import ANSWERS, AppError, BadRequest, RateLimited, TransportNotFound, Unauthorized, answer_to
from schemas.base import dump
from schemas.problem import InvalidBody, Problem
from worker_bridge.errors import (
    InvalidMessage,
    InvalidParameters,
    NotFound,
    ResourceClosed,
    Unsupported,
    VersionMismatch,
    WorkerGone,
)

CONTRACT = [
    (BadRequest(()), "BAD_REQUEST", 400, "リクエストが不正です。"),
    (Unauthorized(), "UNAUTHORIZED", 401, "認証が必要です。"),
    (errors.InsufficientPoints(), "INSUFFICIENT_POINTS", 402, "ポイントが不足しています。"),
    (errors.Forbidden(), "FORBIDDEN", 403, "この通話を操作する権限がありません。"),
    (errors.RoomNotFound(), "ROOM_NOT_FOUND", 404, "Roomが見つかりません。"),
    (TransportNotFound(which="send"), "TRANSPORT_NOT_FOUND", 404, "送信用Transportが存在しません。"),
    (TransportNotFound(which="recv"), "TRANSPORT_NOT_FOUND", 404, "受信用Transportが存在しません。"),
    (TransportNotFound(), "TRANSPORT_NOT_FOUND", 404, "Transportが存在しません。"),
    (errors.ProducerNotFound(), "PRODUCER_NOT_FOUND", 404, "Producerが存在しません。"),
    (errors.ConsumerNotFound(), "CONSUMER_NOT_FOUND", 404, "Consumerが存在しません。"),
    (errors.CallNotFound(), "CALL_NOT_FOUND", 404, "通話が見つかりません。"),
    (errors.OtomoNotFound(), "OTOMO_NOT_FOUND", 404, "おともはんが見つかりません。"),
    (errors.WalletNotFound(), "WALLET_NOT_FOUND", 404, "ウォレットが見つかりません。"),
    (errors.AlreadyConnected(), "ALREADY_CONNECTED", 409, "TransportはすでにDTLS接続済みです。"),
    (errors.AlreadyResumed(), "ALREADY_RESUMED", 409, "Consumerはすでに受信を開始しています。"),
    (errors.ProducerAlreadyExists(), "PRODUCER_ALREADY_EXISTS", 409, "すでに音声を送信しています。"),
    (errors.TransportLimitExceeded(), "TRANSPORT_LIMIT_EXCEEDED", 409, "Transportの上限に達しています。"),
    (errors.CannotConsume(), "CANNOT_CONSUME", 409, "このProducerは受信できません。"),
    (errors.InvalidCallState(), "INVALID_CALL_STATE", 409, "現在この操作はできません。"),
    (errors.OtomoOffline(), "OTOMO_OFFLINE", 409, "相手はオフラインです。"),
    (errors.OtomoBusy(), "OTOMO_BUSY", 409, "相手は通話中です。"),
    (errors.CallerBusy(), "CALLER_BUSY", 409, "すでに通話中です。"),
    (errors.PayloadTooLarge(), "PAYLOAD_TOO_LARGE", 413, "リクエストが大きすぎます。"),
    (errors.UnsupportedMediaType(), "UNSUPPORTED_MEDIA_TYPE", 415, "Content-Typeが不正です。"),
    (RateLimited(1), "RATE_LIMITED", 429, "リクエストが多すぎます。"),
    (errors.CallLimitExceeded(1), "CALL_LIMIT_EXCEEDED", 429, "発信回数の上限に達しました。"),
    (errors.WorkerUnavailable(), "WORKER_UNAVAILABLE", 503, "メディアサーバーを利用できません。"),
    (errors.Draining(), "DRAINING", 503, "このサーバーは停止準備中です。"),
    (errors.Overloaded(), "OVERLOADED", 503, "サーバーが混み合っています。"),
    (RuntimeError(), "INTERNAL_ERROR", 500, "サーバー内部でエラーが発生しました。"),
    # what the bridge raises
    (WorkerGone(), "WORKER_UNAVAILABLE", 503, "メディアサーバーを利用できません。"),
    (ResourceClosed(), "INVALID_CALL_STATE", 409, "現在この操作はできません。"),
    (InvalidParameters("kind: x"), "BAD_REQUEST", 400, "リクエストが不正です。"),
    (Unsupported("codec"), "BAD_REQUEST", 400, "リクエストが不正です。"),
    (InvalidMessage("id: x"), "INTERNAL_ERROR", 500, "サーバー内部でエラーが発生しました。"),
    (NotFound("producer.pause", "?"), "INTERNAL_ERROR", 500, "サーバー内部でエラーが発生しました。"),
    (VersionMismatch("old"), "INTERNAL_ERROR", 500, "サーバー内部でエラーが発生しました。"),
]


@pytest.mark.parametrize(("error", "code", "status", "message"), CONTRACT, ids=lambda value: type(value).__name__)
def test_every_error_is_answered_as_the_contract_says(error: Exception, code: str, status: int, message: str) -> None:
    answer = answer_to(error)
    assert (answer.code, answer.status) == (code, status)
    assert dump(answer.body)["error"] == code
    assert dump(answer.body)["message"] == message


def leaves(kind: type[Exception]) -> set[type[Exception]]:
    below = kind.__subclasses__()
    return {kind} if not below else {leaf for one in below for leaf in leaves(one)}


def test_every_leaf_of_the_tree_has_a_row() -> None:
    assert leaves(AppError) <= ANSWERS.keys()


def test_the_tree_at_the_top_of_the_file_names_every_class() -> None:
    drawn = errors.__doc__ or ""
    assert [kind.__name__ for kind in leaves(AppError) if kind.__name__ not in drawn] == []


def test_only_what_has_a_reason_to_tell_carries_details() -> None:
    bad = dump(answer_to(BadRequest.at("callId", "is missing")).body)
    assert bad["details"] == [{"path": "callId", "problem": "is missing"}]
    full = dump(answer_to(errors.Overloaded("stress 2.00 is above the limit")).body)
    assert full["details"] == [{"path": "", "problem": "stress 2.00 is above the limit"}]
    assert "details" not in dump(answer_to(errors.RoomNotFound()).body)


def test_the_problems_of_a_schema_reach_the_client() -> None:
    problems = (Problem("kind", "must be audio"), Problem("rtpParameters.codecs", "is missing"))
    assert answer_to(InvalidBody(problems)).details == problems


@pytest.mark.parametrize(
    ("said", "path", "problem"),
    [
        ("rtpParameters.codecs.0.payloadType: 300 is no type", "rtpParameters.codecs.0.payloadType", "300 is no type"),
        ("codecs.12.rtcpFeedback.3.type: a: b", "codecs.12.rtcpFeedback.3.type", "a: b"),
        ("kind: 'video' is off", "kind", "'video' is off"),
        ("no codec matches audio/opus: sorry", "", "no codec matches audio/opus: sorry"),
        ("nothing", "", "nothing"),
    ],
)
def test_the_path_that_the_bridge_names_reaches_the_client(said: str, path: str, problem: str) -> None:
    assert answer_to(InvalidParameters(said)).details == (Problem(path, problem),)


def test_a_refused_token_says_no_more_than_that() -> None:
    assert answer_to(Unauthorized()).headers == (("WWW-Authenticate", "Bearer"),)
    refused = answer_to(Unauthorized("signature of mallory", token_given=True))
    assert refused.headers == (("WWW-Authenticate", 'Bearer error="invalid_token"'),)
    assert "mallory" not in str(refused)


@pytest.mark.parametrize(
    "error", [errors.WorkerUnavailable(), WorkerGone(), errors.Draining(), RateLimited(7), errors.CallLimitExceeded(7)]
)
def test_what_passes_says_when_to_come_back(error: Exception) -> None:
    seconds = dict(answer_to(error).headers)["Retry-After"]
    assert int(seconds) >= 1
    assert not isinstance(error, RateLimited | errors.CallLimitExceeded) or seconds == "7"
