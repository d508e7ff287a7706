"""The table of metrics in the documents is the code's."""

from __future__ import annotations

import re
from pathlib import Path

from opuscine.metrics import FIGURES, metrics_table

GUIDE = Path(__file__).resolve().parents[1] / "docs" / "observability.md"


def test_the_table_in_the_guide_is_the_codes() -> None:
    told = re.search(r"<!-- metrics: .* -->\n(.*?)<!-- end of metrics -->", GUIDE.read_text(encoding="utf-8"), re.DOTALL)
    assert told is not None
    assert told[1] == metrics_table(), "write the table anew from opuscine.metrics.metrics_table()"


def test_every_figure_has_a_plain_name_of_its_own_and_a_sentence() -> None:
    names = [figure.name for figure in FIGURES]
    assert len(names) == len(set(names))
    for figure in FIGURES:
        assert figure.name.startswith("opuscine_")
        assert figure.name.endswith("_total") == (figure.kind == "counter")
        assert figure.text.endswith(".")
