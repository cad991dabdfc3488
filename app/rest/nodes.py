"""All nodes, for admins: which there are, and draining any of them from any other."""

from __future__ import annotations

from importlib.metadata import version

import aiohttp
from aiohttp import web

from app.errors import Draining, NodeNotFound, WorkerUnavailable
from app.http.body import body, raw_body
from app.http.middleware import admin_only
from app.http.responses import json_response
from app.keys import CLUSTER, DRAIN, LEDGER, MEMBERSHIP, REGISTRY, SAMPLER, SETTINGS, claims
from app.ledger.nodes import Node
from app.openapi.declaration import answers
from app.ops import nodes
from app.rest.node import begin_drain, end_drain
from schemas.node import Drained, DrainRequest, NodeLine, Nodes

routes = web.RouteTableDef()


@routes.get("/admin/nodes")
@answers({200: Nodes})
@admin_only
async def get_nodes(request: web.Request) -> web.Response:
    """The nodes that share the database, with what each told at its last beat; those that are gone for as long as they
    have calls that nobody has adopted. A node that is alone names itself."""
    app = request.app
    here = app[LEDGER].node
    return json_response(Nodes(here, nodes.seen(app[MEMBERSHIP]) if MEMBERSHIP in app else (alone(app, here),)))


@routes.post("/admin/nodes/{node_id}/drain")
@answers({200: Drained}, NodeNotFound, Draining, WorkerUnavailable)
@body(DrainRequest)
@admin_only
async def drain_node(request: web.Request, body: DrainRequest) -> web.StreamResponse:
    """Drain a node, by its `nodeId`, or by its name where only one is called so. Its answer is that of
    `POST /admin/drain` there.

    `move` gives its connected calls to other nodes, which hear nothing of it. Where there is no other node, they go on
    as with `wait`.
    """
    other = other_node(request)
    return await begin_drain(request) if other is None else await asked_there(request, other)


@routes.delete("/admin/nodes/{node_id}/drain")
@answers({200: Drained}, NodeNotFound, Draining, WorkerUnavailable)
@admin_only
async def take_node_back(request: web.Request) -> web.StreamResponse:
    """Have a node take calls again, as `DELETE /admin/drain` there."""
    other = other_node(request)
    return await end_drain(request) if other is None else await asked_there(request, other)


def alone(app: web.Application, node_id: str) -> NodeLine:
    return NodeLine(
        node_id=node_id,
        name=app[SETTINGS].node_name,
        number=0,
        address=None,
        version=version("voiceplane"),
        state=nodes.state_of(app[DRAIN].active),
        beat_age_ms=0,
        steady_seconds=0,
        stress=round(app[SAMPLER].stress.value, 3),
        live_calls=len(app[REGISTRY]),
    )


def other_node(request: web.Request) -> Node | None:
    """The node that the path names; None where that is this one. Raises NodeNotFound."""
    asked, app = request.match_info["node_id"], request.app
    if asked == app[LEDGER].node:
        return None
    if MEMBERSHIP not in app:
        if asked == app[SETTINGS].node_name:
            return None
        raise NodeNotFound(asked)
    view = app[MEMBERSHIP].view
    everybody = (view.me, *view.others)
    found = [one for one in everybody if one.incarnation == asked] or [one for one in everybody if one.name == asked]
    if len(found) != 1:
        raise NodeNotFound(asked)
    return None if found[0] is view.me else found[0]


async def asked_there(request: web.Request, node: Node) -> web.Response:
    """What a node answers to the same request about itself. Raises WorkerUnavailable where it does not."""
    text = raw_body(request)
    headers = {"Content-Type": "application/json"} if text else {}
    try:
        answered = await request.app[CLUSTER].ask(
            node, request.method, "/admin/drain", text, headers, claims(request).person
        )
    except aiohttp.ClientConnectorError as error:
        raise WorkerUnavailable(f"node {node.name} can't be reached: {error}") from error
    return web.Response(status=answered.status, body=answered.body, headers=dict(answered.headers))
