"""Options of the section ``train``: how the classifiers are trained."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from synaug.config.section import Section


class StageOptions(Section):
    """Stage 1: training the representation."""

    steps: int | None = Field(None, ge=1, description="optimizer steps; default: epochs over the balanced set")
    epochs: int = Field(
        60, ge=1, description="passes over the balanced set; every method takes the same number of steps"
    )
    batch_size: int = Field(128, ge=2, description="images a step")
    learning_rate: float = Field(0.1, gt=0, description="peak learning rate; decays to 0 along a cosine")
    momentum: float = Field(0.9, ge=0, lt=1, description="momentum of SGD")
    weight_decay: float = Field(5e-4, ge=0, description="weight decay, not applied to biases and normalization")
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
    match_spectrum: bool = Field(
        True,
        description="scale the spatial frequencies of synthetic images, each by a random share, towards the mean "
        "amplitudes of the real ones; generated images are often too smooth",
    )
    in_memory: bool | None = Field(
        None, description="decode all images at the start, or each on demand; default: depends on free memory"
    )
    device: str = Field("auto", description="auto, cpu, cuda, cuda:1, mps")
    precision: Literal["auto", "float32", "float16", "bfloat16"] = Field(
        "auto", description="precision of the computation"
    )
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
