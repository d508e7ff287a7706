"""Films read from what a language model writes, whatever it writes. All of it is pure.

`stream.py` leads: it parts the turns and hands JSON to `json_text.py`, lines to `list_lines.py` and the rest to `running_text.py`, which
leave the single film to `written_title.py`.
"""

from __future__ import annotations

from opuscine.llm.protocols.replies.stream import ReadReply, ReplyStream, read_films

__all__ = ["ReadReply", "ReplyStream", "read_films"]
