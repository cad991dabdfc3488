"""Orders come out as they went in, however they are cut."""

from __future__ import annotations

import pytest

from app.streaming.orders import Kind, Order, Orders, packed

SENT = [
    Order(Kind.CONFIGURE, 0, 0.0, b"{}"),
    Order(Kind.PACKET, 7, 123.456, bytes(1400)),
    Order(Kind.CLOSE, 2**32 - 1, 1e9, b""),
]


@pytest.mark.parametrize("size", [1, 7, 18, 5000])
def test_orders_are_read_as_they_were_written(size):
    data = b"".join(packed(Kind(one.kind), *one[1:]) for one in SENT)
    orders = Orders()
    read = [one for start in range(0, len(data), size) for one in orders.feed(data[start : start + size])]
    assert read == SENT
