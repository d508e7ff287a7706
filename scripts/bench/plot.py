"""Plots as SVG, as far as a few curves over a size need it: logarithmic axes, a line a series, a legend. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

WIDTH, HEIGHT = 640, 360
LEFT, RIGHT, TOP, BOTTOM = 70, 20, 44, 84
COLOURS = ("#1f5fa8", "#b8452c", "#2f7d4f", "#7a4da0", "#8a6d1d", "#555555")
Points = Sequence[tuple[float, float]]


def plot(title: str, series: Mapping[str, Points], *, x: str, y: str, bound: float | None = None) -> str:
    """Draw curves over logarithmic axes as an SVG document; `bound` is a budget, drawn as a broken line.

    What is not above 0 is left out.

    Raises:
        ValueError: nothing is left.
    """
    shown = {name: [point for point in points if min(point) > 0] for name, points in series.items()}
    xs = [point[0] for points in shown.values() for point in points]
    ys = [point[1] for points in shown.values() for point in points] + ([bound] if bound else [])
    if not xs:
        raise ValueError(f"{title}: there is nothing to draw")
    across, up = _Axis(xs, LEFT, WIDTH - RIGHT), _Axis(ys, HEIGHT - BOTTOM, TOP)
    drawn = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="12">',
        f"<title>{escape(title)}</title>",
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        f'<text x="{LEFT}" y="22" font-size="15" font-weight="bold">{escape(title)}</text>',
    ]
    for tick in across.ticks():
        at = across.at(tick)
        drawn.append(f'<line x1="{at:.1f}" y1="{TOP}" x2="{at:.1f}" y2="{HEIGHT - BOTTOM}" stroke="#dddddd"/>')
        drawn.append(f'<text x="{at:.1f}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle">{short(tick)}</text>')
    for tick in up.ticks():
        at = up.at(tick)
        drawn.append(f'<line x1="{LEFT}" y1="{at:.1f}" x2="{WIDTH - RIGHT}" y2="{at:.1f}" stroke="#dddddd"/>')
        drawn.append(f'<text x="{LEFT - 6}" y="{at + 4:.1f}" text-anchor="end">{short(tick)}</text>')
    drawn.append(f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - BOTTOM + 34}" text-anchor="middle">{escape(x)}</text>')
    drawn.append(f'<text x="16" y="{(TOP + HEIGHT - BOTTOM) / 2}" transform="rotate(-90 16 {(TOP + HEIGHT - BOTTOM) / 2})" ')
    drawn[-1] += f'text-anchor="middle">{escape(y)}</text>'
    if bound:
        at = up.at(bound)
        drawn.append(f'<line x1="{LEFT}" y1="{at:.1f}" x2="{WIDTH - RIGHT}" y2="{at:.1f}" stroke="#cc0000" stroke-dasharray="6 4"/>')
    for place, (name, points) in enumerate(shown.items()):
        colour = COLOURS[place % len(COLOURS)]
        line = " ".join(f"{across.at(one):.1f},{up.at(other):.1f}" for one, other in points)
        drawn.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>')
        drawn += [f'<circle cx="{across.at(one):.1f}" cy="{up.at(other):.1f}" r="3" fill="{colour}"/>' for one, other in points]
        at_x, at_y = LEFT + place % 3 * 190, HEIGHT - 30 + place // 3 * 18
        drawn.append(f'<rect x="{at_x}" y="{at_y - 9}" width="10" height="10" fill="{colour}"/>')
        drawn.append(f'<text x="{at_x + 15}" y="{at_y}">{escape(name)}</text>')
    return "\n".join([*drawn, "</svg>\n"])


class _Axis:
    """A logarithmic axis from one pixel to another, over whole powers of ten."""

    def __init__(self, values: Sequence[float], first: float, last: float) -> None:
        self._low = math.floor(math.log10(min(values)))
        self._high = max(math.ceil(math.log10(max(values))), self._low + 1)
        self._first, self._last = first, last

    def at(self, value: float) -> float:
        share = (math.log10(value) - self._low) / (self._high - self._low)
        return self._first + share * (self._last - self._first)

    def ticks(self) -> list[float]:
        return [10.0**power for power in range(self._low, self._high + 1)]


def short(number: float) -> str:
    """Write a number of an axis: 1 k, 0.1, 10 M."""
    for size, letter in ((1e6, " M"), (1e3, " k")):
        if number >= size:
            return f"{number / size:g}{letter}"
    return f"{number:g}"
