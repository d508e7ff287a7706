"""How many files, connections among them, this process may have open (`RLIMIT_NOFILE`)."""

from __future__ import annotations

import resource


def allow_open_files(wanted: int) -> int:
    """Raise the process's own limit to `wanted` where it is lower; return what is allowed then: less, where the hard limit is."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return wanted
    if soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return soft
