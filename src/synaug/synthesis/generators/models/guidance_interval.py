"""Guide a diffusion pipeline in a part of its denoising steps only."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING

from synaug.errors import OptionError

if TYPE_CHECKING:
    from diffusers import DiffusionPipeline

_NONE = 1 + 1e-6  # no guidance, yet above 1, since pipelines set up both of their passes from "above 1"


class GuidanceInterval:
    """The steps in which classifier-free guidance is applied, as Kynkäänniemi et al. 2024 propose.

    Guidance in the first steps takes variety, and in the last ones it is of little use.

    Args:
        guidance: scale within the interval.
        interval: shares of the denoising steps from which and up to which it applies, such as ``(0.2, 0.8)``.
    """

    def __init__(self, guidance: float, interval: tuple[float, float]) -> None:
        self._guidance, (self._start, self._end) = guidance, interval

    @property
    def is_whole(self) -> bool:
        """Whether every step is guided."""
        return (self._start, self._end) == (0.0, 1.0)

    def check(self, pipeline: DiffusionPipeline, steps: int) -> None:
        """Check that the scale of a pipeline can be changed between its steps.

        Args:
            pipeline: the pipeline.
            steps: denoising steps that it takes.

        Raises:
            OptionError: it cannot, there is no guidance to limit, or no step begins in the interval.
        """
        if self.is_whole:
            return
        if self._guidance <= 1:
            raise OptionError(
                f"generate.guidance_interval has no effect, since generate.guidance is {self._guidance:g}. Set a "
                "guidance above 1, or leave the interval out."
            )
        if not any(self._scale(step, steps) > _NONE for step in range(steps)):
            raise OptionError(
                f"generate.guidance_interval is [{self._start:g}, {self._end:g}], but none of the denoising steps "
                f"begins there; they begin at {_listed(steps)}. Widen it or take more steps."
            )
        takes = inspect.signature(type(pipeline).__call__).parameters
        pipeline._guidance_scale = self._guidance  # as at the start of a call; the next property follows from it
        if "callback_on_step_end" not in takes or not getattr(pipeline, "do_classifier_free_guidance", False):
            raise OptionError(
                f"{type(pipeline).__name__} does not let its guidance change between steps. Leave "
                "generate.guidance_interval out."
            )

    def arguments(self, steps: int) -> dict[str, object]:
        """Return the arguments of the pipeline: the scale of the first step, and a callback that sets those of others.

        Args:
            steps: denoising steps that the pipeline is asked for.
        """
        if self.is_whole:
            return {"guidance_scale": self._guidance}
        return {"guidance_scale": self._scale(0, steps), "callback_on_step_end": self._set_next}

    def _scale(self, step: int, steps: int) -> float:
        return self._guidance if self._start <= step / steps < self._end else _NONE

    def _set_next(
        self, pipeline: DiffusionPipeline, step: int, _time: object, _tensors: dict[str, object]
    ) -> dict[str, object]:
        pipeline._guidance_scale = self._scale(step + 1, pipeline.num_timesteps)
        return {}


def _listed(steps: int) -> str:
    """Return the shares at which steps begin.

    >>> _listed(2), _listed(10)
    ('0, 0.5', '0, 0.1, ..., 0.9')
    """
    starts = [f"{step / steps:.2g}" for step in range(steps)]
    return ", ".join(starts if steps <= 4 else [*starts[:2], "...", starts[-1]])
