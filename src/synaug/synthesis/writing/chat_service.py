"""A language model behind an OpenAI-compatible ``chat/completions`` endpoint: OpenAI, vLLM, Ollama, llama.cpp."""

from __future__ import annotations

import base64
import hashlib
import io
import os
from collections.abc import Mapping, Sequence

from PIL import Image

from synaug.config import ApiOptions
from synaug.errors import EnvironmentFault, OptionError
from synaug.runtime import Json
from synaug.runtime.security import check_trusted_host
from synaug.synthesis.generators.services import OPENAI, HttpClient, Refused, Unusable
from synaug.synthesis.writing.questions import DESCRIBE, SYSTEM, question

_TRIES = 3  # requests per question if the answers do not follow the protocol
_SIDE = 512  # maximum side in pixels of an image that is sent


class ChatWriter:
    """Writes prompts by asking a service."""

    def __init__(self, model: str, options: ApiOptions) -> None:
        """Check the address and the key; nothing is sent yet.

        Args:
            model: its name at the service; ``openai:MODEL`` names OpenAI's own.
            options: address, limits, and which variable contains the key.

        Raises:
            OptionError: the endpoint is not allowed, or nobody confirmed that the key may be sent there.
            EnvironmentFault: OpenAI's key is not set, or httpx is missing.
        """
        self._key = os.environ.get(options.key_variable) or None
        if model.startswith("openai:") and self._key is None and options.endpoint is None:
            raise EnvironmentFault(f"{model} needs a key. Set the environment variable {options.key_variable}.")
        self._model = model.removeprefix("openai:").removeprefix("api:")
        self._client = HttpClient(options.endpoint or OPENAI, options, key=self._key, kind="chat service")
        if self._key is not None:
            self._check_host(f"the value of the environment variable {options.key_variable}")
        self.about = {"model": self._model, "revision": ""}

    def _check_host(self, sent: str) -> None:
        check_trusted_host(self._client.endpoint, sent=sent, known=OPENAI)

    def write(
        self, name: str, *, number: int, phrases: Mapping[str, str], description: str, known: Sequence[str], seed: int
    ) -> str:
        """Return the model's answer to ``questions.question``; errors as in ``_asked``."""
        text = question(name, number=number, phrases=phrases, description=description, known=known)
        return self._asked([{"role": "system", "content": SYSTEM}, {"role": "user", "content": text}], seed)

    def describe(self, name: str, images: Sequence[Image.Image], seed: int) -> str:
        """Return how the images look, in a few words.

        Raises:
            OptionError: the model does not accept images, or nobody confirmed that they may be sent to the host.
        """
        self._check_host("training images")
        parts: list[dict[str, object]] = [{"type": "text", "text": DESCRIBE.format(name=name)}]
        parts += [{"type": "image_url", "image_url": {"url": _data_url(image)}} for image in images]
        try:
            return self._asked([{"role": "user", "content": parts}], seed)
        except OptionError as error:
            raise OptionError(f"{error} If the model does not accept images, leave out --describe.") from error

    def _asked(self, messages: Sequence[Mapping[str, object]], seed: int) -> str:
        """Return the text of an answer; empty if the service rejects the question.

        Raises:
            OptionError: the service does not accept the request.
            EnvironmentFault: it cannot be reached, rejects the key, or does not follow the protocol.
            Interrupted: a signal arrived.
        """
        reason = ""
        for attempt in range(_TRIES):
            content = {"model": self._model, "messages": messages, "seed": (seed + attempt) % 2**31, "temperature": 1.0}
            key = hashlib.sha256(f"{seed}/{attempt}/{messages}".encode()).hexdigest()
            try:
                return self._text_of(self._client.post("chat/completions", content, idempotency_key=key))
            except Refused:
                return ""
            except Unusable as error:
                reason = str(error)
        raise EnvironmentFault(
            f"The chat service {self._client.endpoint} does not follow the chat/completions protocol: {reason}. "
            "Check --endpoint: it ends where 'chat/completions' begins, often in /v1."
        )

    def _text_of(self, answer: Json) -> str:
        answer = answer if isinstance(answer, dict) else {}
        choices = answer.get("choices")
        first = choices[0] if isinstance(choices, list) and choices else None
        message = first.get("message") if isinstance(first, dict) else None
        if not isinstance(message, dict) or "content" not in message:
            raise Unusable("it has no choices[0].message.content")
        text = message["content"]
        if text is None:  # the model declines
            return ""
        if not isinstance(text, str):
            raise Unusable("choices[0].message.content is not text")
        for name, part in (("model", "model"), ("revision", "system_fingerprint")):
            value = answer.get(part)
            if isinstance(value, str) and value.isprintable():
                self.about[name] = self._hidden(value)[:200]
        return self._hidden(text)

    def _hidden(self, text: str) -> str:
        return text.replace(self._key, "***") if self._key else text


def _data_url(image: Image.Image) -> str:
    small = image.convert("RGB")
    small.thumbnail((_SIDE, _SIDE))
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=85)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"
