"""Which nodes there are, for admins: those that this one saw at its last beat; or this one, which is alone."""

from __future__ import annotations

from app.cluster.membership import Membership
from app.ledger.nodes import Node
from schemas.node import NodeLine, NodeState


def seen(membership: Membership) -> tuple[NodeLine, ...]:
    """All nodes of the cluster by their numbers: those that live, and those that are gone and have left calls."""
    view, now_ms = membership.view, membership.clock_ms()
    found = (view.me, *view.others, *(one for one in view.gone if one.calls))
    return tuple(line(one, now_ms) for one in sorted(found, key=lambda node: node.number))


def line(node: Node, now_ms: int) -> NodeLine:
    return NodeLine(
        node_id=node.incarnation,
        name=node.name,
        number=node.number,
        address=node.address,
        version=node.version,
        state="gone" if node.state == "gone" else state_of(node.state == "draining"),
        beat_age_ms=max(0, now_ms - node.beat_ms),
        steady_seconds=max(0, node.beat_ms - node.steady_ms) // 1000,
        stress=round(node.stress, 3),
        live_calls=node.calls,
    )


def state_of(draining: bool) -> NodeState:
    return "draining" if draining else "up"
