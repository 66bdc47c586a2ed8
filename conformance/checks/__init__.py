"""The requirements as functions of evidence: a module for each area."""

from checks import box, endings, fs, install, map, net, relay, retry, tear  # noqa: F401: each registers its own
from checks.base import CHECKS, REASONS, NotApplicable  # noqa: F401
