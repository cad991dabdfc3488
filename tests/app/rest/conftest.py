"""The node on which the WebSocket is tested: the one of ``tests/app/signaling``."""

from tests.app.signaling.conftest import no_task_left, node

__all__ = ["no_task_left", "node"]
