"""Define the table of methods: each entry is one row of results, described by its changes to a recipe."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypedDict, Unpack

OWN = "own"  # instead of a method that predicts the attribute

Changes = tuple[tuple[str, object], ...]


LONG_TAIL, GROUPS = "long_tail", "groups"


@dataclass(frozen=True)
class Method:
    """One way to turn images into a classifier.

    Attributes:
        description: one sentence for the report.
        data: training data of stage 1: ``real`` or ``evened_out`` (real and synthetic).
        stage1: options that differ from the recipe's ``train.stage1``.
        schedule: the schedule of stage 1, a name of ``training.schedules.SCHEDULES``.
        starts_from: the method whose features are kept while the classifier is retrained; None trains stage 1.
        retrain: options that differ from the recipe's ``train.retrain``.
        groups_from: the method whose features predict missing attributes, or ``OWN``: the images of a class without an
            attribute form their own group. Requires groups.
        judged_from: the method of real images whose features judge how well each synthetic image fits its class.
        judged_by: effect of the judgment: ``filter`` drops synthetic images that do not fit, ``weight`` weights them,
            ``feedback`` keeps a quarter of them.
        is_bound: whether it needs images that users do not have, so that it is no rival and never recommended.
        problem: its purpose: ``LONG_TAIL``, ``GROUPS`` (fairness and spurious correlation), or None for both.
    """

    description: str
    data: str = "real"
    stage1: Changes = ()
    schedule: str = "usual"
    starts_from: str | None = None
    retrain: Changes = ()
    groups_from: str | None = None
    judged_from: str | None = None
    judged_by: str = "filter"
    is_bound: bool = False
    problem: str | None = None

    @property
    def uses_synthetic(self) -> bool:
        """Whether any part of it is trained on synthetic images."""
        return self.data == "evened_out"

    @property
    def needs_groups(self) -> bool:
        """Whether it requires an attribute."""
        return self.groups_from is not None or dict(self.retrain).get("data") == "group_balanced_real"

    @property
    def needs_validation(self) -> bool:
        """Whether it is trained on a validation split."""
        return dict(self.retrain).get("data") == "validation"

    @property
    def needs_pretrained(self) -> bool:
        """Whether it is meaningless without pretrained weights."""
        return self.schedule in ("frozen", "fine_tune") or self.starts_from == "pretrained_features"

    @property
    def is_general(self) -> bool:
        """Whether it works with any data: no bound, and no attribute, validation split or weights needed."""
        needs = self.needs_groups or self.needs_validation or self.needs_pretrained
        return not (needs or self.is_bound)


class _Properties(TypedDict, total=False):
    schedule: str
    groups_from: str | None
    judged_from: str | None
    judged_by: str
    problem: str | None


def _drawn(name: str, what: str, *, stage1: Changes, **more: Unpack[_Properties]) -> dict[str, Method]:
    """Return a method on the balanced set with the prior of the drawn images instead of the real ones."""
    stage1 = (*stage1, ("prior", "drawn"))
    said = f"{what}, on the balanced set; class counts of what is drawn."
    return {f"synaug_{name}_drawn": Method(said, data="evened_out", stage1=stage1, **more)}


_BOXES: Changes = (("mixup_alpha", 1.0),)  # as in the papers that paste boxes
_CUTMIX: Changes = (*_BOXES, ("mixing_probability", 0.5))  # Yun et al. 2019 on CIFAR; 1 on ImageNet
_DFR: Changes = (("data", "all_real"), ("regularization", 1.0), ("method", "dfr"))
_FINE_TUNING: Changes = (
    ("optimizer", "adamw"),
    ("learning_rate", 1e-4),
    ("weight_decay", 0.05),
    ("batch_size", 32),
    ("epochs", 10),
)
_GROUP_DRO: Changes = (("loss", "group_dro"), ("sampler", "group_balanced"))  # batches drawn as by the authors


def _on_both(name: str, what: str, *, stage1: Changes = (), **more: Unpack[_Properties]) -> dict[str, Method]:
    """Return two methods: one on the real images, without mixing, and one on the balanced set."""
    return {
        name: Method(f"{what}, on the real images alone.", stage1=(("mixing", "none"), *stage1), **more),
        f"synaug_{name}": Method(f"{what}, on the balanced set.", data="evened_out", stage1=stage1, **more),
    }


def _of_both(name: str, what: str, method: str, **more: Unpack[_Properties]) -> dict[str, Method]:
    """Return two methods that fit the last layer, one on the features of each base method.

    A last layer from the literature has its own data and regularization: the recipe's are designed for SYNAuG's.
    """
    changes = {"regularization": 1.0, "method": method}
    real, both = (tuple(({"data": data} | changes).items()) for data in ("all_real", "evened_out"))
    return {
        name: Method(f"Features of cross_entropy; {what}.", starts_from="cross_entropy", retrain=real, **more),
        f"synaug_{name}": Method(
            f"Features of synaug_stage1; {what}.", data="evened_out", starts_from="synaug_stage1", retrain=both, **more
        ),
    }


METHODS = {
    "cross_entropy": Method(
        "Cross-entropy on the real images alone.",
        stage1=(("mixing", "none"),),
    ),
    "cross_entropy_mixup": Method("Cross-entropy with Mixup on the real images alone.", stage1=(("mixing", "mixup"),)),
    "cross_entropy_retrained": Method(
        "Features of cross_entropy; its last layer retrained on all real images, the classes weighted equally.",
        starts_from="cross_entropy",
        retrain=(("data", "all_real"),),
    ),
    "classifier_only": Method(
        "Features of cross_entropy; its last layer retrained on the balanced set.",
        data="evened_out",
        starts_from="cross_entropy",
        retrain=(("data", "evened_out"),),
    ),
    "oversampling": Method(
        "Cross-entropy on the real images, drawn class-balanced: rare images are seen more often.",
        stage1=(("mixing", "none"), ("sampler", "class_balanced")),
        problem=LONG_TAIL,
    ),
    "oversampling_mixup": Method(
        "Oversampling with Mixup.",
        stage1=(("mixing", "mixup"), ("sampler", "class_balanced")),
        problem=LONG_TAIL,
    ),
    "upper_bound": Method(
        "Cross-entropy without mixing on the set filled with other real images: what a perfect generator could do.",
        stage1=(("mixing", "none"),),
        is_bound=True,
    ),
    "upper_bound_mixup": Method(
        "Cross-entropy with Mixup on the set filled with other real images.",
        stage1=(("mixing", "mixup"), ("mixup_alpha", 0.2)),
        is_bound=True,
    ),
    "oversampling_retrained": Method(
        "Features of oversampling; its last layer retrained on all real images, the classes weighted equally.",
        starts_from="oversampling",
        retrain=(("data", "all_real"),),
    ),
    "upper_bound_retrained": Method(
        "Features of upper_bound; the last layer retrained on the same set.",
        starts_from="upper_bound",
        retrain=(("data", "all_real"),),
        is_bound=True,
    ),
    "synaug_stage1": Method(
        "Cross-entropy with Mixup on the balanced set: real and synthetic images.", data="evened_out"
    ),
    "synaug": Method(
        "Features of synaug_stage1; the last layer retrained on the balanced set, or on group-balanced real images if "
        "an attribute is known (train.retrain.data: auto).",
        data="evened_out",
        starts_from="synaug_stage1",
    ),
    "synaug_tenth": Method(
        "Cross-entropy with Mixup; at most a tenth of each batch is synthetic.",
        data="evened_out",
        stage1=(("mixing", "mixup"), ("mixup_alpha", 0.2), ("max_synthetic", 0.1)),
    ),
    "synaug_tenth_retrained": Method(
        "Features of synaug_tenth; the last layer retrained as train.retrain says.",
        data="evened_out",
        starts_from="synaug_tenth",
    ),
    "synaug_balanced_real": Method(
        "Features of synaug_stage1; the last layer retrained on equally many real images of each class.",
        data="evened_out",
        starts_from="synaug_stage1",
        retrain=(("data", "balanced_real"),),
    ),
    "synaug_all_real": Method(
        "Features of synaug_stage1; the last layer retrained on all real images, the classes weighted equally.",
        data="evened_out",
        starts_from="synaug_stage1",
        retrain=(("data", "all_real"),),
    ),
    "synaug_evened_out": Method(
        "Features of synaug_stage1; the last layer retrained on the balanced set, even if an attribute is known.",
        data="evened_out",
        starts_from="synaug_stage1",
        retrain=(("data", "evened_out"),),
    ),
    # ------------------------------------------------------------ the last layer on group-balanced real images
    "group_retrained": Method(
        "Features of cross_entropy; the last layer retrained on equally many real images of each group.",
        starts_from="cross_entropy",
        retrain=(("data", "group_balanced_real"),),
        problem=GROUPS,
    ),
    "synaug_group_retrained": Method(
        "Features of synaug_no_mixing; the last layer retrained on equally many real images of each group.",
        data="evened_out",
        starts_from="synaug_no_mixing",
        retrain=(("data", "group_balanced_real"),),
        problem=GROUPS,
    ),
    # ------------------------------------------------------------ on the real images with other sampling
    "square_root": Method(
        "Cross-entropy on the real images, a class in proportion to the root of its images (Mahajan et al. 2018).",
        stage1=(("mixing", "none"), ("sampler", "square_root")),
        problem=LONG_TAIL,
    ),
    "progressively_balanced": Method(
        "Cross-entropy on the real images, from every image to every class as often (Kang et al. 2020).",
        stage1=(("mixing", "none"), ("sampler", "progressively_balanced")),
        problem=LONG_TAIL,
    ),
    # ------------------------------------------------------------ only with synthetic images
    "synaug_no_mixing": Method(
        "Cross-entropy on the balanced set without Mixup.", data="evened_out", stage1=(("mixing", "none"),)
    ),
    "synaug_domain_mixup": Method(
        "Cross-entropy on the balanced set, every image mixed with a real one.",
        data="evened_out",
        stage1=(("mixing", "domain_mixup"),),
    ),
    "synaug_domain_mixup_same_class": Method(
        "Cross-entropy on the balanced set, every image mixed with a real one of its class.",
        data="evened_out",
        stage1=(("mixing", "domain_mixup_same_class"),),
    ),
    "synaug_balanced_mixup": Method(
        "Mixup on the balanced set with partners drawn group-balanced, or class-balanced if no attribute is known.",
        data="evened_out",
        stage1=(("mixing", "balanced_mixup"),),
    ),
    "synaug_synthetic_then_real": Method(
        "Half of the steps on the synthetic images, then half on the real ones (Qraitem et al. 2024).",
        data="evened_out",
        schedule="synthetic_then_real",
    ),
    "synaug_mixed_then_real": Method(
        "Cross-entropy on the balanced set, then the last steps on balanced real images at a low learning rate.",
        data="evened_out",
        schedule="mixed_then_real",
    ),
    "synaug_autoencoded": Method(
        "Cross-entropy without mixing on the balanced set; half of the real images pass through the generator's "
        "autoencoder.",
        data="evened_out",
        stage1=(("mixing", "none"), ("autoencoded", 0.5)),
    ),
    "synaug_down_weighted": Method(
        "Cross-entropy on the balanced set; synthetic images count less and less, down to a fifth.",
        data="evened_out",
        stage1=(("synthetic_weight_end", 0.2),),
    ),
    "synaug_agreement_weighted": Method(
        "Cross-entropy on the balanced set; a synthetic image counts as much as a classifier of real images agrees.",
        data="evened_out",
        judged_from="cross_entropy",
        judged_by="weight",
    ),
    "synaug_filtered": Method(
        "Cross-entropy on the balanced set without the synthetic images that a classifier of real images rejects.",
        data="evened_out",
        judged_from="cross_entropy",
    ),
    "synaug_feedback": Method(
        "Cross-entropy on the balanced set with a quarter of its synthetic images: those of which a classifier of real "
        "images is least certain, if they fit their class.",
        data="evened_out",
        judged_from="cross_entropy",
        judged_by="feedback",
    ),
    "autoencoded": Method(
        "Cross-entropy on the real images, half of them passed through the generator's autoencoder.",
        stage1=(("mixing", "none"), ("autoencoded", 0.5)),
    ),
    # ------------------------------------------------------------ without a generator
    "pretrained_features": Method(
        "The pretrained network as it is; its classifier is random, for linear_probe to replace.", schedule="frozen"
    ),
    "linear_probe": Method(
        "A class-balanced logistic regression on pretrained features, on all real images.",
        starts_from="pretrained_features",
        retrain=(("data", "all_real"), ("method", "cross_fitted")),  # as with synthetic images, to compare only those
    ),
    "fine_tuned": Method(
        "A linear probe on pretrained features, then the whole network at a low rate, on class-balanced real images.",
        schedule="fine_tune",
        stage1=(("mixing", "none"), ("sampler", "class_balanced"), *_FINE_TUNING),
    ),
    "synaug_linear_probe": Method(
        "A class-balanced logistic regression on pretrained features, on the balanced set.",
        data="evened_out",
        starts_from="pretrained_features",
        retrain=(("data", "evened_out"), ("method", "cross_fitted")),
    ),
    "synaug_fine_tuned": Method(
        "A linear probe on pretrained features, then the whole network at a low rate, on the balanced set.",
        data="evened_out",
        schedule="fine_tune",
        stage1=(("mixing", "mixup"), ("mixup_alpha", 0.2), ("max_synthetic", 0.5), *_FINE_TUNING),
    ),
    "feature_sampling": Method(
        "Features of cross_entropy; the last layer learned with sampled features of rare classes.",
        starts_from="cross_entropy",
        retrain=(("data", "all_real"), ("method", "feature_sampling")),
        problem=LONG_TAIL,
    ),
    # ------------------------------------------------------------ with and without synthetic images
    **_on_both("cutmix", "CutMix (Yun et al. 2019)", stage1=(("mixing", "cutmix"), *_CUTMIX)),
    **_on_both("mixup_or_cutmix", "Mixup or CutMix by turns", stage1=(("mixing", "mixup_or_cutmix"), *_BOXES)),
    **_on_both(
        "cmo",
        "Rare images pasted into any (CMO, Park et al. 2022)",
        stage1=(("mixing", "cmo"), *_BOXES),
        problem=LONG_TAIL,
    ),
    **_on_both("label_smoothing", "Label smoothing (Szegedy et al. 2016)", stage1=(("loss", "label_smoothing"),)),
    **_on_both("focal", "Focal loss (Lin et al. 2017)", stage1=(("loss", "focal"),), problem=LONG_TAIL),
    **_on_both(
        "class_balanced_loss",
        "Class-balanced loss (Cui et al. 2019)",
        stage1=(("loss", "class_balanced"),),
        problem=LONG_TAIL,
    ),
    **_on_both(
        "deferred_reweighting",
        "Classes reweighted at last (DRW)",
        stage1=(("loss", "cross_entropy_drw"),),
        problem=LONG_TAIL,
    ),
    **_on_both(
        "ldam_drw",
        "LDAM with deferred reweighting (Cao et al. 2019)",
        stage1=(("loss", "ldam_drw"),),
        problem=LONG_TAIL,
    ),
    **_on_both(
        "balanced_softmax",
        "Balanced softmax (Ren et al. 2020)",
        stage1=(("loss", "balanced_softmax"),),
        problem=LONG_TAIL,
    ),
    **_on_both(
        "logit_adjustment",
        "Logit adjustment (Menon et al. 2021)",
        stage1=(("loss", "logit_adjustment"),),
        problem=LONG_TAIL,
    ),
    **_drawn("class_balanced_loss", "Class-balanced loss", stage1=(("loss", "class_balanced"),), problem=LONG_TAIL),
    **_drawn("ldam_drw", "LDAM with deferred reweighting", stage1=(("loss", "ldam_drw"),), problem=LONG_TAIL),
    **_drawn("balanced_softmax", "Balanced softmax", stage1=(("loss", "balanced_softmax"),), problem=LONG_TAIL),
    **_on_both(
        "group_dro",
        "Group DRO (Sagawa et al. 2020)",
        stage1=_GROUP_DRO,
        groups_from="cross_entropy",
        problem=GROUPS,
    ),
    "synaug_group_dro_own": Method(
        "Group DRO on the balanced set; the synthetic images of a class are a group of their own.",
        data="evened_out",
        stage1=_GROUP_DRO,
        groups_from=OWN,
        problem=GROUPS,
    ),
    **_on_both(
        "group_balanced",
        "Every group of class and attribute as often",
        stage1=(("sampler", "group_balanced"),),
        groups_from="cross_entropy",
        problem=GROUPS,
    ),
    **_on_both("glmc", "Agreement of two mixtures (GLMC, Du et al. 2023)", stage1=_BOXES, schedule="glmc"),
    **_drawn("glmc", "Agreement of two mixtures", stage1=_BOXES, schedule="glmc", problem=LONG_TAIL),
    **_on_both("simclr_start", "Half of the steps SimCLR (Chen et al. 2020), then labels", schedule="simclr_start"),
    **_on_both(
        "balanced_contrastive_start",
        "Half of the steps balanced contrastive (Zhu et al. 2022), then labels",
        schedule="balanced_contrastive_start",
    ),
    **_of_both(
        "crt",
        "the last layer reinitialized and trained by class-balanced SGD (cRT, Kang et al. 2020)",
        "crt",
        problem=LONG_TAIL,
    ),
    **_of_both("lws", "each class's row of the last layer rescaled (LWS, Kang et al. 2020)", "lws", problem=LONG_TAIL),
    **_of_both(
        "tau_norm",
        "each class's row of the last layer divided by its norm (Kang et al. 2020)",
        "tau_norm",
        problem=LONG_TAIL,
    ),
    **_of_both(
        "max_norm", "rows of the last layer kept in a ball (Alshammari et al. 2022)", "max_norm", problem=LONG_TAIL
    ),
    **_of_both(
        "nearest_class_mean",
        "the class with the nearest mean (Kang et al. 2020)",
        "nearest_class_mean",
        problem=LONG_TAIL,
    ),
    "dfr": Method(
        "Features of cross_entropy; a sparse last layer on group-balanced real images (DFR, Kirichenko et al. 2023).",
        starts_from="cross_entropy",
        retrain=_DFR,
        problem=GROUPS,
    ),
    "synaug_dfr": Method(
        "Features of synaug_no_mixing; DFR's last layer on group-balanced real images.",
        data="evened_out",
        starts_from="synaug_no_mixing",
        retrain=_DFR,
        problem=GROUPS,
    ),
    "dfr_val": Method(
        "Features of cross_entropy; DFR's last layer learned from the validation split (DFR-val).",
        starts_from="cross_entropy",
        retrain=(*_DFR, ("data", "validation")),
        problem=GROUPS,
    ),
}
DEFAULT_METHODS = ("cross_entropy", "cross_entropy_retrained", "oversampling", "synaug_stage1", "synaug")
PROBES = ("linear_probe", "synaug_linear_probe")
PRETRAINED_METHODS = ("linear_probe", "fine_tuned", "synaug_linear_probe", "synaug_fine_tuned")
"""Methods of a run that starts from pretrained weights, instead of ``DEFAULT_METHODS``."""
