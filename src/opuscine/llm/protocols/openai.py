"""Chat completions, as OpenAI-compatible servers offer them (vLLM, llama.cpp, Ollama, gateways). Their ids are never trusted. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import IntEnum
from typing import Any

from opuscine.codec import dumps, loads
from opuscine.errors import SettingsError
from opuscine.llm.ask import LlmAsk, LlmReply, TokenUsage
from opuscine.llm.fault import LlmError
from opuscine.llm.prompt import Prompt, load_prompt, user_message
from opuscine.llm.protocols.replies import ReadReply, ReplyStream, read_films
from opuscine.model import DegradedReason, Suggestion
from opuscine.settings import LlmSettings

UNREAD_CHARS = 2_000  # of an unreadable answer that is shown to the model again
MAX_TOKENS = 2**31 - 1


class Form(IntEnum):
    """How strictly the answer's form is asked for, strictest first."""

    SCHEMA = 0
    OBJECT = 1
    FREE = 2


SCHEMA: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["explanation", "movies"],
    "properties": {
        "explanation": {"type": "string"},
        "movies": {
            "type": "array",
            "items": {
                "type": "object",
                "additionalProperties": False,
                "required": ["title", "original_title", "year", "media_type"],
                "properties": {
                    "title": {"type": "string"},
                    "original_title": {"type": "string"},
                    "year": {"type": "integer"},
                    "media_type": {"type": "string", "enum": ["movie", "tv"]},
                },
            },
        },
    },
}
RESPONSE_FORMATS: Mapping[Form, dict[str, Any] | None] = {
    Form.SCHEMA: {"type": "json_schema", "json_schema": {"name": "recommendation", "strict": True, "schema": SCHEMA}},
    Form.OBJECT: {"type": "json_object"},
    Form.FREE: None,
}


class OpenAi:
    """The protocol with what it has learnt of its server: the strictest form of answers that it takes, and if it counts streams."""

    path = "v1/chat/completions"
    probe_path = "v1/models"
    streams = True

    def __init__(self, settings: LlmSettings) -> None:
        """Take model, key and sampling.

        Raises:
            SettingsError: no model is named.
        """
        if not settings.model:
            raise SettingsError("LLM_MODEL: found nothing; valid with LLM_PROTOCOL=openai: the model's name at the server")
        self._settings = settings
        self.prompt = load_prompt()
        self.form = Form.SCHEMA
        self.counts_streams = True  # it takes `stream_options`, without which it tells no usage
        self.headers: Mapping[str, str] = {"Authorization": f"Bearer {settings.api_key}"} if settings.api_key else {}

    def begin(self, ask: LlmAsk, *, stream: bool = False) -> OpenAiCall:
        """Write a question."""
        return OpenAiCall(self, self._settings, ask, stream=stream)


class OpenAiCall:
    """One question, which becomes simpler where the server refuses its form."""

    def __init__(self, protocol: OpenAi, settings: LlmSettings, ask: LlmAsk, *, stream: bool) -> None:
        """Ask in the strictest form that the server is known to take."""
        self._protocol = protocol
        self._form = protocol.form
        self._question: dict[str, Any] = {
            "model": settings.model,
            "messages": [
                {"role": "system", "content": protocol.prompt.system_for(ask.message)},
                {"role": "user", "content": user_message(ask)},
            ],
            "temperature": settings.temperature,
            "max_tokens": settings.max_tokens,
            "stream": stream,
        }
        if stream and protocol.counts_streams:
            self._question["stream_options"] = {"include_usage": True}

    @property
    def body(self) -> bytes:
        """Return the question as JSON."""
        form = RESPONSE_FORMATS[self._form]
        return dumps({**self._question, "response_format": form} if form else self._question)

    def adapt(self, status: int, explanation: bytes) -> bool:
        """Ask for less after a refusal. What the server takes in the end is remembered once it has answered.

        Servers word a refusal in too many ways to rely on it: what it does not name is given up last.
        """
        if status == 404:
            return False
        if b"stream_options" in explanation or self._form is Form.FREE:
            if self._question.pop("stream_options", None):
                return True
            if self._form is Form.FREE:
                return False
        self._form = Form(self._form + 1)
        return True

    def correct(self, body: bytes) -> bool:
        """Show the model its answer and ask for the form again."""
        content = _content(body)
        if not content:
            return False
        self._question["messages"] = [
            *self._question["messages"],
            {"role": "assistant", "content": content[:UNREAD_CHARS]},
            {"role": "user", "content": self._protocol.prompt.correction},
        ]
        return True

    def read(self, body: bytes) -> LlmReply:
        """Read the one choice of a completion, in whatever form the model wrote it.

        Raises:
            LlmError: it is no completion, or neither a film nor a question could be read in it.
        """
        completion = _completion(body)
        self._protocol.form = self._form
        content = _content(body)
        return reply_of(read_films(content, cut_off=_is_cut_off(completion)), self._protocol.prompt, usage=_usage(completion), unread=body)

    def reader(self) -> OpenAiReader:
        """Return what reads a streamed completion."""
        self._protocol.form = self._form
        self._protocol.counts_streams = "stream_options" in self._question
        return OpenAiReader(self._protocol.prompt)


