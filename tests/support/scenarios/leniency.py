"""Hooks for schemathesis: what the document does not say and the service takes all the same, for the sake of callers that it had before.

Read by schemathesis alone (`SCHEMATHESIS_HOOKS`). A document that said it would give generated clients worse types.
"""

from __future__ import annotations

from typing import Any

import schemathesis


@schemathesis.hook
def filter_case(_context: Any, case: Any) -> bool:
    """Leave out what is lenient: parameters without a value, numbers that are null or strings of digits, users named by a number."""
    if isinstance(case.query, dict) and "" in case.query.values():
        return False
    if not isinstance(case.body, dict):
        return True
    numbers = [case.body[name] for name in ("page", "limit") if name in case.body]
    taken = any(number is None or (isinstance(number, str) and number.strip().isdecimal()) for number in numbers)
    return not taken and not isinstance(case.body.get("user_id"), int)
