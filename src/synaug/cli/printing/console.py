"""Print results on the terminal: tables, bars and plain sentences."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pandas as pd
from rich.padding import Padding

from synaug.cli.printing.costs import service_cost
from synaug.cli.printing.terminal import Bar, Console, Table, escape
from synaug.cli.printing.training_preview import training_sentences
from synaug.data import left_out_sentences, shot_bins
from synaug.runtime import agreeing, counted, duration
from synaug.runtime.security import shell_word
from synaug.schemas import Account, Counts, Report, Result
from synaug.schemas.output import Applied, Check, PlanSummary, ReviewFiles, RunPreview, Speed, Status

if TYPE_CHECKING:
    from synaug.data.benchmarks import KnownDataset

_LINES = 12
_SIZES = {"many": "more than 100", "medium": "20 to 100", "few": "fewer than 20"}  # training images of a class


def _console() -> Console:
    return Console()


def percent(value: float | None) -> str:
    """Return a fraction as a percentage, ``n/a`` if undefined.

    >>> percent(0.8125), percent(float("nan")), percent(None)
    ('81.2', 'n/a', 'n/a')
    """
    return "n/a" if value is None or math.isnan(value) else f"{100 * value:.1f}"


def show_counts(summary: Counts, account: Account, *, source: Path) -> None:
    """Print the number of images per class with bars, how the data were read, and the next command."""
    console = _console()
    counts = summary["class_counts"]
    table = Table()
    table.add_column("class")
    table.add_column("images", justify="right")
    table.add_column("")
    most, bins = max(counts.values()), shot_bins(np.array(list(counts.values())))
    for (name, number), is_many, is_few in zip(counts.items(), bins.many, bins.few, strict=True):
        style = "green" if is_many else "red" if is_few else "yellow"
        table.add_row(escape(name), f"{number:,}", Bar(number / most, style))
    console.print(table)
    by_attribute = summary.get("group_counts_by_attribute") or {}
    combined = "class x " + (" & ".join(by_attribute) or "attribute")
    for title, groups in {
        **{f"class x {name}": groups for name, groups in by_attribute.items()},
        combined: summary["group_counts"],
    }.items():
        _show_groups(title, groups)
    console.print(
        f"{counted(summary['num_images'], 'image')} in "
        f"{counted(len(counts), 'class')}{_balance(summary['imbalance_factor'])}. "
        f"[green]many[/] (> 100): {summary['many']}, [yellow]medium[/] (20-100): {summary['medium']}, "
        f"[red]few[/] (< 20): {counted(summary['few'], 'class')}."
    )
    if unknown := summary.get("num_without_attribute"):
        console.print(
            f"{counted(unknown, 'image')} "
            f"{agreeing(unknown, 'has', 'have')} no attribute, so {agreeing(unknown, 'it is', 'they are')} in no group."
        )
    show_reading(account)
    console.print(f"Next: [bold]synaug run {escape(shell_word(source))} --dry-run[/]", soft_wrap=True)


def _show_groups(title: str, counts: Mapping[str, int]) -> None:
    if counts:
        table = Table()
        table.add_column(escape(title))
        table.add_column("images", justify="right")
        for name, number in counts.items():
            table.add_row(escape(name), f"{number:,}")
        _console().print(table)


def show_reading(account: Account) -> None:
    """Print how data were read: the layout, skipped files with reasons, and notes."""
    console = _console()
    if account["layout"]:
        splits = ", ".join(f"{name} {number:,}" for name, number in account["splits"].items())
        console.print(escape(f"Read as {account['layout']}: {splits}."), soft_wrap=True)
    if account["synthetic"]:
        console.print(f"{sum(account['synthetic'].values()):,} synthetic images are counted apart.")
    if account["left_out"]:
        console.print("[yellow]Not read:[/]")
        for sentence in left_out_sentences(account["left_out"])[:_LINES]:
            console.print(f"  {escape(sentence)}", soft_wrap=True)
        if len(account["left_out"]) > _LINES:
            console.print(f"  and {len(account['left_out']) - _LINES} more kinds; --json lists all.")
    for note in account["notes"]:
        console.print(f"[yellow]Note:[/] {escape(note)}", soft_wrap=True)


def _balance(factor: float | None) -> str:
    """Return how unlike the sizes of the classes are.

    >>> _balance(1.0), _balance(2.5)
    (' of equal size', '; the largest is 2.5 times the smallest')
    """
    return " of equal size" if factor == 1 else f"; the largest is {_factor(factor)} times the smallest"


def _factor(value: float | None) -> str:
    return "n/a" if value is None or math.isnan(value) else f"{value:.3g}"


def show_plan(plan: PlanSummary, out: Path | None) -> None:
    """Print the images to generate, their prompts and their cost."""
    console = _console()
    table = Table()
    table.add_column("class" if plan["by"] == "class" else "group")
    table.add_column("there", justify="right")
    table.add_column("to make", justify="right")
    table.add_column("prompts")
    for name, number in plan["num_to_generate"].items():
        samples = "; ".join(plan["prompts"].get(name, [])[:2]) or f"({_called(plan, name)})"
        table.add_row(escape(name), f"{plan['have'][name]:,}", f"{number:,}", f"[dim]{escape(samples)}[/]")
    console.print(table)
    console.print(
        f"There: images to train on; {plan['test_images']:,} more are for testing. "
        + (
            f"Prompts: those of {escape(prompts)}."
            if (prompts := plan.get("prompts_file"))
            else "Use --aliases to change the class names in prompts."
        )
    )
    if lacking := plan.get("cannot_judge"):
        names = ", ".join(
            f"{name} ({number:,} {'image' if number == 1 else 'images'})" for name, number in lacking.items()
        )
        console.print(f"[yellow]Cannot judge[/] {escape(names)}: the off-class check has too few real images.")
        if plan["scorer"] == "classifier":
            console.print("A pretrained judge needs fewer images: quality.scorer: pretrained or clip in the recipe.")
    show_reading(plan["data"])
    if plan["model_note"]:
        console.print(f"[yellow]Note:[/] {escape(plan['model_note'])}")
    for warning in [*plan["doubtful_names"], *plan.get("long_prompts", [])]:
        console.print(f"[yellow]Note:[/] {escape(warning)}")
    estimate = plan["estimate"]
    is_service = plan["cost"] is not None
    if estimate["seconds"] is not None:
        time = f"about {duration(estimate['seconds'])} on this machine ({_speed(estimate)})"
    else:
        time = f"time {'set by the service' if is_service else 'unknown; measure it with: synaug plan --measure'}"
    license = plan["license"] or (
        "see the terms of the service" if is_service else "unknown until the model is available"
    )
    megabytes = estimate["disk_bytes"] / 1e6
    disk = f"about {megabytes:,.1f} MB" if megabytes >= 0.1 else "less than 0.1 MB"
    console.print(
        f"{counted(estimate['images'], 'image')} by the model {escape(plan['model'])} (license: {escape(license)}); "
        f"{disk} on disk; {time}."
    )
    if (cost := plan["cost"]) is not None:
        sentence = service_cost(cost, estimate["images"], price=plan["price"], budget=plan["max_cost"])
        console.print(f"{sentence} Rejected images cost as much as accepted ones." if plan["price"] else sentence)
    if "methods" in plan:
        for sentence in training_sentences(cast("RunPreview", plan)):
            console.print(sentence, soft_wrap=True)
    if out is None:
        console.print("Nothing was written: --dry-run.")
    else:
        console.print(f"Next: [bold]synaug generate {escape(shell_word(out))}[/]", soft_wrap=True)


def _speed(estimate: Speed) -> str:
    """Return images per second and, on a GPU, its hours.

    >>> _speed({"images_per_second": 12.0, "gpu_hours": 0.004}), _speed({"images_per_second": None, "gpu_hours": None})
    ('12.0 images per second, less than 0.01 GPU hours', 'nothing to make')
    """
    rate, hours = estimate["images_per_second"], estimate["gpu_hours"]
    if rate is None:
        return "nothing to make"
    shown = "" if hours is None else f", {hours:,.2f} GPU hours" if hours >= 0.01 else ", less than 0.01 GPU hours"
    return f"{rate:,.1f} images per second{shown}"


def _called(plan: PlanSummary, name: str) -> str:
    return str((plan.get("called") or {}).get(name, name))


def show_synthesis(content: dict[str, Any]) -> None:
    """Print the numbers of accepted and rejected images."""
    console = _console()
    rate = content["accepted"] / content["seconds"] if content["seconds"] else math.nan
    console.print(
        f"{content['accepted']:,} of {counted(content['requested'], 'image')} accepted"
        + ("" if math.isnan(rate) else f" in {content['seconds']:.0f} s ({rate:.1f} a second)")
        + "."
    )
    for reason, number in content["rejected"].items():
        console.print(f"  rejected, {reason.replace('_', '-')}: {number:,}")


def show_methods(descriptions: dict[str, str], *, usual: Sequence[str]) -> None:
    """Print one row per method, name and description; then the default methods and how to select others."""
    table = Table(show_header=False)
    table.add_column()
    table.add_column()
    for name, description in descriptions.items():
        table.add_row(escape(name), escape(description))
    _console().print(table)
    _console().print(f"\nWithout --methods: {', '.join(usual)}.")
    _console().print("Others beside them: [bold]synaug train RUN --methods focal,synaug_focal[/]")


def show_datasets(rows: Sequence[KnownDataset]) -> None:
    """Print one paragraph per data set."""
    console = _console()
    for row in rows:
        images = ", ".join(f"{number:,} {split}" for split, number in row["images"].items())
        console.print(f"[bold]{escape(row['name'])}[/]  {escape(row['problem'])}; {images}")
        for what in ("source", "license", "data"):
            console.print(Padding(f"{what}: {escape(row[what])}", (0, 0, 0, 4)))
    console.print("Check one with: synaug count DATA --benchmark NAME")


def show_check(content: Check, run: Path, *, taken_out: bool) -> None:
    """Print the number of images that fail the gates, by reason and class, and what to do about them."""
    console = _console()
    failed = sum(content["rejected"].values())
    console.print(f"{counted(content['checked'], 'image')} checked, {failed:,} {agreeing(failed, 'fails', 'fail')}.")
    for reason, number in content["rejected"].items():
        hit = {name: counts[reason] for name, counts in content["rejected_by_class"].items() if reason in counts}
        where = ", ".join(f"{escape(name)} {count:,}" for name, count in sorted(hit.items(), key=lambda item: -item[1]))
        console.print(f"  {reason.replace('_', '-')}: {number:,} ({where})")
    if failed and taken_out:
        console.print(
            f"They have been removed. Next: [bold]synaug generate {escape(shell_word(run))}[/]", soft_wrap=True
        )
    elif failed:
        console.print(f"To remove them: [bold]synaug check {escape(shell_word(run))} --reject[/]", soft_wrap=True)


def show_review(content: ReviewFiles, run: Path) -> None:
    """Print the locations of the contact sheets and the table, and the next steps."""
    console = _console()
    console.print(f"{counted(content['shown'], 'image')} in {counted(len(content['sheets']), 'contact sheet')}. Open:")
    console.print(f"  [bold]{escape(content['page'])}[/]", soft_wrap=True)
    console.print("Enter accept or reject, and optionally a note, in the rows of:")
    console.print(f"  [bold]{escape(content['decisions'])}[/]", soft_wrap=True)
    if content["pending"]:
        console.print(
            f"{counted(content['pending'], 'decision')} in it "
            f"{agreeing(content['pending'], 'has', 'have')} not been applied yet."
        )
    console.print(f"Next: [bold]synaug review {escape(shell_word(run))} --apply[/]", soft_wrap=True)


def show_applied(content: Applied, run: Path) -> None:
    """Print the effect of manual review decisions."""
    console = _console()
    rows = content["rows"]
    console.print(
        f"{counted(rows['read'], 'row')} read, {rows['decided']:,} with a decision; {rows['applied']:,} applied now, "
        f"{rows['decided'] - rows['applied']:,} were already in force, {rows['unknown']:,} name an unknown image."
    )
    console.print(f"New: {content['accepted']:,} accepted, {content['rejected']:,} rejected.")
    total = content["review"]
    console.print(
        f"In all, a person accepted {counted(total['accepted'], 'image')} and rejected {total['rejected']:,}."
    )
    if content["to_make"]:
        console.print(
            f"{counted(content['to_make'], 'image')} "
            f"{agreeing(content['to_make'], 'has', 'have')} to be generated again."
        )
        console.print(f"Next: [bold]synaug generate {escape(shell_word(run))}[/]", soft_wrap=True)


def show_results(results: Sequence[Result]) -> None:
    """Print one row per method: mean and, over several seeds, standard deviation."""
    from synaug.report import results_table, shown_columns

    rows = results_table(results)
    columns = shown_columns(rows)
    table = Table()
    table.add_column("method")
    for name in columns:
        table.add_column(name.replace("_", " "), justify="right")
    for row in rows:
        cells = [f"[bold]{row.text(name)}[/]" if name in row.best else row.text(name) for name in columns]
        table.add_row(escape(row.method), *cells)
    _console().print(table)
    sizes = [name for name in columns if name in _SIZES]
    meaning = " / ".join(_SIZES[name] for name in sizes)
    by_size = f"; {' / '.join(sizes)}: classes with {meaning} training images" if sizes else ""
    _console().print(f"[dim]Percent of the real test images recognized{by_size}.[/]")


def wrapped(text: str, width: int) -> str:
    """Return the text wrapped to ``width`` characters, keeping percent signs with their numbers.

    >>> print(wrapped("accuracy fell from 97.0 % to 75.8 %", 23))
    accuracy fell from
    97.0 % to 75.8 %
    """
    joined = textwrap.fill(text.replace(" %", "\0%"), width, break_long_words=False, break_on_hyphens=False)
    return joined.replace("\0", " ")


def show_alarms(report: Report) -> None:
    """Print the sentences that must be read before anything else."""
    alarms = _sentences(report, are_alarms=True)
    _print_sentences(alarms, style="bold red")
    if alarms:
        _console().print()


def show_summary(report: Report, page: Path) -> None:
    """Print the report's summary, except its alarms, and the location of the page."""
    console = _console()
    console.print()
    _print_sentences(_sentences(report, are_alarms=False))
    for warning in report["warnings"]:
        console.print(f"[yellow]Note:[/] {escape(warning)}")
    console.print(f"\nReport: [bold]{escape(str(page))}[/]")
    show_usage(report.get("usage") or [])


