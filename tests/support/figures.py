"""What a scraper makes of ``/metrics``, by the parser of prometheus_client's own."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample


class Figures:
    """One scrape."""

    def __init__(self, text: str) -> None:
        self.families = {family.name: family for family in text_string_to_metric_families(text)}

    @property
    def samples(self) -> Iterator[Sample]:
        for family in self.families.values():
            yield from family.samples

    @property
    def label_values(self) -> set[str]:
        return {value for sample in self.samples for value in sample.labels.values()}

    def of(self, name: str, **labels: str) -> float:
        """The one sample ``syncline_{name}`` with exactly these labels."""
        [value] = [
            sample.value for sample in self.samples if sample.name == f"syncline_{name}" and sample.labels == labels
        ]
        return value


def scrape(base_url: str) -> Figures:
    """The figures of the server there. Blocks."""
    answer = httpx.get(f"{base_url}/metrics", timeout=20)
    answer.raise_for_status()
    return Figures(answer.text)
