"""Turn images into classifiers: each method of a table, with its training, testing and storage."""

from synaug.methods.datasets import Sets, forget_sets, images_digest, load_sets, retraining_set, selected
from synaug.methods.method import OWN, Method
from synaug.methods.networks import check_code, check_networks, network_digests
from synaug.methods.options import (
    check_methods,
    is_of_options,
    method_named,
    network_of,
    options_of,
    retrain_options,
    stage_options,
    uses_autoencoder,
)
from synaug.methods.registry import DEFAULT_METHODS, METHODS
from synaug.methods.results import (
    is_current,
    is_finished,
    read_result,
    registered,
    train_group_counts,
    train_method,
)
from synaug.methods.training import trained_model

__all__ = [
    "DEFAULT_METHODS",
    "METHODS",
    "OWN",
    "Method",
    "Sets",
    "check_code",
    "check_methods",
    "check_networks",
    "forget_sets",
    "images_digest",
    "is_current",
    "is_finished",
    "is_of_options",
    "load_sets",
    "method_named",
    "network_digests",
    "network_of",
    "options_of",
    "read_result",
    "registered",
    "retrain_options",
    "retraining_set",
    "selected",
    "stage_options",
    "train_group_counts",
    "train_method",
    "trained_model",
    "uses_autoencoder",
]
