"""List published methods, most of them in pairs: on the real images alone, on the balanced set."""

from __future__ import annotations

from typing import TypedDict, Unpack

from synaug.methods.method import GROUPS, LONG_TAIL, OWN, Changes, Method

_BOXES: Changes = (("mixup_alpha", 1.0),)  # as in the papers that paste boxes
_CUTMIX: Changes = (*_BOXES, ("mixing_probability", 0.5))  # Yun et al. 2019 on CIFAR; 1 on ImageNet
_DFR: Changes = (("data", "all_real"), ("regularization", 1.0), ("method", "dfr"))
_GROUP_DRO: Changes = (("loss", "group_dro"), ("sampler", "group_balanced"))  # batches drawn as by the authors


class _Properties(TypedDict, total=False):
    schedule: str
    groups_from: str | None
    judged_from: str | None
    judged_by: str
    problem: str | None


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


def _drawn(name: str, what: str, *, stage1: Changes, **more: Unpack[_Properties]) -> dict[str, Method]:
    """Return a method on the balanced set with the prior of the drawn images instead of the real ones."""
    stage1 = (*stage1, ("prior", "drawn"))
    said = f"{what}, on the balanced set; class counts of what is drawn."
    return {f"synaug_{name}_drawn": Method(said, data="evened_out", stage1=stage1, **more)}


PUBLISHED_METHODS = {
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
        "Classes reweighted in the last phase (DRW)",
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
