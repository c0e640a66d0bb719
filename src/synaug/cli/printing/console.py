"""Print the progress of a run: its plan, its images, their review, its status."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from synaug.cli.printing.costs import service_cost
from synaug.cli.printing.data_tables import show_reading
from synaug.cli.printing.terminal import Console, Table, escape
from synaug.cli.printing.training_preview import training_sentences
from synaug.runtime import agreeing, counted, duration
from synaug.runtime.security import shell_word
from synaug.schemas.command_output import Applied, Check, PlanSummary, ReviewFiles, RunPreview, Speed, Status


def show_plan(plan: PlanSummary, out: Path | None) -> None:
    """Print the images to generate, their prompts and their cost."""
    console = Console()
    to_make = plan["estimate"]["images"]
    table = Table()
    table.add_column("class" if plan["by"] == "class" else "group")
    table.add_column("real", justify="right")
    table.add_column("to generate", justify="right")
    if to_make:
        table.add_column("prompts")
    for name, number in plan["num_to_generate"].items():
        samples = "; ".join(plan["prompts"].get(name, [])[:2]) or f"({_called(plan, name)})"
        row = [escape(name), f"{plan['have'][name]:,}", f"{number:,}", f"[dim]{escape(samples)}[/]"]
        table.add_row(*row[: len(table.columns)])
    console.print(table)
    told = ""
    if to_make:
        told = "Use --aliases to change the class names in prompts."
        if prompts := plan.get("prompts_file"):
            told = f"The prompts come from {escape(prompts)}."
    console.print(
        f"Real training images are counted; {counted(plan['test_images'], 'more image')} "
        f"{agreeing(plan['test_images'], 'is', 'are')} held out for testing. {told}".rstrip()
    )
    if to_make:
        _show_synthesis_ahead(console, plan)
    else:
        show_reading(plan["data"])
        console.print("No synthetic images will be generated.")
    if "methods" in plan:
        for sentence in training_sentences(cast("RunPreview", plan)):
            console.print(sentence, soft_wrap=True)
    if out is None:
        console.print("Nothing was written: --dry-run.")
    else:
        following = "generate" if to_make else "train"
        console.print(f"Next: [bold]synaug {following} {escape(shell_word(out))}[/]", soft_wrap=True)


def _show_synthesis_ahead(console: Console, plan: PlanSummary) -> None:
    """Print what is known about the synthetic images of a plan before they exist: judge, notes, time, disk and cost."""
    if lacking := plan.get("cannot_judge"):
        names = ", ".join(
            f"{name} ({number:,} {'image' if number == 1 else 'images'})" for name, number in lacking.items()
        )
        console.print(f"[yellow]Cannot judge[/] {escape(names)}: the off-class check has too few real images.")
        if plan["scorer"] == "classifier":
            console.print("A pretrained judge needs fewer images: quality.scorer: pretrained or clip in the recipe.")
    show_reading(plan["data"])
    for note in filter(None, (plan["model_note"], plan["amount_note"])):
        console.print(f"[yellow]Note:[/] {escape(note)}")
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


def _speed(estimate: Speed) -> str:
    """Return images per second and, on a GPU, its hours.

    >>> _speed({"images_per_second": 12.0, "gpu_hours": 0.004}), _speed({"images_per_second": None, "gpu_hours": None})
    ('12.0 images per second, less than 0.01 GPU hours', 'nothing to generate')
    """
    rate, hours = estimate["images_per_second"], estimate["gpu_hours"]
    if rate is None:
        return "nothing to generate"
    shown = "" if hours is None else f", {hours:,.2f} GPU hours" if hours >= 0.01 else ", less than 0.01 GPU hours"
    return f"{rate:,.1f} images per second{shown}"


def _called(plan: PlanSummary, name: str) -> str:
    return str((plan.get("called") or {}).get(name, name))


def show_synthesis(content: dict[str, Any]) -> None:
    """Print the numbers of accepted and rejected images."""
    console = Console()
    rate = content["accepted"] / content["seconds"] if content["seconds"] else math.nan
    console.print(
        f"{content['accepted']:,} of {counted(content['requested'], 'image')} accepted"
        + ("" if math.isnan(rate) else f" in {content['seconds']:.0f} s ({rate:.1f} per second)")
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
    Console().print(table)
    Console().print(f"\nWithout --methods: {', '.join(usual)}.")
    Console().print("To add others: [bold]synaug train RUN --methods focal,synaug_focal[/]")


def show_check(content: Check, run: Path, *, taken_out: bool) -> None:
    """Print the number of images that fail the gates, by reason and class, and the next command."""
    console = Console()
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
    console = Console()
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
    console = Console()
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


def show_status(content: Status, run: Path) -> None:
    """Print the progress of a run, the processes working on it, and how to resume if there are none."""
    images = content["images"]
    rows = {
        "stage": content["stage"],
        "images": f"{images['accepted']:,} of {images['planned']:,} accepted, {images['rejected']:,} rejected",
        "model": content["model"],
    }
    if not images["planned"]:
        rows = {"stage": content["stage"], "images": "no synthetic images planned"}
    if not math.isnan(images["per_second"]):
        left = "" if not images["seconds_left"] else f", {duration(images['seconds_left'])} left"
        unit = "images per second" if left or content["stage"] == "generate" else "images per second, during generation"
        rows["rate"] = f"{images['per_second']:.1f} {unit}{left}"
    if training := content["training"]:
        parts = [training["method"], f"seed {training['seed']}", f"{training['done']:,} of {training['steps']:,} steps"]
        if not math.isnan(training["per_second"]):
            parts += [f"{training['per_second']:.1f} per second", f"{duration(training['seconds_left'])} left"]
        rows["training"] = ", ".join(parts)
    results = ", ".join(f"{name} {value:.1%}" for name, value in content["results"].items()) or "none yet"
    seeds = content["seeds"]
    rows["seeds" if len(seeds) > 1 else "seed"] = ", ".join(map(str, seeds))
    rows[f"results of seed {seeds[0]}" if len(seeds) > 1 else "results"] = results
    rows["report"] = content["report"] or "not yet"
    held: dict[int, list[str]] = {}
    for name, number in content["held_by"].items():
        held.setdefault(number, []).append(name)
    rows["in use by"] = ", ".join(f"process {n} ({', '.join(names)})" for n, names in held.items()) or "no process"
    show_facts(rows)
    if not held and content["stage"] != "done":
        command = {"generate": "generate", "train": "retrain", "report": "report"}[content["stage"]]
        Console().print(
            f"To resume: the original command, or [bold]synaug {command} {escape(shell_word(run))}[/]", soft_wrap=True
        )


def show_facts(facts: Mapping[str, object], *, title: str = "") -> None:
    """Print one line per fact: name and value."""
    console = Console()
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
    Console().print(table)
