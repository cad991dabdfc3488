"""A TCP proxy in front of a database that loses one answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


@asynccontextmanager
async def forgetful_proxy(port: int, words: bytes, *, after: bytes, carried_out: bool = True) -> AsyncIterator[int]:
    """A TCP proxy: the first ``words`` that come after ``after`` it passes on, but hangs up instead of answering.
    Where they are not ``carried_out``, it hangs up instead of passing them on."""
    armed = False
    done = False

    async def serve(client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        nonlocal armed, done
        server, to_server = await asyncio.open_connection("127.0.0.1", port)
        hang_up = False

        async def back() -> None:
            while (answer := await server.read(65536)) and not hang_up:
                to_client.write(answer)
            to_client.close()

        answers = asyncio.create_task(back())
        while asked := await client.read(65536):
            armed = armed or after in asked
            if armed and not done and words in asked:
                done = hang_up = True
            if hang_up and not carried_out:
                break
            to_server.write(asked)
        to_server.close()
        await answers

    listener = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with listener:
        yield listener.sockets[0].getsockname()[1]
