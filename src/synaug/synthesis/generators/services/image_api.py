"""Generate images with a service: OpenAI's images API and compatible ones, or a ComfyUI server."""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from decimal import Decimal
from pathlib import Path

from PIL import Image

from synaug.config import ApiOptions
from synaug.data.images import decoded
from synaug.errors import DataError, EnvironmentFault, OptionError
from synaug.runtime import signals
from synaug.runtime.security import check_trusted_host
from synaug.synthesis.generators.diffusion import Generated
from synaug.synthesis.generators.models import model_facts
from synaug.synthesis.generators.services.http_client import HttpClient, Refused, Unusable
from synaug.synthesis.generators.services.image_services import ComfyUI, ImageService, OpenAIImages, read_workflow
from synaug.synthesis.generators.services.paid_images import PaidImages

OPENAI = "https://api.openai.com/v1"
COMFYUI = "http://127.0.0.1:8188"
_TRIES = 3  # requests per image if the responses are unusable
_BATCHES_IN_FLIGHT = 2  # one is being written while the next is requested


class ServiceGenerator:
    """A callable that requests one image per prompt and seed from a service; see ``load_service``."""

    def __init__(
        self,
        service: ImageService,
        paid: PaidImages,
        options: ApiOptions,
        *,
        identity: Mapping[str, object],
        about: dict[str, object],
        negative_prompt: str = "",
        keep: bool = False,
    ) -> None:
        self._service, self._paid, self._options = service, paid, options
        self._identity = json.dumps(identity, sort_keys=True)
        self._returned: list[list[str]] = []  # keys of the latest batches, which may not be journaled yet
        self.about = about
        self._negative_prompt = negative_prompt
        self._keep = keep
        self.check_negative(negative_prompt)

    @property
    def batch_size(self) -> int:
        """Images per call: no more than the budget allows, so that every paid image reaches the journal."""
        affordable = self._paid.affordable()
        wanted = 2 * self._options.concurrency
        return wanted if affordable is None else max(1, min(wanted, affordable))

    @property
    def note(self) -> str:
        """Text that a progress line shows after the counts."""
        return f"{self._paid.spent} spent" if self._paid.price else ""

    @property
    def spent(self) -> Decimal:
        """The cost of the images so far."""
        return self._paid.spent

    def cost(self, prompts: Sequence[str], seeds: Sequence[int], negative_prompts: Sequence[str]) -> Decimal:
        """Return the cost of these images; those already paid for cost nothing.

        Raises:
            BudgetReached: it is more than the budget allows.
        """
        negatives = [each or self._negative_prompt for each in negative_prompts]
        keys = {self._key(*each) for each in zip(prompts, negatives, seeds, strict=True)}
        return self._paid.check_affordable(keys)

    def finish(self) -> None:
        """Remove the stored images, once the caller has kept them; the ledger stays."""
        for keys in self._returned:
            for key in keys:
                self._paid.forget(key)
        self._returned.clear()

    def check_negative(self, *negative_prompts: str) -> None:
        """Raise an OptionError if the service does not take the negative prompts."""
        if any(negative_prompts) and not self._service.takes_negative:
            way = "Write {negative_prompt} into the workflow, or leave" if self._service.name == "ComfyUI" else "Leave"
            raise OptionError(f"{self.about['model']} takes no negative prompt. {way} negative prompts out.")

    def __call__(
        self,
        prompts: Sequence[str],
        *,
        seeds: Sequence[int],
        images: Sequence[Image.Image] | None = None,
        negative_prompts: Sequence[str] | None = None,
    ) -> list[Generated]:
        """Return one image per prompt.

        Raises:
            OptionError: init images are given, or the service does not accept the request or takes no
                negative prompts.
            BudgetReached: the next image would cost more than the budget allows.
            EnvironmentFault: the service cannot be reached, or rejects the key.
            Interrupted: a signal requested a stop; paid images are kept.
        """
        if images is not None:
            raise OptionError("Image services generate from text only; use variant 'text'.")
        negatives = [each or self._negative_prompt for each in negative_prompts or [""] * len(prompts)]
        self.check_negative(*negatives)
        requests = list(zip(prompts, negatives, seeds, strict=True))
        keys = [self._key(*request) for request in requests]
        stop = threading.Event()
        with ThreadPoolExecutor(self._options.concurrency, "synaug-service") as pool:
            futures = [pool.submit(self._one, *each, key, stop) for each, key in zip(requests, keys, strict=True)]
            wait(futures, return_when=FIRST_EXCEPTION)
            if any(each.done() and each.exception() for each in futures):
                stop.set()  # pending requests finish and are kept; no new ones start
        signals.stop_here()
        for each in futures:
            if (error := each.exception()) is not None and not isinstance(error, _Stopped):
                raise error
        self._returned.append(keys)
        while not self._keep and len(self._returned) > _BATCHES_IN_FLIGHT:
            for key in self._returned.pop(0):
                self._paid.forget(key)
        return [each.result() for each in futures]

    def _key(self, prompt: str, negative: str, seed: int) -> str:
        without = f"\n\n{negative}" if negative else ""
        return hashlib.sha256(f"{self._identity}\n{seed}\n{prompt}{without}".encode()).hexdigest()

    def _one(self, prompt: str, negative: str, seed: int, key: str, stop: threading.Event) -> Generated:
        data = self._paid.image(key)
        if data is None:
            if stop.is_set() or signals.is_requested():
                raise _Stopped
            self._paid.reserve(key)
            data = self._bought(prompt, negative, seed, key)
            if data is None:
                return Generated(None, "unusable")
            if not data:
                return Generated(None, "refused")
            self._paid.store(key, data)
        try:
            return Generated(decoded(data))
        except DataError:
            return Generated(None, "unusable")

    def _bought(self, prompt: str, negative: str, seed: int, key: str) -> bytes | None:
        """Return the encoded image; empty if the service rejects the prompt, None if no response was usable."""
        for attempt in range(_TRIES):
            try:
                again = f"-{attempt}" if attempt else ""
                data = self._service.image(prompt, negative_prompt=negative, seed=seed, key=key + again)
                decoded(data)
            except Refused:
                self._paid.release(key)
                return b""
            except (Unusable, DataError):
                if attempt < _TRIES - 1:
                    self._paid.reserve(f"{key}-{attempt + 1}")  # the unusable response may have been charged
            else:
                return data
        return None


