"""What a request says of caches, in its `Cache-Control` (RFC 9111, section 5.2). Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

# A directive is a token, perhaps with an argument that is a token or a quoted string, in which commas are no separators.
_DIRECTIVE = re.compile(r"""(?:^|,)\s*([!#$%&'*+.^_`|~0-9A-Za-z-]+)(?:=("(?:[^"\\]|\\.)*"?|[^\s,]*))?[^,]*""")


class CacheWishes(NamedTuple):
    """What a caller wants of caches."""

    fresh: bool  # nothing that was made for an earlier request: `no-cache`, or `max-age=0`
    unkept: bool  # nothing is to be remembered: `no-store`


NOTHING = CacheWishes(fresh=False, unkept=False)


def read_cache_control(values: Sequence[str]) -> CacheWishes:
    """Read all fields of a request; what is not known is ignored, as the RFC asks."""
    if not values:
        return NOTHING
    directives = {match[1].lower(): match[2] or "" for value in values for match in _DIRECTIVE.finditer(value)}
    max_age = directives.get("max-age", "").strip('"')
    return CacheWishes(
        fresh="no-cache" in directives or (max_age.isascii() and max_age.isdecimal() and int(max_age[:20]) == 0),
        unkept="no-store" in directives,
    )
