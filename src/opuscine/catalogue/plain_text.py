"""Free text of others made fit to be shown: no addresses, no markup, no tricks, no longer than wanted. Pure."""

from __future__ import annotations

import re
import unicodedata

_INVISIBLE_LETTERS = "\u115f\u1160\u3164\uffa0\u2800"  # Hangul fillers and the blank Braille cell: letters by category only
_MARKDOWN_SIGNS = "*_`"  # dropped wherever they stand: "**기생충**은" is "기생충은"

_BLOCK_TAG = re.compile(r"<(?:/?(?:blockquote|br|div|h[1-6]|hr|li|ol|p|pre|table|tbody|td|th|thead|tr|ul)\b|!)[^<>]*>", re.IGNORECASE)
# Only tags that a reply may really hold: Korean writers put titles into angle brackets, and <Inception> is to be kept.
_INLINE_TAG = re.compile(
    r"</?(?:a|abbr|b|big|code|del|em|font|i|iframe|img|ins|s|script|small|span|strike|strong|style|sub|sup|svg|u|video)\b[^<>]*>",
    re.IGNORECASE,
)
_MARKDOWN_LINK = re.compile(r"!?\[([^\[\]]*+)\]\([^()]*+\)")
_STRUCK_OUT = re.compile(r"~~++")
_ENTITY = re.compile(r"&(?:(?:amp|#0*38|#x0*26);)*+(?P<other>[a-z]{2,8}\d?;|#\d{1,7};|#x[0-9a-f]{1,6};)?", re.IGNORECASE)
_QUOTE_ENTITIES = {"quot;": '"', "#34;": '"', "apos;": "'", "#39;": "'", "#x27;": "'", "rsquo;": "’", "lsquo;": "‘", "hellip;": "…"}

_TAIL = r"[^\s()\[\]{}\"'“”‘’「」『』〈〉《》]*+"  # what an address runs on with
_ADDRESS = re.compile(
    r"(?P<opened>\()?"
    rf"(?:(?:[a-z][a-z0-9+.-]{{0,15}}://|http|www\.){_TAIL}"
    rf"|\b(?:data:\w++/|javascript:|magnet:|mailto:){_TAIL})"
    r"(?(opened)\))",
    re.IGNORECASE,
)
_MAILBOX = re.compile(r"[\w.+-]{1,64}@[\w-]++(?:\.[\w-]++)++")
_DOTTED = re.compile(r"\.[\w-]")
_HOST = re.compile(r"(?<![\w-])(?<![\w-]\.)[\w-]++(?:\.[\w-]++)++")
_HOST_TAIL = re.compile(rf"[:/?#]{_TAIL}")
_SUFFIX = re.compile(r"([a-z]{2,24})(?![a-z0-9])", re.IGNORECASE)
# A missing space after a full stop looks like a host without a path ("left.To be"), hence none that is an English word.
_WELL_KNOWN_SUFFIXES = frozenset(
    {"com", "net", "org", "info", "biz", "edu", "gov", "io", "gg", "tv", "cc", "ly", "xyz", "app", "dev", "site", "online", "shop"}
    | {"stream", "club", "mobi", "kr", "jp", "cn", "ru", "uk", "de", "fr", "eu"}
)
_LINE_MARKERS = re.compile(r"^[^\S\n]*+(?:(?:#+|[-=]+|[+•|])(?=\s|\Z)[^\S\n]*+)+", re.MULTILINE)

# Words of letters and digits with at most one sign behind each: nothing of what is looked for can be in it but these two.
_PLAIN = re.compile(r"[0-9A-Za-z가-힣]+[.,!?]?(?: [0-9A-Za-z가-힣]+[.,!?]?)*")
_ADDRESS_BEGINS = re.compile(r"http|www", re.IGNORECASE)

_SENTENCE_ENDS = ".!?…。！？"
_UNSPACED_SENTENCE_ENDS = "。！？"
_CLOSING_SIGNS = "\"'”’)]」』〉》"
_LOOSE_ENDS = " ,;:·-–—([{\"'“‘「『〈《"
_ABBREVIATIONS = frozenset({"mr.", "mrs.", "ms.", "dr.", "st.", "vs.", "no.", "vol.", "prof.", "jr.", "sr.", "pt."})


class _Visible(dict[int, str | None]):
    """Map every character as `str.translate` wants it: what is not seen goes, and with it all that could hide or turn text round."""

    def __missing__(self, code: int) -> str | None:
        seen = self._see(chr(code))
        if code <= 0xFFFF:  # the other planes are rare and many: nobody shall fill the memory with them
            self[code] = seen
        return seen

    @staticmethod
    def _see(character: str) -> str | None:
        if character in "\r\u0085\u2028\u2029":
            return "\n"
        if character in _INVISIBLE_LETTERS or character.isspace():
            return character if character == "\n" else " "
        look = unicodedata.normalize("NFKC", character)
        if len(look) == 1 and look.isascii() and (look.isalpha() or look in "./"):
            return look  # "ｈｔｔｐ" and its mathematical kin
        hidden = unicodedata.category(character) in ("Cc", "Cf", "Co", "Cs") or character in _MARKDOWN_SIGNS
        return None if hidden else character


_VISIBLE = _Visible()