class _Stopped(Exception):
    """Not requested, because another request failed or a signal arrived."""


def load_service(
    model: str, options: ApiOptions, *, run: Path | None = None, negative_prompt: str = "", keep: bool = False
) -> ServiceGenerator:
    """Return the generator for ``openai:MODEL``, ``api:MODEL`` or ``comfyui:NAME``.

    Args:
        model: kind and name of the model.
        options: endpoint, price, budget and limits.
        run: run directory that keeps paid images and the ledger; without it they are kept in memory.
        negative_prompt: what the images should not show.
        keep: store all images until ``finish``, for a caller without a journal.

    Raises:
        OptionError: an option is missing or not allowed, the service takes no negative prompt, or the key would go to a
            host that nobody confirmed.
        EnvironmentFault: the key is not in the environment.
    """
    kind, _, name = model.partition(":")
    key = os.environ.get(options.key_variable) or None
    if kind == "openai" and key is None:
        raise EnvironmentFault(f"{model} needs a key. Set the environment variable {options.key_variable}.")
    if kind == "api" and options.endpoint is None:
        raise OptionError(f"{model} needs the address of the service: api.endpoint (such as http://127.0.0.1:8000/v1).")
    endpoint = options.endpoint or (OPENAI if kind == "openai" else COMFYUI)
    client = HttpClient(endpoint, options, key=key if kind != "comfyui" else None)
    if key is not None and kind != "comfyui":
        sent = f"the value of the environment variable {options.key_variable}"
        check_trusted_host(client.endpoint, sent=sent, known=OPENAI)
    identity: dict[str, object] = {"model": model, "endpoint": client.endpoint, "size": options.size}
    service: ImageService
    if kind == "comfyui":
        if options.workflow is None:
            raise OptionError(f"{model} needs api.workflow: a file in ComfyUI's API format with {{prompt}}.")
        workflow = read_workflow(Path(options.workflow))
        service = ComfyUI(client, workflow, options)
        identity["workflow"] = workflow
    else:
        service = OpenAIImages(client, name, options, sends_seed=kind == "api")
        identity["parameters"] = options.parameters
    paid = PaidImages(run, price=options.price, max_cost=options.max_cost)
    about: dict[str, object] = {**model_facts(model), **_about(service, options)}
    return ServiceGenerator(
        service, paid, options, identity=identity, about=about, negative_prompt=negative_prompt, keep=keep
    )


def _about(service: ImageService, options: ApiOptions) -> dict[str, str | None]:
    return {
        "pipeline": service.name,
        "family": "service",
        "size": options.size,
        "price": str(options.price),
        "reproducible": "seed sent" if service.sends_seed else "not reproducible",
    }
