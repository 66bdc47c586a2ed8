"""The situations in which a launcher is watched: a module for each area."""

from scenarios import box, endings, fs, install, map, net, relay, retry, tear  # noqa: F401: each registers its own
from scenarios.base import SCENARIOS  # noqa: F401