def plain_text(text: str, limit: int) -> str:
    """Make a stranger's free text showable: one line without addresses and markup, of at most `limit` characters.

    Addresses go with or without a scheme (a Markdown link keeps its label), as do HTML tags, entities, Markdown's signs, and control,
    zero-width and direction-changing characters; what is too long is cut as `cut_at_sentence` does. Nothing raises, lone surrogates go
    too, and a text that has been through here comes back unchanged. Time is linear: of a long text only the beginning is read, eight times
    the limit and a little.
    """
    if len(text) <= limit and _PLAIN.fullmatch(text) and _ADDRESS_BEGINS.search(text) is None:
        return text  # 1 µs instead of 6 (measured)
    reach = 8 * max(limit, 0) + 1000
    if len(text) > reach:
        read = text[:reach]
        text = read.rsplit(None, 1)[0] if read.strip() else ""  # half an address would not be known for one
    clean = _cleaned(text)
    if len(clean) <= limit:
        return clean
    return _cleaned(cut_at_sentence(clean, limit))  # a word cut in two may look like an address: "evil.comical"


def cut_at_sentence(text: str, limit: int) -> str:
    """Shorten a text to at most `limit` characters at the last sentence's end in it, Korean or English.

    Where no sentence ends in time it is cut at a word's end and gets "…", which counts; a single longer word is cut as it comes. Full stops
    of initials, of common abbreviations and of list numbers are not taken for ends. A text that fits comes back as it is.
    """
    if len(text) <= limit:
        return text
    if limit <= 0:
        return ""
    end = _last_sentence_end(text, limit)
    return text[:end].rstrip() if end else _cut_at_word(text, limit)


def _cleaned(text: str) -> str:
    # The order counts: first all that leaves its neighbours joined, so that nothing hides an address ("ht**tp://", "&am&amp;p;"); from
    # the addresses on, a space is put where something goes, so that nothing new arises and a second run finds nothing.
    text = text.translate(_VISIBLE)
    text = _INLINE_TAG.sub("", _BLOCK_TAG.sub("\n", text))
    text = text.replace("<", " ").replace(">", "")
    text = _MARKDOWN_LINK.sub(r"\1", text)
    text = _STRUCK_OUT.sub("", text)
    text = _ENTITY.sub(_entity, text).replace("](", "] (")
    text = _ADDRESS.sub(" ", text).replace("://", " ")
    if "@" in text:  # the search for mailboxes tries 64 characters at each place
        text = _MAILBOX.sub(" ", text)
    if _DOTTED.search(text):
        text = _without_bare_hosts(text)
    return " ".join(_LINE_MARKERS.sub("", text).split())


def _entity(found: re.Match[str]) -> str:
    other = found["other"]
    return "&" if other is None else _QUOTE_ENTITIES.get(other.lower(), " ")


def _without_bare_hosts(text: str) -> str:
    kept: list[str] = []
    position = 0
    for found in _HOST.finditer(text):
        if found.start() >= position and (end := _end_of_host(found)):
            kept.append(text[position : found.start()])
            position = end
    return " ".join([*kept, text[position:]])


def _end_of_host(run: re.Match[str]) -> int:
    """Return where the address ends that begins with a run of dotted words, 0 if it is none.

    Korean writes on without a space ("netflix.com에서"), so that the host may end within the run.
    """
    labels = run[0].split(".")
    tail = _HOST_TAIL.match(run.string, run.end())
    path_follows = tail is not None and len(tail[0]) > 1 and tail[0][0] == "/"
    if (path_follows and re.fullmatch("[A-Za-z]{2,24}", labels[-1])) or _is_ip_address(labels[-4:]):
        return tail.end() if tail else run.end()
    end = run.end()
    for label in reversed(labels[1:]):
        start = end - len(label)
        suffix = _SUFFIX.match(label)
        if suffix and suffix[1].lower() in _WELL_KNOWN_SUFFIXES:
            host_end = start + suffix.end()
            return tail.end() if tail and host_end == run.end() else host_end
        end = start - 1
    return 0


def _is_ip_address(labels: list[str]) -> bool:
    return len(labels) == 4 and all(label.isdecimal() and len(label) <= 3 for label in labels)


def _last_sentence_end(text: str, limit: int) -> int:
    """Return the number of characters up to the last sentence's end within `limit`, 0 if none ends there."""
    for end in range(limit, 0, -1):
        before = end
        if text[end].isspace():
            while before and text[before - 1] in _CLOSING_SIGNS:
                before -= 1
            if before and text[before - 1] in _SENTENCE_ENDS and not _abbreviates(text, before):
                return end
        elif text[end - 1] in _UNSPACED_SENTENCE_ENDS and text[end] not in _CLOSING_SIGNS + _SENTENCE_ENDS:
            return end
    return 0


def _abbreviates(text: str, end: int) -> bool:
    """Say whether the full stop before `end` only shortens a word ("Dr."), an initial ("J.") or numbers a list ("1.")."""
    word = text[max(0, end - 8) : end].rsplit(maxsplit=1)[-1].lstrip("\"'“‘([")
    stem = word[:-1]
    return word[-1] == "." and (
        word.lower() in _ABBREVIATIONS or (stem.isdecimal() and len(stem) < 3) or (len(stem) == 1 and "A" <= stem <= "Z")
    )


def _cut_at_word(text: str, limit: int) -> str:
    room = limit - 1
    cut = room
    while cut and not text[cut].isspace():
        cut -= 1
    if not cut:
        cut = room
        while cut > max(0, room - 32) and unicodedata.category(text[cut])[0] == "M":  # a mark stays with its letter
            cut -= 1
    return text[:cut].rstrip(_LOOSE_ENDS) + "…"