def _sentences(report: Report, *, are_alarms: bool) -> list[str]:
    from synaug.report import ALARM, summary

    return [sentence for sentence in summary(report) if sentence.startswith(ALARM) == are_alarms]


def _print_sentences(sentences: Sequence[str], *, style: str = "") -> None:
    console = _console()
    for sentence in sentences:
        for line in wrapped(sentence, console.width).split("\n"):  # ``escape`` would show the line breaks
            console.print(f"[{style}]{escape(line)}[/]" if style else escape(line))


def show_predictions(table: pd.DataFrame, *, out: Path | None, classifier: str) -> None:
    """Print one row per image with its classes, or the number per class if the rows are in the file ``out``."""
    console = _console()
    if out is None:
        shown = Table(show_header=False)
        shown.add_column()
        endings = [name.removeprefix("prediction") for name in table.columns if name.startswith("prediction")]
        for row in table.to_dict("records"):
            cells = [(row[f"prediction{ending}"], f"{percent(row[f'probability{ending}'])} %") for ending in endings]
            shown.add_row(escape(row["image"]), *(escape(cell) for pair in cells for cell in pair))
        console.print(shown)
    else:
        counts = ", ".join(
            f"{escape(str(name))} {number:,}" for name, number in table["prediction"].value_counts().items()
        )
        console.print(f"{len(table):,} {'image' if len(table) == 1 else 'images'}: {counts}.")
        console.print(f"Predictions: [bold]{escape(str(out))}[/]", soft_wrap=True)
        if "label" in table:
            console.print(f"Score them: [bold]synaug evaluate {escape(shell_word(out))}[/]", soft_wrap=True)
    if classifier:
        console.print(f"[dim]Classifier: {escape(classifier)}[/]")


