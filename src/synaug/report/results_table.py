"""Gather the results of a report into a table with one row per method: mean and spread over its seeds."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from numbers import Real

from synaug.report.seeds import by_method, deviation, mean
from synaug.schemas import Report, Result

_REMEDIES = {
    "label_smoothing": "label smoothing",
    "focal": "focal loss",
    "class_balanced_loss": "class-balanced loss",
    "deferred_reweighting": "deferred reweighting",
    "ldam_drw": "LDAM with deferred reweighting",
    "balanced_softmax": "balanced softmax",
    "logit_adjustment": "logit adjustment",
    "cutmix": "CutMix",
    "mixup_or_cutmix": "Mixup or CutMix by turns",
    "cmo": "CMO",
    "group_balanced": "group-balanced draws",
    "group_dro": "Group DRO",
    "glmc": "GLMC",
    "crt": "cRT",
    "lws": "LWS",
    "tau_norm": "tau-norm",
    "max_norm": "MaxNorm",
    "nearest_class_mean": "nearest class means",
    "dfr": "DFR",
}
TITLES = {
    **{name: said if said == "cRT" else said[0].upper() + said[1:] for name, said in _REMEDIES.items()},
    **{f"synaug_{name}": f"SYNAuG with {said}" for name, said in _REMEDIES.items()},
    "cross_entropy": "Cross-entropy",
    "cross_entropy_retrained": "Cross-entropy with retrained last layer",
    "cross_entropy_mixup": "Cross-entropy with Mixup",
    "classifier_only": "Cross-entropy with last layer retrained on the balanced set",
    "oversampling": "Oversampling",
    "oversampling_retrained": "Oversampling with retrained last layer",
    "synaug_tenth": "SYNAuG with a tenth of each batch synthetic",
    "synaug_tenth_retrained": "SYNAuG with a tenth of each batch synthetic and retrained last layer",
    "linear_probe": "Linear probe on pretrained features",
    "fine_tuned": "Fine-tuning",
    "group_linear_probe": "Group-balanced linear probe on pretrained features",
    "fine_tuned_group_retrained": "Fine-tuning with last layer retrained on balanced groups",
    "synaug_fine_tuned_group_retrained": "SYNAuG with fine-tuning and last layer retrained on balanced groups",
    "synaug_linear_probe": "SYNAuG with a linear probe on pretrained features",
    "synaug_fine_tuned": "SYNAuG with fine-tuning",
    "group_retrained": "Cross-entropy with last layer retrained on balanced groups",
    "oversampling_mixup": "Oversampling with Mixup",
    "oversampling_mixup_retrained": "Oversampling with Mixup and retrained last layer",
    "balanced_mixup": "Balanced Mixup of real images",
    "balanced_mixup_retrained": "Balanced Mixup of real images with retrained last layer",
    "synaug_stage1": "SYNAuG stage 1",
    "synaug_no_mixing": "SYNAuG without mixing",
    "synaug": "SYNAuG",
    "synaug_balanced_real": "SYNAuG with last layer retrained on balanced real images",
    "upper_bound_retrained": "Filled with real images and last layer retrained",
    "upper_bound": "Filled with real images (upper bound)",
    "upper_bound_mixup": "Filled with real images with Mixup (upper bound)",
}
COLUMNS = {
    "accuracy": "All",
    "many": "Many",
    "medium": "Medium",
    "few": "Few",
    "worst_class": "Worst class",
    "worst_group_accuracy": "Worst group",
}
_BY_SIZE = {"many", "medium", "few"}
_NAN = float("nan")


@dataclass(frozen=True)
class ResultRow:
    """One method of the table: mean and standard deviation over its seeds, as fractions, NaN if undefined."""

    method: str
    title: str
    num_seeds: int
    means: dict[str, float]
    deviations: dict[str, float]
    best: frozenset[str]
    uses_synthetic: bool = False
    is_bound: bool = False

    def text(self, column: str) -> str:
        """Return a cell as percent, such as ``80.1``, ``80.1 ± 0.4`` or ``n/a``."""
        mean, deviation = self.means[column], self.deviations[column]
        if math.isnan(mean):
            return "n/a"
        spread = "" if math.isnan(deviation) else f" ± {100 * deviation:.1f}"
        return f"{100 * mean:.1f}{spread}"


def shown_columns(rows: Sequence[ResultRow]) -> dict[str, str]:
    """Return the columns of the results, name to title, in which any row has a number.

    If all classes are of one size (many, medium or few), its column would repeat the accuracy and is left out.
    """
    filled = {name for name in COLUMNS if any(not math.isnan(row.means[name]) for row in rows)}
    hidden = _BY_SIZE if len(filled & _BY_SIZE) == 1 else set()
    return {name: title for name, title in COLUMNS.items() if name in filled - hidden}


def results_table(results: Sequence[Result]) -> list[ResultRow]:
    """Return one row per method, in the order of their first appearance; bounds are not rivals.

    Whether a method used synthetic images, and whether it is a bound, comes from its results.
    """
    seeds = by_method(results)
    means = {method: {c: mean(_values(runs, c)) for c in COLUMNS} for method, runs in seeds.items()}
    bounds = {method for method, runs in seeds.items() if runs[0].get("is_bound")}
    rivals = [values for method, values in means.items() if method not in bounds]
    return [
        ResultRow(
            method=method,
            title=method_title(method),
            num_seeds=len(runs),
            means=means[method],
            deviations={column: deviation(_values(runs, column)) for column in COLUMNS},
            best=frozenset(
                column
                for column in COLUMNS
                if method not in bounds and _is_best(means[method][column], [rival[column] for rival in rivals])
            ),
            uses_synthetic=bool(runs[0].get("uses_synthetic")),
            is_bound=method in bounds,
        )
        for method, runs in seeds.items()
    ]


def recalls(report: Report, method: str) -> dict[str, float]:
    """Return the recall per class with a method, averaged over its seeds; NaN if undefined."""
    runs = by_method(report["results"]).get(method, [])
    names = report["data"]["class_names"]
    return {name: mean([number_or_nan(run.get("per_class", {}).get(name)) for run in runs]) for name in names}


def compared_methods(report: Report) -> tuple[str | None, str | None]:
    """Return the methods that stand for before and after: one without synthetic images and one with them.

    They are the classifier of the run and its best rival of the other kind if the report compares those. If no method
    with synthetic images is shown, the first is the classifier of the run.
    """
    found = report.get("comparison") or {}
    if found.get("other") and not is_unusable(report):
        pair = found["method"], found["other"]
        return pair if found["other_uses_synthetic"] else pair[::-1]
    firsts = {method: runs[0] for method, runs in by_method(report["results"]).items()}
    rivals = {method: run for method, run in firsts.items() if not run.get("is_bound")}
    plain = [method for method, run in rivals.items() if not run.get("uses_synthetic")]
    filled = [method for method, run in rivals.items() if run.get("uses_synthetic")]
    if is_unusable(report):
        filled = []  # a model trained on unusable images is not shown
    chosen = report.get("classifier")
    first = chosen if chosen in plain and not filled else "cross_entropy"
    before = first if first in plain else next(iter(plain), None)
    after = "synaug" if "synaug" in filled else next(reversed(filled), None)
    return before, after


def is_unusable(report: Report) -> bool:
    """Return whether the report's audit found the synthetic images unusable for training."""
    return not (report.get("audit") or {}).get("usable", True)


