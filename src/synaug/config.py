"""Every option with its default and its validation.

A recipe is a YAML file with the sections below, read by ``recipes``; the command line sets the same fields.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic_core import InitErrorDetails

from synaug.errors import unknown

STABLE_DIFFUSION = "stable-diffusion-v1-5/stable-diffusion-v1-5"
SIGLIP = "google/siglip-base-patch16-224"
EMBEDDED = "embedded"
AUTO = "auto"
UNNAMED = "custom"
MAX_TARGET = 100_000_000
MAX_SEED = 2**32 - 1  # largest seed that scikit-learn and NumPy's legacy generators accept


def _no_url(model: str) -> str:
    """Reject a URL: the plan and the lock file would record it, with any password in it."""
    if "://" in model:
        raise ValueError(
            "a model is a folder or a Hub id (ID@REVISION), not a URL; for a gated or private one log in with "
            "'hf auth login' or set HF_TOKEN, and never put a token into an option"
        )
    return model


CLASS_SPREAD = "class"  # the plan.spread entry whose phrases replace the class name
Spread = dict[str, tuple[str, ...] | dict[str, tuple[str, ...]]]

ModelName = Annotated[str, AfterValidator(_no_url)]


class Section(BaseModel):
    """A group of options; unknown ones are rejected."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=(), allow_inf_nan=False)


class DataOptions(Section):
    """How the images are read."""

    label: str | None = Field(None, description="label column of a table")
    path: str | None = Field(None, description="path column of a table; default: image, path, file_name, ...")
    attribute: str | None = Field(
        None, description="attribute column of a table; several joined by commas: each alone and their combinations"
    )
    split: str | None = Field(None, description="split column of a table")
    group: str | None = Field(
        None, description="column of a table whose values stay in one split, such as patient, person or video"
    )
    layout: Literal["auto", "classes", "splits"] = Field(
        "auto", description="what the top folders are; auto recognizes splits, parts and a folder around the classes"
    )
    splits: dict[str, Literal["train", "validation", "test", "none"]] = Field(
        {}, description="split of each folder name or value of a split column; none excludes them"
    )
    duplicates: Literal["warn", "drop", "error"] = Field(
        "warn",
        description="training images that are (nearly) equal to held-out images or to images of another class: "
        "report them, drop them, or stop",
    )
    near_duplicates: bool = Field(True, description="also search for nearly equal images, not only for identical ones")
    incomplete_classes: Literal["error", "drop"] = Field(
        "error", description="classes without training or test images: stop, or drop them"
    )
    benchmark: str | None = Field(None, description="treat the data as this known data set; see 'synaug datasets'")
    imbalance_factor: float | None = Field(
        None, ge=1, description="largest / smallest class drawn from CIFAR; default: 100"
    )
    lists: str | None = Field(None, description="folder with the list files of ImageNet-LT; default: the images'")
    partial: bool = Field(False, description="accept an incomplete data set")
    subset: str | None = Field(None, description="configuration of a data set on the Hub that has several")
    test_fraction: float = Field(
        0.2,
        gt=0,
        lt=1,
        description="share of each class that is held out for testing if the data have no test split",
    )
    max_unreadable: float = Field(0.01, ge=0, le=1, description="largest share of unreadable images; more are an error")
    accept_changed: bool = Field(
        False, description="use an exported set or a manifest as it is now, although files differ from their digests"
    )


