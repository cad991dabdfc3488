"""The node on which the WebSocket is tested: the one of ``tests/app/signaling``."""

from tests.app.signaling.conftest import libuv_is_loaded, no_task_left, node

__all__ = ["libuv_is_loaded", "no_task_left", "node"]