def method_title(method: str | None) -> str:
    """Return the title of a method in the report; empty without a method."""
    return "" if method is None else TITLES.get(method, method)


def spoken(method: str | None) -> str:
    """Return the name of a method within a sentence.

    >>> spoken("oversampling"), spoken("synaug"), spoken("My_method"), spoken("linear_probe"), spoken("cutmix")
    ('oversampling', 'SYNAuG', 'My_method', 'the linear probe on pretrained features', 'CutMix')
    """
    if method in _REMEDIES:
        return _REMEDIES[method]
    title = TITLES.get(method or "", "")
    text = title[:1].lower() + title[1:] if title and not title.startswith("SYN") else title or method or ""
    return f"the {text}" if "linear probe" in text and not text.startswith("SYN") else text


def percent(value: object, digits: int = 0) -> str:
    """Return a fraction as text.

    >>> percent(0.564), percent(0.5641, 1), percent(None)
    ('56 %', '56.4 %', 'n/a')
    """
    found = number_or_nan(value)
    return "n/a" if math.isnan(found) else f"{100 * found:.{digits}f} %"


def _values(runs: Iterable[Result], column: str) -> list[float]:
    return [number_or_nan(run.get(column)) for run in runs]


def number_or_nan(value: object) -> float:
    """Return a number from a report; NaN for None, which means undefined."""
    return float(value) if isinstance(value, Real) else _NAN


def _is_best(value: float, values: list[float]) -> bool:
    """Return whether the value is the largest of several different ones, at the displayed precision."""
    known = [round(1000 * other) for other in values if not math.isnan(other)]
    return len(set(known)) > 1 and not math.isnan(value) and round(1000 * value) == max(known)