class PlanOptions(Section):
    """How many images are generated, from which prompts and by which model."""

    by: Literal["class", "group"] = Field("class", description="fill up classes, or class x attribute groups")
    target: float | Literal["uniform", "auto"] | dict[str, int] = Field(
        "uniform",
        description="images wanted: uniform (as many as the largest), auto (up to as many, in rounds, as long as they "
        "help), a number, a share of the largest below 1, or numbers by name of the class (or 'class | attribute'), "
        "leaving the others unchanged",
    )
    cap: int | None = Field(None, ge=0, description="maximum number of synthetic images per class or group")
    variant: Literal["text", "intra", "inter", "fitted", "reference", "inpaint"] = Field(
        "text", description="what images are generated from: see docs/howto/references.md and docs/howto/model.md"
    )
    model: ModelName = Field(
        STABLE_DIFFUSION,
        description="'embedded', a diffusers folder, a Hub id (ID@REVISION), or a service (openai:, api:, comfyui:)",
    )
    template: str = Field(
        "a photo of a {modifier} {class}",
        description="prompt; {modifier}, {class} and {attribute} are replaced",
    )
    prompts: str | None = Field(
        None,
        description="file with one complete prompt per row (CSV, TSV or JSONL): class, prompt and, if wanted, "
        "attribute, negative_prompt, weight and spread.NAME; replaces the template",
    )
    modifiers: tuple[str, ...] | None = Field(None, description="words for {modifier}; default: the built-in list")
    aliases: dict[str, str] = Field({}, description="class name -> name in the prompt")
    attribute_phrases: dict[str, str] = Field(
        {}, description="attribute name -> phrase with {class}, such as 'red {class}' or '{class} on water'"
    )
    spread: Spread = Field(
        {},
        description="phrases that the images of each class take in turn, such as background: [on land, on water], "
        "after the class or at {background}; or lists by class; under the key 'class', the name of the class in "
        "the prompt",
    )
    negative_prompt: str = Field("", description="negative prompt")
    seed: int = Field(0, ge=0, le=MAX_SEED, description="random seed from which the seed of each image is derived")

    @field_validator("spread")
    @classmethod
    def _spread_has_phrases(cls, spread: Spread) -> Spread:
        for name, phrases in spread.items():
            if not name.isidentifier() or name in ("modifier", "attribute"):
                raise ValueError(f"spread: {name!r} is a reserved name; use a word such as background")
            for each in phrases.values() if isinstance(phrases, dict) else [phrases]:
                if not each or not all(phrase.strip() for phrase in each):
                    raise ValueError(f"spread.{name} needs at least one phrase, and no empty ones")
        return spread

    @field_validator("target", mode="before")
    @classmethod
    def _target_is_allowed(cls, target: object) -> object:
        number = target if isinstance(target, int | float) and not isinstance(target, bool) else None
        if isinstance(target, dict) or target in ("uniform", AUTO) or (number is not None and 0 < number < 1):
            return target
        if number is None or not 1 <= number <= MAX_TARGET or number != int(number):
            raise ValueError(
                f"target must be 'uniform', 'auto', a whole number from 1 to {MAX_TARGET:,}, a share of the largest "
                "between 0 and 1, or numbers by name of the class"
            )
        return target


class GenerateOptions(Section):
    """How the diffusion model is run; options that are not set use the model's own defaults."""

    generator: str | None = Field(
        None,
        description="code of your own in the place of plan.model: path/to/draw.py:draw or package.module:factory; it "
        "runs with all your rights, so a recipe's is run only with --generator or --trust",
    )
    steps: int | None = Field(None, ge=1, le=10_000, description="denoising steps")
    guidance: float | None = Field(None, ge=0, description="classifier-free guidance; 1 or below: none")
    size: int | None = Field(
        None, ge=8, le=8192, multiple_of=8, description="side of the generated image in pixels, a multiple of 8"
    )
    scheduler: str | None = Field(
        None, description="diffusers scheduler that replaces the model's own, such as DDIMScheduler"
    )
    strength: float = Field(0.5, gt=0, le=1, description="image-to-image strength of intra and inter")
    references: int = Field(5, ge=1, le=64, description="of variant reference: training images of the class per image")
    adapter: ModelName = Field(
        "h94/IP-Adapter", description="of variant reference: IP-Adapter, a Hub id (ID@REVISION) or a folder"
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
        description="of variant inpaint, where the object is: alpha (of the images), a table of mask files, or a "
        "segmentation model (Hub id or folder)",
    )
    mask_column: str = Field("mask", description="column of the table of masks")
    inpaint_strength: float = Field(1.0, gt=0, le=1, description="of variant inpaint; 1: nothing is left of that part")
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


