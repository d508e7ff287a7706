"""What the document does not say and the service takes all the same, for the sake of callers that it had before.

A document that said it would give generated clients worse types: a number that may be text is of no type in Java.
"""

from __future__ import annotations

import re
from typing import Any


def is_lenient(body: Any) -> bool:
    """Say whether a body holds such a thing: a number written as a string of digits, a user named by a number."""
    if not isinstance(body, dict):
        return False
    numbers = [body[name] for name in ("page", "limit") if name in body]
    return type(body.get("user_id")) is int or any(
        isinstance(number, str) and re.fullmatch(r"[0-9]{1,19}", number.strip()) for number in numbers
    )
