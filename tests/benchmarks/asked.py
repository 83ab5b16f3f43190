"""What a run is asked for: the options of `make bench`, which every part gets."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Asked:
    """The sizes of a run."""

    updates: int
    """In a backlog, and ids in memory."""
    peer_updates: int
    """For the peer that is too slow for as many."""
    campaigns: int
    """In a backlog, and a stream."""
    sizes: tuple[int, ...]
    """Campaigns of the growth curves."""
    gap_campaigns: int
    """Campaigns of the tick during which intake is watched."""
    stream_seconds: float
    """How long a stream is fed."""
    minutes: float
    """How long the parts take that look for growth; 0: as long as each says."""
    top: float
    """Updates a second that the worker is known to do; 0: to be measured."""
    home: Path
    """A folder that goes with the part."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options that size a run."""
    parser.add_argument("--updates", type=_positive, default=5_000_000, help="updates in a backlog")
    parser.add_argument("--peer-updates", type=_positive, default=200_000, help="updates for the plain Faust agent")
    parser.add_argument("--campaigns", type=_positive, default=1_000, help="campaigns in a backlog")
    parser.add_argument("--sizes", type=_sizes, default="1000,100000,1000000", help="campaigns of the growth curves")
    parser.add_argument("--gap-campaigns", type=_positive, default=100_000, help="campaigns of the watched tick")
    parser.add_argument("--stream-seconds", type=float, default=20.0, help="how long a stream is fed")
    parser.add_argument("--minutes", type=float, default=0.0, help="of pressure and soak; 0: 10 and 20")
    parser.add_argument("--top", type=float, default=0.0, help="the worker's updates/s; 0: measure them")


def asked_of(options: argparse.Namespace, home: Path) -> Asked:
    """The options as parsed."""
    return Asked(
        options.updates,
        options.peer_updates,
        options.campaigns,
        options.sizes,
        options.gap_campaigns,
        options.stream_seconds,
        options.minutes,
        options.top,
        home,
    )


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError(text)
    return number


def _sizes(text: str) -> tuple[int, ...]:
    return tuple(_positive(part) for part in text.split(","))