_KEY_NAMES = ("key", "api_key", "apikey", "token", "access_token", "authorization", "password", "secret")


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
    rank: int = Field(8, ge=1, description="of the adapter's matrices")
    learning_rate: float = Field(5e-4, gt=0, description="of AdamW, constant")
    prompt_dropout: float = Field(0.1, ge=0, lt=1, description="share of images with an empty prompt, for guidance")
    seed: int = Field(0, ge=0, le=MAX_SEED, description="random seed of the adapter's initial weights and of sampling")


class QualityOptions(Section):
    """The checks that a generated image must pass."""

    gates: tuple[str, ...] = Field(
        ("broken", "noise", "flagged", "off_class", "copy", "leak"), description="checks, in order"
    )
    off_class_quantile: float = Field(
        0.02, ge=0, lt=1, description="share of each class's real images that may score below the threshold"
    )
    scorer: Literal["auto", "classifier", "pretrained", "clip"] = Field(
        "auto",
        description="judge of off_class: a classifier of the real images' thumbnails, a classifier of pretrained "
        "features, or CLIP (or SigLIP) by prompts; auto: for photographs, the last of these that is available",
    )
    scorer_network: str | None = Field(
        None,
        description="of scorer pretrained: a timm name, or timm/local-dir:FOLDER; default: train.network if that is "
        "pretrained, else the network of an installed package",
    )
    scorer_model: ModelName = Field(
        SIGLIP,
        description="of scorer clip: embedded, which knows clothes only; a folder as transformers saves it; or a Hub "
        "id (ID@REVISION)",
    )
    copy_distance: float = Field(
        0.02,
        ge=0,
        description="mean absolute pixel difference (0 to 1) up to which an image counts as a copy",
    )
    alike_distance: float = Field(
        0.08,
        ge=0,
        description="the same for shifted, mirrored or brightened images, after removing brightness and contrast",
    )
    max_attempts: int = Field(4, ge=1, le=100, description="tries for each slot")
    max_missing: float = Field(
        0.02, ge=0, le=1, description="share of planned images that may be missing without exit code 3"
    )


class StageOptions(Section):
    """Stage 1: training the representation."""

    steps: int | None = Field(None, ge=1, description="optimizer steps; default: epochs over the balanced set")
    epochs: int = Field(
        60, ge=1, description="passes over the balanced set; every method takes the same number of steps"
    )
    batch_size: int = Field(128, ge=2, description="images a step")
    learning_rate: float = Field(0.1, gt=0, description="peak learning rate; decays to 0 along a cosine")
    momentum: float = Field(0.9, ge=0, lt=1, description="of SGD")
    weight_decay: float = Field(5e-4, ge=0, description="of weights, not of biases and normalization")
    warmup: float = Field(0.05, ge=0, lt=1, description="share of the steps in which the learning rate rises")
    crop_padding: int | None = Field(None, ge=0, description="random crop; default: an eighth of the side")
    flip: bool = Field(True, description="mirror half of the images")
    augmentations: tuple[str, ...] = Field(
        (),
        description="additional augmentations, applied in order: cutout, color_jitter, randaugment, ...",
    )
    mixing: str = Field("domain_mixup", description="none, mixup, cutmix, mixup_or_cutmix, cmo, domain_mixup, ...")
    mixup_alpha: float = Field(1.0, ge=0, description="Beta(alpha, alpha); 0: no mixup")
    loss: str = Field("cross_entropy", description="cross_entropy, balanced_softmax, ldam_drw, group_dro, ...")
    prior: Literal["real", "drawn"] = Field(
        "real", description="class counts used by balanced losses: of the real images, or of the sampled images"
    )
    sampler: str = Field("instance", description="instance, class_balanced, square_root, group_balanced, ...")
    max_synthetic: float = Field(0.5, ge=0, le=1, description="maximum share of synthetic images in a batch")
    optimizer: Literal["sgd", "adamw"] = Field("sgd", description="SGD with Nesterov momentum, or AdamW")
    average: float = Field(0.0, ge=0, lt=1, description="decay of the moving average of the weights; 0: none")
    crop_smallest: float | None = Field(
        None,
        gt=0,
        le=1,
        description="random crops show at least this share of an image's area, without padding; default: 0.7 for "
        "images above 64 pixels, else padding",
    )
    decay_all: bool = Field(False, description="weight decay of biases and normalization layers, too")
    mixing_probability: float = Field(1.0, ge=0, le=1, description="probability that a batch is mixed")
    autoencoded: float = Field(
        0.0,
        ge=0,
        le=1,
        description="probability that a real image is replaced by its reconstruction by the generator's autoencoder",
    )
    synthetic_weight: float = Field(1.0, ge=0, le=1, description="weight of synthetic images in the loss")
    synthetic_weight_end: float | None = Field(
        None, ge=0, le=1, description="weight of synthetic images in the last step, reached linearly; default: constant"
    )
    real_finish: float = Field(
        0.15, gt=0, lt=1, description="share of the steps on real images only, at the end of schedule mixed_then_real"
    )
    group_adjustment: float = Field(
        0.0, ge=0, description="generalization adjustment C of group_dro: C / sqrt(images of the group)"
    )
    glmc_consistency: float = Field(
        4.0, ge=0, description="weight of the consistency in GLMC; published: 4, 6, 4 at imbalance factor 100, 50, 10"
    )
    glmc_exponent: float = Field(1.2, ge=0, description="class weights n^-exponent in GLMC; published: 1.2")
    glmc_scale: float = Field(
        2.0, gt=0, description="factor of the GLMC loss: 2 adds its two mixtures as published, 1 is their mean"
    )