class OpenAiReader:
    """Read the events of a streamed completion: each carries a piece of the text, the last one perhaps the usage."""

    def __init__(self, prompt: Prompt) -> None:
        """Start with nothing read."""
        self._prompt = prompt
        self._films = ReplyStream()
        self._line = bytearray()
        self._usage = TokenUsage()
        self._cut_off = False
        self._yielded = 0
        self._fault: LlmError | None = None

    def feed(self, chunk: bytes) -> Sequence[Suggestion]:
        """Take the next bytes of the event stream."""
        self._line += chunk
        if b"\n" not in chunk:
            return ()
        *lines, rest = self._line.split(b"\n")
        self._line = bytearray(rest)
        found: list[Suggestion] = []
        for line in lines:
            found.extend(self._films.feed(self._piece(bytes(line).strip())))
        self._yielded += len(found)
        return found

    def finish(self) -> LlmReply:
        """Return what is left, and what was said of the films.

        Raises:
            LlmError: the server told of an error midway, or neither a film nor a question could be read.
        """
        if self._fault is not None:
            raise self._fault
        rest = self._films.finish(cut_off=self._cut_off)
        if self._yielded:
            return LlmReply(rest.suggestions, ids_trusted=False, conversation=said(rest, self._prompt), usage=self._usage)
        return reply_of(rest, self._prompt, usage=self._usage, unread=None)

    def _piece(self, line: bytes) -> str:
        """Read one line: `data:` and a JSON object, or anything else, which carries no text (a literal `[DONE]` among it)."""
        if not line.startswith(b"data:"):
            return ""
        try:
            event = loads(line.removeprefix(b"data:"))
        except (ValueError, OverflowError, RecursionError):
            return ""
        if not isinstance(event, dict):
            return ""
        if error := event.get("error"):  # gateways end such a stream as if it were whole
            self._fault = LlmError(f"the LLM server told of an error midway: {str(error)[:200]}", reason=DegradedReason.LLM_ERROR)
        if (usage := _usage(event)) != TokenUsage():
            self._usage = usage  # so far: some servers count in every event
        self._cut_off = self._cut_off or _is_cut_off(event)
        return _text_of(event, "delta")


def reply_of(read: ReadReply, prompt: Prompt, *, usage: TokenUsage, unread: bytes | None) -> LlmReply:
    """Turn what was read into a reply.

    Raises:
        LlmError: neither a film nor a question.
    """
    asks_back = not read.suggestions and bool(read.question or read.explanation.rstrip().endswith(("?", "？")))
    if not read.suggestions and not asks_back:
        raise LlmError("the model's answer names no film", reason=DegradedReason.LLM_BAD_REPLY, unread=unread, counts=False)
    return LlmReply(read.suggestions, ids_trusted=False, conversation=said(read, prompt), usage=usage, asks_back=asks_back)


def said(read: ReadReply, prompt: Prompt) -> dict[str, str]:
    """Return the model's words to the viewer: its question, else its explanation, and nothing where they repeat the prompt."""
    text = read.question or read.explanation
    return {} if not text or prompt.leaks_into(text) else {"recommendation_explanation": text}


def _completion(body: bytes) -> dict[str, Any]:
    try:
        completion = loads(body)
    except (ValueError, OverflowError, RecursionError) as error:
        raise LlmError(f"the LLM server answered {len(body)} bytes that are not JSON", reason=DegradedReason.LLM_BAD_REPLY) from error
    if not isinstance(completion, dict) or not isinstance(completion.get("choices"), list):
        raise LlmError("the LLM server answered JSON that is no completion", reason=DegradedReason.LLM_BAD_REPLY)
    return completion


def _content(body: bytes) -> str:
    try:
        return _text_of(_completion(body), "message")
    except LlmError:
        return ""


def _text_of(completion: Mapping[str, Any], member: str) -> str:
    """Return the text of the first choice, or "" where there is none."""
    choices = completion.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else None
    message = choice.get(member) if isinstance(choice, dict) else None
    content = message.get("content") if isinstance(message, dict) else None
    return content if isinstance(content, str) else ""


def _is_cut_off(completion: Mapping[str, Any]) -> bool:
    """Say whether the answer ends where the tokens did."""
    choices = completion.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else None
    return isinstance(choice, dict) and choice.get("finish_reason") == "length"


def _usage(completion: Mapping[str, Any]) -> TokenUsage:
    usage = completion.get("usage")
    counted = usage if isinstance(usage, dict) else {}
    return TokenUsage(_count(counted.get("prompt_tokens")), _count(counted.get("completion_tokens")))


def _count(value: Any) -> int:
    return min(value, MAX_TOKENS) if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0
