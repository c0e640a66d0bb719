"""Request and response formats of each kind of image service."""

from __future__ import annotations

import base64
import binascii
import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from synaug.config import ApiOptions
from synaug.errors import DataError, OptionError
from synaug.runtime import Json, JsonObject, signals
from synaug.runtime.files import directories
from synaug.synthesis.generators.services.http_client import HttpClient, Unusable

_PLACEHOLDER = re.compile(r"\{(?:seed|prompt|negative_prompt)\}")
_POLL = 0.5  # seconds between two checks of whether ComfyUI has finished


class ImageService(Protocol):
    """Requests one image from a service."""

    name: str
    sends_seed: bool
    takes_negative: bool  # whether it accepts negative prompts

    def image(self, prompt: str, *, negative_prompt: str = "", seed: int, key: str) -> bytes:
        """Return the encoded image; ``key`` identifies the request if it has to be repeated."""
        ...


class OpenAIImages:
    """``images/generations`` as offered by OpenAI, Azure, vLLM-Omni, SGLang and LocalAI."""

    name = "OpenAI images API"

    def __init__(self, client: HttpClient, model: str, options: ApiOptions, *, sends_seed: bool) -> None:
        self._client, self._model, self._options, self.sends_seed = client, model, options, sends_seed
        self.takes_negative = sends_seed  # OpenAI takes neither; the servers of open models take both

    def image(self, prompt: str, *, negative_prompt: str = "", seed: int, key: str) -> bytes:
        content: dict[str, object] = {"model": self._model, "prompt": prompt, "n": 1, **self._options.parameters}
        if self._options.size:
            content["size"] = self._options.size
        if negative_prompt:
            content["negative_prompt"] = negative_prompt
        if self.sends_seed:
            content["seed"] = seed % 2**31  # services take signed 32-bit integers
        answer = self._client.post("images/generations", content, idempotency_key=key)
        images = answer.get("data") if isinstance(answer, dict) else None
        first = images[0] if isinstance(images, list) and images else None
        if not isinstance(first, dict):
            raise Unusable("the answer has no data[0]")
        encoded, url = first.get("b64_json"), first.get("url")
        if isinstance(encoded, str):
            try:
                return base64.b64decode(encoded, validate=True)
            except binascii.Error:
                raise Unusable("b64_json is not base64") from None
        if isinstance(url, str):
            return self._client.download(url)
        raise Unusable("the response has neither b64_json nor url")


class ComfyUI:
    """A ComfyUI server, which runs a workflow saved in its API format."""

    name = "ComfyUI"
    sends_seed = True

    def __init__(self, client: HttpClient, workflow: JsonObject, options: ApiOptions) -> None:
        self._client, self._workflow, self._options = client, workflow, options
        self.takes_negative = "{negative_prompt}" in json.dumps(workflow)

    def image(self, prompt: str, *, negative_prompt: str = "", seed: int, key: str) -> bytes:
        filled = filled_workflow(self._workflow, prompt=prompt, negative_prompt=negative_prompt, seed=seed)
        answer = self._client.post("prompt", {"prompt": filled, "client_id": "synaug"}, idempotency_key=key)
        number = answer.get("prompt_id") if isinstance(answer, dict) else None
        if not isinstance(number, str) or not number.replace("-", "").isalnum():
            raise Unusable("the answer has no prompt_id")
        place = self._finished(number)
        return self._client.get("view", {name: str(place.get(name, "")) for name in ("filename", "subfolder", "type")})

    def _finished(self, number: str) -> JsonObject:
        """Wait for the workflow, and return the location of its first image."""
        until = time.monotonic() + self._options.timeout
        while time.monotonic() < until:
            signals.stop_here()
            history = self._client.get_json(f"history/{number}")
            entry = history.get(number) if isinstance(history, dict) else None
            if isinstance(entry, dict):
                for place in _images_of(entry):
                    return place
                raise Unusable("the workflow ended without an image")
            time.sleep(_POLL)
        raise Unusable(f"the workflow did not end within {self._options.timeout:.0f} s")


def _images_of(entry: JsonObject) -> Iterator[JsonObject]:
    outputs = entry.get("outputs")
    for output in outputs.values() if isinstance(outputs, dict) else ():
        images = output.get("images") if isinstance(output, dict) else None
        for place in images if isinstance(images, list) else ():
            if isinstance(place, dict) and place.get("filename"):
                yield place


def read_workflow(path: Path) -> JsonObject:
    """Return a workflow that ComfyUI saved in its API format.

    Raises:
        DataError: it cannot be read, or is not JSON in that format.
        OptionError: it has no ``{prompt}`` to replace.
    """
    try:
        content = json.loads(directories.read_text(path))
    except OSError as error:
        raise DataError(f"The workflow {path} cannot be read: {error.strerror}.") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"The workflow {path} is not JSON: {error}.") from error
    if not isinstance(content, dict) or not all(isinstance(n, dict) and "class_type" in n for n in content.values()):
        raise DataError(f"The workflow {path} is not in ComfyUI's API format. Save it with 'Save (API Format)'.")
    if "{prompt}" not in json.dumps(content):
        raise OptionError(f"The workflow {path} has no {{prompt}}. Write {{prompt}} and {{seed}} where they belong.")
    return content


def filled_workflow(value: Json, *, prompt: str, seed: int, negative_prompt: str = "") -> Json:
    """Return the workflow with its placeholders replaced; a text that is just ``{seed}`` becomes the number.

    >>> filled_workflow({"text": "{prompt}, sharp", "seed": "{seed}"}, prompt="a {seed} cat", seed=7)
    {'text': 'a {seed} cat, sharp', 'seed': 7}
    """
    words = {"{seed}": str(seed), "{prompt}": prompt, "{negative_prompt}": negative_prompt}

    def filled(value: Json) -> Json:
        if isinstance(value, dict):
            return {key: filled(each) for key, each in value.items()}
        if isinstance(value, list):
            return [filled(each) for each in value]
        if value == "{seed}":
            return seed
        # in one pass, so that inserted text is not searched again
        return _PLACEHOLDER.sub(lambda match: words[match.group()], value) if isinstance(value, str) else value

    return filled(value)