class RetrainOptions(Section):
    """Stage 2: retraining the classifier on real images, the features frozen."""

    data: Literal["auto", "balanced_real", "group_balanced_real", "all_real", "evened_out", "validation"] = Field(
        "auto",
        description="balanced_real: equally many real images per class; group_balanced_real: per class x attribute "
        "group; all_real; evened_out: the balanced set (real and synthetic); validation: the validation split. auto: "
        "group_balanced_real if an attribute is known, else the balanced set",
    )
    method: str = Field(
        "cross_fitted",
        description="method of retraining the last layer: cross_fitted (as far from the trained layer as "
        "held-out real images justify), logistic, warm_logistic, crt, dfr, ...",
    )
    regularization: float = Field(1.0, gt=0, description="inverse strength C of the logistic regression")


class TrainOptions(Section):
    """How the classifiers are trained."""

    network: str = Field(
        "auto",
        description="auto (ResNet-32 up to 64 pixels, ResNet-18 above), resnet8 to resnet110, a timm name, "
        "timm/local-dir:FOLDER, or your own: path/to/net.py:Net or package.module:factory, code that is run",
    )
    pretrained: bool | Literal["auto"] = Field(
        "auto",
        description="start from timm's weights; auto: for images of 64 pixels and above, if weights are at hand",
    )
    image_size: int | None = Field(
        None,
        ge=8,
        le=4096,
        description="side in pixels; default: the data's; with pretrained that of the weights or, if network is auto, "
        "at least 128 but not more than the data and the weights have",
    )
    load_size: int | None = Field(
        None,
        ge=8,
        description="side in pixels at which images are stored, larger than image_size: training crops at "
        "random, testing at the center",
    )
    mean: tuple[float, ...] | None = Field(
        None,
        description="mean of each channel (0 to 1); default: of the real images, or of the pretrained weights",
    )
    std: tuple[float, ...] | None = Field(None, description="standard deviation of each channel; requires mean")
    in_memory: bool | None = Field(
        None, description="decode all images at the start, or each on demand; default: depends on free memory"
    )
    device: str = Field("auto", description="auto, cpu, cuda, cuda:1, mps")
    precision: Literal["auto", "float32", "float16", "bfloat16"] = Field("auto", description="of the computation")
    track: Literal["tensorboard", "wandb", "mlflow", "trackio"] | None = Field(
        None, description="also send loss and learning rate to this tracker; default: CSV only"
    )
    track_report: bool | None = Field(
        None,
        description="log the report's tables and example pictures to the tracker; default: if it keeps them on this "
        "machine",
    )
    stage1: StageOptions = StageOptions()
    retrain: RetrainOptions = RetrainOptions()

    @model_validator(mode="after")
    def _normalization_is_whole(self) -> TrainOptions:
        mean, std = self.mean, self.std
        if (mean is None) != (std is None) or (mean and std and (len(mean) != len(std) or min(std) <= 0)):
            raise ValueError(
                f"mean and std must be given together, with equally many numbers and std above 0; got {mean} and {std}"
            )
        return self


