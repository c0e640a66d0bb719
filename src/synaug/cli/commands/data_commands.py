"""Define the data set commands: count, export, verify."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from synaug.cli.printing import print_facts, print_json, print_text
from synaug.cli.session import options_of, session
from synaug.cli.shared_options import (
    Attribute,
    Data,
    DryRun,
    GroupColumn,
    Json,
    Label,
    Layout,
    PathColumn,
    RecipeFile,
    RunDirectory,
    SplitColumn,
    Splits,
    Trust,
)
from synaug.errors import DataError, OptionError
from synaug.runtime import Progress, counted


def count(
    data: Data,
    label: Label = None,
    attribute: Attribute = None,
    split: Annotated[str | None, typer.Option(help="Count only this split.", show_default="train")] = None,
    split_column: SplitColumn = None,
    path: PathColumn = None,
    group_column: GroupColumn = None,
    layout: Layout = None,
    splits: Splits = None,
    recipe: RecipeFile = None,
    benchmark: Annotated[
        str | None,
        typer.Option(help="Treat DATA as this known data set and check that it is complete; see 'synaug datasets'."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Count images per class and group, and show the imbalance.

    Example:  synaug count photos/

    Example:  synaug count photos.csv --label species --attribute background
    """
    from synaug.data import groups, readers, reading_account

    options = options_of(
        recipe, benchmark=benchmark, label=label, attribute=attribute, split_column=split_column, path=path,
        group_column=group_column, layout=layout, splits=splits,
    )  # fmt: skip
    with session() as progress:
        manifest = readers.read_data(data, options.data, progress=progress)
    if split and split not in set(manifest.frame["split"]):
        raise OptionError(
            f"No split {split!r} in {data}; available: {', '.join(sorted(set(manifest.frame['split'])))}."
        )
    summary, account = groups.summary(manifest.split(split or "train")), reading_account(manifest)
    if as_json:
        print_json({**summary, **account})
    else:
        from synaug.cli.printing import data_tables

        data_tables.show_counts(summary, account, source=data)


def list_datasets(as_json: Json = False) -> None:
    """List the known benchmark data sets: size, license, source.

    Example:  synaug datasets
    """
    from synaug.data.benchmarks import known_datasets

    if as_json:
        print_json(known_datasets())
    else:
        from synaug.cli.printing import data_tables

        data_tables.show_datasets(known_datasets())


def export(
    run: RunDirectory,
    out: Annotated[Path, typer.Option("--out", help="New directory for the data set or the classifier.")],
    classifier: Annotated[
        str | None, typer.Option(metavar="METHOD", help="Export a classifier instead: 'chosen', or a method's name.")
    ] = None,
    shards: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Write WebDataset shards with this many images each; RUN is then an exported data set.",
            show_default="none",
        ),
    ] = None,
    formats: Annotated[
        str | None,
        typer.Option(
            metavar="NAME,...",
            help="With --classifier, also write it as onnx, torchscript, torch-export or timm; each file is checked.",
            show_default="none",
        ),
    ] = None,
    license: Annotated[
        str | None,
        typer.Option(
            "--license",
            help="License for the card, as the Hub spells it: cc-by-4.0, mit, ...",
            show_default="unknown",
        ),
    ] = None,
    push_to_hub: Annotated[
        str | None, typer.Option(metavar="USER/NAME", help="Also upload the directory to the Hugging Face Hub.")
    ] = None,
    private: Annotated[bool, typer.Option("--private", help="Make the repository private.")] = False,
    trust: Trust = None,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Export the balanced set, or a classifier.

    Writes a folder with a data card, which both torchvision's ImageFolder and datasets.load_dataset load. With
    --classifier, it holds a trained network and its model card. Nothing is uploaded without --push-to-hub.

    Example:  synaug export runs/photos --out photos-balanced

    Example:  synaug export runs/photos --out photos-classifier --classifier chosen --formats onnx

    Example:  synaug export photos-balanced --out photos-shards --shards 1000
    """
    from synaug.cli.printing import result_lines
    from synaug.data.export import checked_token, push_folder
    from synaug.pipeline.preview import preview_export
    from synaug.run_directory import Run

    wanted = [name.strip() for name in formats.split(",")] if formats else []
    if wanted and classifier is None:
        raise OptionError("--formats applies to a classifier: add --classifier chosen.")
    if shards is not None:
        _export_shards(run, out, shards, taken=[classifier, push_to_hub], as_json=as_json)
        return
    if private and push_to_hub is None:
        raise OptionError("--private requires a Hub repository: name it with --push-to-hub USER/NAME.")
    facts: dict[str, Any] = {"folder": str(out)} | (
        {"classifier": classifier} if classifier else preview_export(Run.open(run))
    )
    if dry_run:
        print_facts(facts, as_json=as_json)
        return
    if push_to_hub is not None:
        checked_token(push_to_hub)  # before the work, not after it
    with session(trust=trust) as progress:
        if classifier is None:
            usage = _export_data(run, out, license=license, progress=progress)
        else:
            usage = _export_classifier(run, out, method=classifier, license=license, formats=wanted)
        if push_to_hub is not None:
            kind: Literal["dataset", "model"] = "dataset" if classifier is None else "model"
            facts["repository"] = push_folder(out, push_to_hub, kind=kind, private=private)
    if as_json:
        print_json(facts)
        return
    print_text(f"{out}: written.")
    if push_to_hub is not None:
        print_text(facts["repository"])
    result_lines.show_usage(usage)


def _export_data(run: Path, out: Path, *, license: str | None, progress: Progress) -> list[str]:
    """Write the balanced set, and return the lines of code that use it."""
    from synaug.pipeline.export import export as export_set
    from synaug.report import data_usage_lines
    from synaug.run_directory import Run

    export_set(Run.open(run), out, license=license, progress=progress)
    return data_usage_lines(out)


def _export_classifier(run: Path, out: Path, *, method: str, license: str | None, formats: Sequence[str]) -> list[str]:
    """Write the classifier of a method, and return the lines of code that use it."""
    from synaug.pipeline.classifier.export_classifier import export_classifier
    from synaug.report import usage_lines

    export_classifier(run, out, method=method, license=license or "unknown", formats=formats)
    return usage_lines(out)


def _export_shards(exported: Path, out: Path, per_shard: int, *, taken: Sequence[Any], as_json: bool) -> None:
    from synaug.data.export import write_shards

    if any(taken):
        raise OptionError("--shards converts an exported data set; leave --classifier and --push-to-hub out.")
    with session() as progress:
        facts = write_shards(exported, out, per_shard=per_shard, progress=progress)
    print_facts({"folder": str(out), **facts}, as_json=as_json)


def verify(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Directory written by 'synaug export'.")],
    as_json: Json = False,
) -> None:
    """Check an exported set: every digest, and whether it loads.

    Loads it with torchvision and with datasets, and lists the problems.

    Example:  synaug verify photos-balanced
    """
    from synaug.data.export import verify_dataset

    with session() as progress:
        problems = verify_dataset(folder, progress=progress)
    if as_json:
        print_json({"problems": problems})
    else:
        print_text("\n".join(problems) or f"{folder}: no problems found.")
    if problems:
        raise DataError(f"{folder}: {counted(len(problems), 'problem')} found.")
