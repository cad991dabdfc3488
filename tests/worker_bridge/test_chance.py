"""Random values: of the right form, and never twice, whoever asks."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from uuid import RFC_4122, UUID

from worker_bridge import chance


def test_ids_are_version_4_uuids_in_their_usual_spelling() -> None:
    for _ in range(1000):
        made = chance.uuid()
        parsed = UUID(made)
        assert (str(parsed), parsed.version, parsed.variant) == (made, 4, RFC_4122)


def test_no_two_threads_get_the_same() -> None:
    with ThreadPoolExecutor(8) as threads:
        made = [one for many in threads.map(lambda _: [chance.uuid() for _ in range(2000)], range(8)) for one in many]
    assert len(set(made)) == len(made)


def test_a_forked_child_goes_its_own_way() -> None:
    chance.token()
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(write_end, b"".join(chance.token() for _ in range(100)))
        os._exit(0)
    os.waitpid(child, 0)
    os.close(write_end)
    with os.fdopen(read_end, "rb") as pipe:
        theirs = pipe.read()
    ours = {chance.token() for _ in range(chance.DRAWN)}
    assert len(theirs) == 100 * chance.TOKEN_BYTES
    assert not ours & {theirs[at : at + chance.TOKEN_BYTES] for at in range(0, len(theirs), chance.TOKEN_BYTES)}


def test_numbers_reach_both_ends_of_their_range() -> None:
    assert {chance.number_below(6) for _ in range(1000)} == set(range(6))
