"""What `/metrics` said, by name and labels."""

from __future__ import annotations

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from tests.conftest import Server


class Scraped:
    """The samples of one answer."""

    def __init__(self, text: str) -> None:
        self.samples = [one for family in text_string_to_metric_families(text) for one in family.samples]

    @property
    def names(self) -> set[str]:
        return {sample.name for sample in self.samples}

    def total(self, name: str, **labels: str) -> float:
        """The sum of the samples that have these labels, whatever others they have."""
        return sum(one.value for one in self.samples if one.name == name and labels.items() <= one.labels.items())

    def values(self, name: str, label: str) -> set[str]:
        """What a label says in the samples of that name."""
        return {one.labels[label] for one in self.samples if one.name == name}


async def scrape(server: Server, http: aiohttp.ClientSession) -> Scraped:
    async with http.get(server.url("/metrics"), headers=server.headers("prometheus", "admin")) as answer:
        assert answer.status == 200
        return Scraped(await answer.text())
