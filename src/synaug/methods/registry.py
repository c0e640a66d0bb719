"""Define the table of methods: each entry is one row of results, described by its changes to a recipe."""

from __future__ import annotations

from synaug.methods.method import GROUPS, LONG_TAIL, Changes, Method
from synaug.methods.published_methods import PUBLISHED_METHODS

_FINE_TUNING: Changes = (
    ("optimizer", "adamw"),
    ("learning_rate", 1e-4),
    ("weight_decay", 0.05),
    ("batch_size", 32),
    ("epochs", 10),
)

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
        stage1=(("mixing", "mixup"), ("mixup_alpha", 0.2), ("sampler", "class_balanced")),
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
    "oversampling_mixup_retrained": Method(
        "Features of oversampling_mixup; its last layer retrained on all real images, the classes weighted equally.",
        starts_from="oversampling_mixup",
        retrain=(("data", "all_real"),),
    ),
    "balanced_mixup": Method(
        "Cross-entropy on the real images, each mixed with one drawn group-balanced, or class-balanced if no attribute "
        "is known: synaug_stage1 without synthetic images.",
        stage1=(("mixing", "domain_mixup"), ("mixup_alpha", 1.0)),
    ),
    "balanced_mixup_retrained": Method(
        "Features of balanced_mixup; its last layer retrained on all real images, the classes weighted equally, or the "
        "groups if an attribute is known: synaug without synthetic images.",
        starts_from="balanced_mixup",
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
        "Features of synaug_tenth; the last layer retrained with the options of train.retrain.",
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
        "Cross-entropy on the real images; sampling moves from image-balanced to class-balanced (Kang et al. 2020).",
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
    "group_linear_probe": Method(
        "A group-balanced logistic regression on pretrained features, on all real images.",
        starts_from="pretrained_features",
        retrain=(("data", "group_balanced_real"), ("method", "cross_fitted")),
        problem=GROUPS,
    ),
    "fine_tuned_group_retrained": Method(
        "Features of fine_tuned; the last layer retrained on real images, the groups weighted equally.",
        starts_from="fine_tuned",
        retrain=(("data", "group_balanced_real"), ("method", "cross_fitted")),
        problem=GROUPS,
    ),
    "synaug_fine_tuned_group_retrained": Method(
        "Features of synaug_fine_tuned; the last layer retrained on real images, the groups weighted equally.",
        data="evened_out",
        starts_from="synaug_fine_tuned",
        retrain=(("data", "group_balanced_real"), ("method", "cross_fitted")),
        problem=GROUPS,
    ),
    "feature_sampling": Method(
        "Features of cross_entropy; the last layer learned with sampled features of rare classes.",
        starts_from="cross_entropy",
        retrain=(("data", "all_real"), ("method", "feature_sampling")),
        problem=LONG_TAIL,
    ),
    # ------------------------------------------------------------ with and without synthetic images
    **PUBLISHED_METHODS,
}
DEFAULT_METHODS = (
    "cross_entropy",
    "cross_entropy_retrained",
    "balanced_mixup",
    "balanced_mixup_retrained",
    "synaug_stage1",
    "synaug",
)
PROBES = ("linear_probe", "synaug_linear_probe")
PRETRAINED_METHODS = ("linear_probe", "fine_tuned", "synaug_linear_probe", "synaug_fine_tuned")
"""Methods of a run that starts from pretrained weights, instead of ``DEFAULT_METHODS``."""
