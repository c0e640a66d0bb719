"""Measure how much of a prompt the text encoders of a model take."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from synaug.config import EMBEDDED
from synaug.errors import DataError, EnvironmentFault
from synaug.runtime import storage
from synaug.runtime.quiet import quiet
from synaug.synthesis.generators.model_sources import find_model, is_service
from synaug.synthesis.planning.prompt_length import shortened

_NAMES = ("tokenizer", "tokenizer_2", "tokenizer_3", "tokenizer_4")
_SPECIAL = 4  # tokens that are no text: start, end, a leading space
_SHORT = 77  # tokens: every pipeline with a limit of its own beside the tokenizer's takes at least as many
_UNLIMITED = 1_000_000  # tokens; transformers writes 1e30 for a tokenizer without a limit


@dataclass(frozen=True)
class Tokenizer:
    """The tokenizer of one text encoder: counts tokens, special ones included, of which it takes ``limit``."""

    count: Callable[[str], int]
    limit: Callable[[], int]

    def fits(self, text: str) -> bool:
        """Return whether the encoder takes the whole text."""
        if text.isascii() and len(text) + _SPECIAL <= _SHORT <= self._own:
            return True  # no token is shorter than a character
        return self.count(text) <= self._own

    @cached_property
    def _own(self) -> int:
        return self.limit()


class PromptLimit:
    """Shortens prompts to what the text encoders take; one of several that takes a whole prompt is enough."""

    def __init__(self, tokenizers: list[Tokenizer]) -> None:
        self._tokenizers = tokenizers
        self._shortened: dict[str, str | None] = {}

    def __call__(self, prompt: str) -> str | None:
        """Return the prompt, without words from its middle if it is too long; None if not even one word fits."""
        if prompt not in self._shortened:
            self._shortened[prompt] = shortened(prompt, self._fits)
        return self._shortened[prompt]

    def _fits(self, text: str) -> bool:
        return not self._tokenizers or any(tokenizer.fits(text) for tokenizer in self._tokenizers)


def limit_of_pipeline(pipeline: Any) -> PromptLimit:
    """Return the limit of a loaded pipeline; tokenizers whose text encoder was left out do not count."""
    longest = _sequence_length(type(pipeline))
    found = []
    for name in _NAMES:
        tokenizer = getattr(pipeline, name, None)
        if tokenizer is not None and getattr(pipeline, _encoder_of(name), None) is not None:
            limit = min(int(tokenizer.model_max_length), longest)
            found.append(Tokenizer(partial(_count, tokenizer), partial(int, limit)))
    return PromptLimit(found)


def limit_at_hand(model: str) -> PromptLimit | None:
    """Return the limit of the embedded model or of a model folder, without its weights; None if it is not at hand.

    Nothing is downloaded: of a Hub model and of a service, the limit is None.
    """
    if is_service(model) or not (model == EMBEDDED or Path(model).expanduser().is_dir()):
        return None
    try:
        folder = find_model(model)
        index = folder.index
        names = [name for name in _NAMES if _is_named(index.get(name)) and _is_named(index.get(_encoder_of(name)))]
        return PromptLimit([_tokenizer_in(folder.path / name, str(index["_class_name"])) for name in names])
    except (EnvironmentFault, DataError, OSError, ValueError, TypeError, KeyError):
        return None  # loading the model reports what is wrong with it


def _tokenizer_in(folder: Path, pipeline: str) -> Tokenizer:
    own = int(dict(storage.read_json(folder / "tokenizer_config.json")).get("model_max_length", _UNLIMITED))

    def limit() -> int:
        if own <= _SHORT:
            return own
        import diffusers

        return min(own, _sequence_length(getattr(diffusers, pipeline, None)))

    if (folder / "tokenizer.json").is_file():
        from tokenizers import Tokenizer as Fast  # without the seconds that importing transformers takes

        fast = Fast.from_file(str(folder / "tokenizer.json"))
        fast.no_truncation()
        fast.no_padding()
        return Tokenizer(lambda text: len(fast.encode(text).ids), limit)
    from transformers import AutoTokenizer

    with quiet():
        slow = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    return Tokenizer(partial(_count, slow), limit)


def _count(tokenizer: Any, text: str) -> int:
    return len(tokenizer(text, truncation=False, padding=False, verbose=False)["input_ids"])


def _sequence_length(pipeline: type | None) -> int:
    """Return how many tokens the pipeline passes on at most; its tokenizers may take more."""
    parameters = inspect.signature(pipeline.__call__).parameters if pipeline is not None else {}
    own = parameters["max_sequence_length"].default if "max_sequence_length" in parameters else None
    return own if isinstance(own, int) else _UNLIMITED


def _encoder_of(tokenizer: str) -> str:
    return tokenizer.replace("tokenizer", "text_encoder")


def _is_named(part: Any) -> bool:
    """Return whether ``model_index.json`` names a part; one that was left out is ``[null, null]``."""
    return isinstance(part, list) and None not in part
