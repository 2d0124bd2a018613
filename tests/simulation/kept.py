"""Seeds that once found a bug of the product, each with what it found: they are lived again for ever."""

from __future__ import annotations

from pathlib import Path

from tests.simulation.options import Kind

_KEPT = Path(__file__).parent / "kept_seeds.txt"


def kept_seeds(kind: Kind) -> list[int]:
    """Those of histories of a kind. A line begins with its kind and its seed."""
    lines = [line.split(maxsplit=2) for line in _KEPT.read_text().splitlines()]
    return [int(seed) for about, seed, _ in lines if about == kind.value]
