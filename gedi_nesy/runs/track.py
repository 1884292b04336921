"""The track of a run: on a rule, on points or on images."""

from collections.abc import Mapping
from typing import Any, Literal

Track = Literal["rule", "points", "images"]
KINDS: Mapping[str, str] = {  # what it trains on, and where its commands are
    "rule": "a run on a rule: use the commands of gedi-nesy, without vision",
    "points": "a run of the vision track, without a rule: use gedi-nesy vision",
    "images": "a run of the vision track, without a rule: use gedi-nesy vision",
}


def track_of(settings: Mapping[str, Any]) -> str:
    """The `track` of a recipe or config.toml; in older ones, without it, the groups of settings tell."""
    if "track" in settings:
        return str(settings["track"])
    if "network" not in settings:
        return "rule"
    return "points" if settings.get("augment") is None else "images"