class ChooseOptions(Section):
    """How the final classifier of a run is selected, on real held-out images."""

    candidates: tuple[str, ...] | None = Field(
        None, description="candidate methods; default: a few, or those of --methods"
    )
    metric: Literal["auto", "mean_recall", "worst_group_accuracy"] = Field(
        "auto", description="auto: the accuracy of the worst group if attributes are known, else mean recall"
    )
    folds: int = Field(2, ge=2, le=20, description="folds of cross-fitting, if the data have no validation images")
    effort: float = Field(0.25, gt=0, le=1, description="share of the training steps that each candidate runs per fold")
    budget: float | None = Field(
        None, gt=0, description="time limit of cross-fitting in minutes, estimated from the trainings before it"
    )


class CrossValidateOptions(Section):
    """How the result is checked if there are few test images: by cross-validation over all real images."""

    folds: Annotated[int, Field(ge=0, le=50)] | Literal["auto"] = Field(
        "auto",
        description="folds in which all rows of the table are trained again; 0: none; auto: 5, for the chosen "
        "classifier and its best rival, if the run held out fewer than 30 test images of the rarest class",
    )
    repeats: int = Field(1, ge=1, le=100, description="how often the folds are drawn again")
    minutes: float = Field(10.0, gt=0, description="auto is skipped if it would take longer than this")

    @field_validator("folds")
    @classmethod
    def _one_fold_is_none(cls, folds: int | str) -> int | str:
        if folds == 1:
            raise ValueError("a single fold leaves nothing to train on; use 2 or more, or 0 for none")
        return folds


class ImagesOptions(Section):
    """Which images a method trains on, for studies; default: all."""

    synthetic_per_class: int | None = Field(None, ge=0, description="maximum number of synthetic images per class")
    replaced: float | None = Field(
        None, ge=0, le=1, description="share of each class's real images that synthetic ones replace"
    )
    replaced_classes: tuple[str, ...] = Field((), description="classes whose real images are all replaced")


def _inside(section: str, error: ValidationError) -> ValidationError:
    """Return the error with locations that begin with the section."""
    faults = [
        InitErrorDetails(type=each["type"], loc=(section, *each["loc"]), input=each["input"], ctx=each.get("ctx", {}))
        for each in error.errors()
    ]
    return ValidationError.from_exception_data(error.title, faults)


class MethodOptions(Section):
    """What one method does differently; ``stage1`` and ``retrain`` hold fields of the sections of those names."""

    method: str | None = Field(
        None, description="method that this entry is a variant of; default: the method of that name"
    )
    starts_from: str | None = Field(None, description="method whose features are used instead of the default")
    groups_from: str | None = Field(
        None,
        description="if the attribute is unknown: the method whose features predict it, or own: one group per class",
    )
    network: str | None = Field(None, description="replaces train.network; preprocessing stays that of train.network")
    images: ImagesOptions = ImagesOptions()
    stage1: dict[str, object] = Field({}, description="options that differ from train.stage1")
    retrain: dict[str, object] = Field({}, description="options that differ from train.retrain")

    @model_validator(mode="after")
    def _overrides_are_allowed(self) -> MethodOptions:
        for section, kind in (("stage1", StageOptions), ("retrain", RetrainOptions)):
            for name in getattr(self, section):
                if name not in kind.model_fields:
                    raise ValueError(
                        str(unknown("option", f"{section}.{name}", [f"{section}.{n}" for n in kind.model_fields]))
                    )
            try:
                kind.model_validate(getattr(self, section))
            except ValidationError as error:
                raise _inside(section, error) from None
        return self


