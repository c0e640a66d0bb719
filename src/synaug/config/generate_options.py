"""Options of what draws the images: the sections ``generate``, ``api`` (a service), ``fit`` (an adapter)."""

from __future__ import annotations

from decimal import Decimal
from typing import Literal

from pydantic import Field, field_validator, model_validator

from synaug.config.model_names import ModelName
from synaug.config.section import MAX_SEED, Section

_KEY_NAMES = ("key", "api_key", "apikey", "token", "access_token", "authorization", "password", "secret")


class GenerateOptions(Section):
    """How the diffusion model is run; options that are not set use the model's own defaults."""

    generator: str | None = Field(
        None,
        description="your own code, used instead of plan.model: path/to/draw.py:draw or package.module:factory; it "
        "runs with all your rights, so a recipe's is run only with --generator or --trust",
    )
    steps: int | None = Field(None, ge=1, le=10_000, description="denoising steps")
    guidance: float | None = Field(None, ge=0, description="classifier-free guidance; 1 or below: none")
    guidance_interval: tuple[float, float] = Field(
        (0.0, 1.0),
        description="shares of the denoising steps from which and up to which guidance applies, such as [0.2, 0.8]",
    )
    size: int | None = Field(
        None, ge=8, le=8192, multiple_of=8, description="side of the generated image in pixels, a multiple of 8"
    )
    scheduler: str | None = Field(
        None, description="diffusers scheduler that replaces the model's own, such as DDIMScheduler"
    )
    strength: float = Field(0.5, gt=0, le=1, description="image-to-image strength of intra and inter")
    references: int = Field(
        5, ge=1, le=64, description="variant reference: training images of the class shown per generated image"
    )
    adapter: ModelName = Field(
        "h94/IP-Adapter", description="variant reference: the IP-Adapter, a Hub id (ID@REVISION) or a folder"
    )
    adapter_weights: str = Field(
        "models/ip-adapter_sd15.safetensors",
        pattern=r"^([A-Za-z0-9_-][A-Za-z0-9_.-]*/)*[A-Za-z0-9_-][A-Za-z0-9_.-]*\.safetensors$",
        description="file of the adapter; its folder has the image_encoder",
    )
    adapter_scale: float = Field(0.6, ge=0, le=1, description="how much images look like the references")
    inpaint: Literal["background", "object"] = Field("background", description="what variant inpaint generates anew")
    masks: str = Field(
        "alpha",
        description="variant inpaint: where the object is; alpha (of the images), a table of mask files, or a "
        "segmentation model (Hub id or folder)",
    )
    mask_column: str = Field("mask", description="column of the table of masks")
    inpaint_strength: float = Field(
        1.0, gt=0, le=1, description="variant inpaint: strength; 1 keeps nothing of the repainted part"
    )
    controlnet: ModelName | None = Field(
        None, description="ControlNet for edges (Hub id or folder); images get the edges of a training image"
    )
    control_scale: float = Field(0.8, ge=0, le=2, description="how much images keep those edges")
    batch_size: int | None = Field(
        None, ge=1, le=4096, description="batch size; if given, smaller batches are padded to it"
    )
    device: str = Field("auto", description="auto, cpu, cuda, cuda:1, mps")
    dtype: Literal["auto", "float32", "float16", "bfloat16"] = Field("auto", description="precision")
    compile: bool = Field(False, description="torch.compile of the denoiser")

    @field_validator("guidance_interval")
    @classmethod
    def _interval_has_a_length(cls, interval: tuple[float, float]) -> tuple[float, float]:
        start, end = interval
        if not 0 <= start < end <= 1:
            raise ValueError("an interval goes from a share of the steps to a larger one, such as [0.2, 0.8]")
        return interval


class ApiOptions(Section):
    """How an image service is called, if ``plan.model`` names one: openai:MODEL, api:MODEL or comfyui:NAME."""

    endpoint: str | None = Field(
        None,
        description="address of the service; default: OpenAI's, or http://127.0.0.1:8188 for comfyui:NAME",
    )
    key_variable: str = Field(
        "OPENAI_API_KEY", pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", description="environment variable that contains the key"
    )
    price: Decimal = Field(Decimal(0), ge=0, description="price per image, in any currency")
    max_cost: Decimal | None = Field(None, ge=0, description="budget of the run, in the same currency; default: none")
    size: str | None = Field("1024x1024", description="size that is requested, such as 1024x1024; null: not sent")
    parameters: dict[str, object] = Field({}, description="further fields of the request, such as {quality: low}")
    workflow: str | None = Field(None, description="ComfyUI workflow (API format) with {prompt} and {seed}")
    concurrency: int = Field(4, ge=1, le=256, description="requests at once")
    requests_per_minute: float | None = Field(None, gt=0, description="rate limit; default: none")
    timeout: float = Field(180.0, gt=0, description="seconds to wait for a response")
    retries: int = Field(6, ge=0, description="retries of a request after temporary failures")
    backoff: float = Field(1.0, gt=0, description="seconds before the first retry; doubled each time")

    @model_validator(mode="after")
    def _a_budget_needs_a_price(self) -> ApiOptions:
        if self.max_cost is not None and not self.price:
            raise ValueError("max_cost has no effect without the price per image (api.price); set both")
        return self

    @field_validator("parameters")
    @classmethod
    def _parameters_hold_no_key(cls, parameters: dict[str, object]) -> dict[str, object]:
        for name in parameters:
            if name.lower().replace("-", "_") in _KEY_NAMES:
                raise ValueError(f"api.parameters.{name} would write a key into files; set api.key_variable instead")
        return parameters


class FitOptions(Section):
    """How variant ``fitted`` trains its adapter (LoRA) on the real images."""

    steps: int = Field(400, ge=1, description="optimizer steps")
    batch_size: int = Field(16, ge=1, description="real images per step; classes are drawn equally often")
    rank: int = Field(8, ge=1, description="rank of the adapter's matrices")
    learning_rate: float = Field(5e-4, gt=0, description="constant learning rate of AdamW")
    prompt_dropout: float = Field(0.1, ge=0, lt=1, description="share of images with an empty prompt, for guidance")
    seed: int = Field(0, ge=0, le=MAX_SEED, description="random seed of the adapter's initial weights and of sampling")
