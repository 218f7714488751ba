"""Metrics as Prometheus reads them."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families as parsed


def samples(text: str) -> dict[tuple[str, ...], float]:
    """Every sample: its name and its labels' values, in the order of the labels' names."""
    found = [sample for family in parsed(text) for sample in family.samples]
    return {(sample.name, *(v for _, v in sorted(sample.labels.items()))): sample.value for sample in found}