def show_usage(lines: Sequence[str]) -> None:
    """Print how to use a classifier; see ``usage_lines``."""
    console = _console()
    console.print("\nUse it:")
    for line in lines:
        console.print(f"  [bold]{escape(line)}[/]", soft_wrap=True)


def show_status(content: Status, run: Path) -> None:
    """Print the progress of a run, the processes working on it, and how to resume if there are none."""
    images = content["images"]
    rows = {
        "stage": content["stage"],
        "images": f"{images['accepted']:,} of {images['planned']:,} accepted, {images['rejected']:,} rejected",
        "model": content["model"],
    }
    if not math.isnan(images["per_second"]):
        left = "" if not images["seconds_left"] else f", {duration(images['seconds_left'])} left"
        made = "images per second" if left or content["stage"] == "generate" else "images per second, during generation"
        rows["rate"] = f"{images['per_second']:.1f} {made}{left}"
    if training := content["training"]:
        told = [training["method"], f"seed {training['seed']}", f"{training['done']:,} of {training['steps']:,} steps"]
        if not math.isnan(training["per_second"]):
            told += [f"{training['per_second']:.1f} a second", f"{duration(training['seconds_left'])} left"]
        rows["training"] = ", ".join(told)
    results = ", ".join(f"{name} {value:.1%}" for name, value in content["results"].items()) or "none yet"
    seeds = content["seeds"]
    rows["seeds" if len(seeds) > 1 else "seed"] = ", ".join(map(str, seeds))
    rows[f"results of seed {seeds[0]}" if len(seeds) > 1 else "results"] = results
    rows["report"] = content["report"] or "not yet"
    held: dict[int, list[str]] = {}
    for name, number in content["held_by"].items():
        held.setdefault(number, []).append(name)
    rows["in use by"] = ", ".join(f"process {n} ({', '.join(names)})" for n, names in held.items()) or "nobody"
    show_facts(rows)
    if not held and content["stage"] != "done":
        command = {"generate": "generate", "train": "retrain", "report": "report"}[content["stage"]]
        _console().print(
            f"To resume: the original command, or [bold]synaug {command} {escape(shell_word(run))}[/]", soft_wrap=True
        )


def show_facts(facts: Mapping[str, object], *, title: str = "") -> None:
    """Print one line per fact: name and value."""
    console = _console()
    if title:
        console.print(f"[bold]{escape(title)}[/]")
    table = Table(show_header=False)
    table.add_column(style="dim")
    table.add_column()
    for name, value in facts.items():
        table.add_row(name.replace("_", " "), escape(_fact(value)))
    console.print(table)


def _fact(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_fact(item)}" for name, item in value.items())
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return f"{value:,}" if isinstance(value, int) else str(value)


def show_grid(rows: Sequence[dict[str, Any]]) -> None:
    """Print the progress of each run directory of a grid."""
    table = Table()
    for name in ("run directory", "images", "planned", "results", "wanted"):
        table.add_column(name, justify="left" if name == "run directory" else "right")
    for row in rows:
        planned = "n/a" if row["planned"] is None else f"{row['planned']:,}"
        table.add_row(escape(row["folder"]), f"{row['images']:,}", planned, str(row["results"]), str(row["wanted"]))
    _console().print(table)
