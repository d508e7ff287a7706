"""What a scenario measured, and the bound that each figure has."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

Comparison = Literal["<=", ">=", "="]
COMPARE: dict[Comparison, Callable[[float, float], bool]] = {"<=": operator.le, ">=": operator.ge, "=": operator.eq}


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure; `timed` ones depend on how busy the machine is, and only the bench holds them to their bound."""

    name: str
    value: float
    unit: str = ""
    comparison: Comparison | None = None
    bound: float = 0.0
    timed: bool = False

    @property
    def holds(self) -> bool:
        """Tell whether the figure keeps its bound; without one it always does."""
        return self.comparison is None or COMPARE[self.comparison](self.value, self.bound)

    def shown(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        bound = f"{self.comparison} {self.bound:g}" if self.comparison else ""
        return {"name": self.name, "value": round(self.value, 3), "unit": self.unit, "bound": bound, "holds": self.holds}


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value that this share of all values does not exceed; 0.0 of none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


def broken(figures: Sequence[Figure], *, with_timed: bool) -> list[Figure]:
    """Return the figures that break their bound; without the timed ones where the machine is not ours alone."""
    return [figure for figure in figures if not figure.holds and (with_timed or not figure.timed)]