class ArmOptions(Section):
    """One source of images and the methods that train on them."""

    methods: tuple[str, ...] = Field((), description="rows of the table, in order")
    options: dict[str, object] = Field({}, description="dotted options of the recipe, such as plan.variant: intra")
    mirror: dict[str, float] = Field({}, description="options of the mirror, such as imbalance_factor: 50")
    validation: bool = Field(False, description="test on the mirror's validation images, to choose options")
    filled: bool = Field(False, description="fill up to the plan's target with other real images: the upper bound")
    one_pool: bool = Field(False, description="all seeds train on the images of the first")


class CurveOptions(Section):
    """One chart of a study: a column of the table plotted against ``x``."""

    label: str = Field(description="what x is")
    x: tuple[float, ...] | tuple[str, ...] = Field(description="one value per row: numbers, or names")
    lines: dict[str, tuple[str, ...]] = Field(description="name of a line -> rows of the table, one per value of x")
    column: str = Field("accuracy", description="of the table")

    @model_validator(mode="after")
    def _lines_fit(self) -> CurveOptions:
        for name, rows in self.lines.items():
            if len(rows) != len(self.x):
                raise ValueError(f"line {name!r} has {len(rows)} rows, but x has {len(self.x)} values")
        return self


class BenchOptions(Section):
    """A grid of arms, methods and seeds."""

    like: str | None = Field(None, description="experiment whose options are used; 'methods' may extend them")
    mirror: str | None = Field(None, description="fashion_lt, fashion_fair or fashion_spurious; default: DATA")
    arms: dict[str, ArmOptions] = Field({}, description="name -> arm; rows of the first arm are unnamed")
    baseline: str = Field("cross_entropy", description="baseline row of the closed gap")
    bounds: tuple[str, ...] = Field(
        ("upper_bound", "upper_bound_retrained", "upper_bound_mixup"), description="rows it is counted to"
    )
    columns: tuple[str, ...] = Field(
        ("accuracy", "many", "medium", "few", "worst_class", "calibration_error"),
        description="columns of the table; the gap is measured in the first one",
    )
    tuned: dict[str, tuple[str, ...]] = Field(
        {},
        description="row -> candidate rows, of which the one with the best validation score is used; every row "
        "has equally many",
    )
    tuned_by: str = Field("mean_recall", description="validation score used for tuning, such as worst_group_accuracy")
    curves: dict[str, CurveOptions] = Field({}, description="name -> picture of a study")
    quick: dict[str, tuple[str, ...]] = Field({}, description="arm -> methods of the smaller grid")
    quick_options: dict[str, object] = Field({}, description="dotted options of the smaller grid")

    @field_validator("tuned")
    @classmethod
    def _budgets_are_equal(cls, tuned: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
        numbers = {name: len(rows) for name, rows in tuned.items()}
        if len(set(numbers.values())) > 1:
            listed = ", ".join(f"{name} {number}" for name, number in numbers.items())
            raise ValueError(f"every row of 'tuned' needs as many candidates as any other, but got {listed}")
        return tuned


class Recipe(Section):
    """One experiment: every option that affects its result."""

    name: str = Field(UNNAMED, description="name of the experiment in reports; default: name of the run directory")
    data: DataOptions = DataOptions()
    plan: PlanOptions = PlanOptions()
    api: ApiOptions = ApiOptions()
    generate: GenerateOptions = GenerateOptions()
    fit: FitOptions = FitOptions()
    quality: QualityOptions = QualityOptions()
    train: TrainOptions = TrainOptions()
    methods: dict[str, MethodOptions] = Field(
        {}, description="options of single methods, such as the tuned weight decay of a baseline"
    )
    choose: ChooseOptions = ChooseOptions()
    cross_validate: CrossValidateOptions = CrossValidateOptions()
    seed: int = Field(0, ge=0, le=MAX_SEED, description="random seed")
    bench: BenchOptions | None = Field(None, description="experiment grid for synaug bench")
