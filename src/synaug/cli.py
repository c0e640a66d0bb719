"""The command line: thin commands.  What is heavy is imported inside them, so that ``--help`` is quick."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from synaug.errors import DataError, OptionError, SynaugError

if TYPE_CHECKING:
    from synaug.config import Recipe
    from synaug.progress import Progress

INTERRUPTED = "Interrupted. What was finished is saved; run the same command again to go on."
KEYBOARD_INTERRUPT = 130  # what typer makes of the second Ctrl-C

app = typer.Typer(
    name="synaug",
    help="Even out imbalanced image classification sets with synthetic images, and prove what it did.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    epilog="First look: [bold]synaug demo --out runs/demo[/bold]    "
    "Your images: [bold]synaug run FOLDER --out runs/mine[/bold]",
)

Data = Annotated[
    Path,
    typer.Argument(metavar="DATA", help="Folder with a folder per class, or a CSV / Parquet / JSONL table."),
]
Run = Annotated[Path, typer.Argument(metavar="RUN", help="A run folder, made by 'synaug plan' or 'synaug run'.")]
Out = Annotated[Path, typer.Option("--out", help="Run folder to make, or to go on with.")]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
Label = Annotated[str | None, typer.Option(help="Label column of a table.")]
Attribute = Annotated[str | None, typer.Option(help="Attribute column of a table.")]
SplitColumn = Annotated[str | None, typer.Option("--split-column", help="Split column of a table.")]
RecipeFile = Annotated[
    Path | None, typer.Option("--recipe", help="YAML file with options; what is given here goes first.")
]
Model = Annotated[
    str | None,
    typer.Option(help="'embedded', a diffusers folder, or a Hub id (ID@REVISION). [default: Stable Diffusion 1.5]"),
]
Seed = Annotated[int | None, typer.Option(min=0, help="Decides all that is drawn. [default: 0]")]
By = Annotated[str | None, typer.Option(help="Fill up by 'class' or by 'group' (class x attribute). [default: class]")]
Target = Annotated[
    str | None,
    typer.Option(help="'uniform', a number of images, or a share of the largest. [default: uniform]"),
]
Methods = Annotated[
    str | None,
    typer.Option(help="Comma-separated methods to train; see 'synaug methods'. [default: the report's five]"),
]


def main() -> NoReturn:
    """Run the command line; errors become one paragraph on stderr and the exit code of their kind."""
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("DIFFUSERS_VERBOSITY", "error")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    try:
        app(standalone_mode=True)
    except SystemExit as ended:
        if ended.code == KEYBOARD_INTERRUPT:
            fail(INTERRUPTED, 75)
        raise
    except SynaugError as error:
        fail(str(error), error.exit_code)
    except KeyboardInterrupt:
        fail(INTERRUPTED, 75)
    except OSError as error:  # what was read; storage names what was written
        place = f": {error.filename}" if error.filename else ""
        fail(f"{error.strerror or error}{place}. Mend it and run the same command again.", 5)
    except MemoryError:
        fail("Out of memory. Use fewer or smaller images at once: train.stage1.batch_size, train.image_size.", 5)
    except Exception:
        traceback.print_exc()
        fail("This is a bug of synaug. Please report it with the lines above.", 1)
    sys.exit(0)


def fail(message: str, code: int) -> NoReturn:
    """Print the message to stderr and end the process."""
    print(f"synaug: {message}", file=sys.stderr)
    sys.exit(code)


# ---------------------------------------------------------------- commands


@app.command()
def demo(
    out: Out,
    seed: Seed = None,
    as_json: Json = False,
) -> None:
    """Do everything on the embedded data with the embedded generator: a few minutes, no download.

    Example:  synaug demo --out runs/demo
    """
    from synaug import experiment
    from synaug.config import read_recipe, with_overrides
    from synaug.embedded import demo_data, demo_recipe

    recipe = with_overrides(read_recipe(demo_recipe()), {"seed": seed, "plan.seed": seed})
    with session() as progress:
        report = experiment.run(
            demo_data(),
            out,
            recipe,
            command=typed_command(),
            source_name="Fashion-MNIST, long-tailed, as it ships with synaug",
            progress=progress,
        )
    show_report(report, out, as_json=as_json)
    experiment.check_complete(out)


@app.command()
def count(
    data: Data,
    label: Label = None,
    attribute: Attribute = None,
    split: Annotated[str | None, typer.Option(help="Count this split only. [default: train]")] = None,
    split_column: SplitColumn = None,
    recipe: RecipeFile = None,
    as_json: Json = False,
) -> None:
    """Count images per class and group, and say how imbalanced the set is.

    Example:  synaug count photos/
    """
    from synaug.data import groups, readers

    options = options_of(recipe, {"data.label": label, "data.attribute": attribute, "data.split": split_column})
    with session() as progress:
        manifest = readers.read_data(data, options.data, progress=progress)
    if split and split not in set(manifest.frame["split"]):
        raise OptionError(f"No split {split!r} in {data}; there are {', '.join(sorted(set(manifest.frame['split'])))}.")
    summary = groups.summary(manifest.split(split or "train"))
    if as_json:
        print_json(summary)
    else:
        from synaug import console

        console.show_counts(summary, quarantined=manifest.quarantined)


@app.command()
def plan(
    data: Data,
    out: Out,
    by: By = None,
    target: Target = None,
    cap: Annotated[int | None, typer.Option(min=0, help="At most so many synthetic images a class or group.")] = None,
    variant: Annotated[str | None, typer.Option(help="text, intra, inter or fitted. [default: text]")] = None,
    model: Model = None,
    label: Label = None,
    attribute: Attribute = None,
    split_column: SplitColumn = None,
    recipe: RecipeFile = None,
    seed: Seed = None,
    measure: Annotated[
        bool, typer.Option("--measure", help="Load the model, time a batch, and say how long all takes.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Decide how many images each class or group lacks, and show prompts, disk and time before anything is made.

    Example:  synaug plan photos/ --out runs/photos --model embedded
    """
    from synaug import experiment, reporting, storage
    from synaug.synthesis import plan as planning

    options = options_of(
        recipe,
        {
            "data.label": label, "data.attribute": attribute, "data.split": split_column,
            "plan.by": by, "plan.target": number_or_name(target), "plan.cap": cap, "plan.variant": variant,
            "plan.model": model, "plan.seed": seed, "seed": seed,
        },
    )  # fmt: skip
    with session() as progress:
        experiment.check_recipe(options)
        manifest = experiment.load_data(data, options, progress=progress)
        made = experiment.drafted_plan(manifest, options)
        with storage.lock(out):
            experiment.write_run(manifest, made, out, options, source=str(data))
        rate = experiment.seconds_per_image(out, progress=progress) if measure else None
    summary = reporting.plan_section(made) | {"estimate": planning.estimate(made, rate)}
    if as_json:
        print_json(summary)
    else:
        from synaug import console

        console.show_plan(summary, out)


@app.command()
def generate(
    run: Run,
    model: Model = None,
    shard: Annotated[
        str, typer.Option(metavar="i/n", help="Make only part i of n (1 to n); 'auto': as the cluster's job says.")
    ] = "1/1",
    shards: Annotated[
        int | None, typer.Option(min=1, help="n for --shard auto, where the cluster does not tell.")
    ] = None,
    engine: Annotated[str, typer.Option(help="local.")] = "local",
    as_json: Json = False,
) -> None:
    """Make the planned images, check each, and keep what passes; repeat the command to go on.

    Example:  synaug generate runs/photos
    """
    from synaug import experiment
    from synaug.runs import change_model
    from synaug.synthesis.shards import shard_named

    if engine != "local":
        raise OptionError(f"Unknown engine {engine!r}. Known: local.")
    part = shard_named(shard, shards=shards)
    with session() as progress:
        if model is not None:
            change_model(run, model)
        result = experiment.generate(run, shard=part, progress=progress)
    content = {
        "requested": result.requested,
        "accepted": result.accepted,
        "missing": result.missing,
        "rejected": result.rejected,
        "seconds": result.seconds,
    }
    if as_json:
        print_json(content)
    else:
        from synaug import console

        console.show_synthesis(content)
    experiment.check_complete(run, result)


@app.command()
def check(
    run: Run,
    gates: Annotated[str | None, typer.Option(help="Comma-separated gates. [default: those of the run]")] = None,
    reject: Annotated[
        bool, typer.Option("--reject", help="Take what fails out of the run; 'synaug generate' makes it again.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Ask the gates again about the images that are there, and count what fails; changes nothing by itself.

    Example:  synaug check runs/photos
    """
    from synaug import experiment

    names = None if gates is None else gates.split(",")
    with session() as progress:
        content = experiment.check(run, gates=names, reject=reject, progress=progress)
    if as_json:
        print_json(content)
    else:
        from synaug import console

        console.show_check(content)


@app.command()
def review(
    run: Run,
    apply: Annotated[
        bool, typer.Option("--apply", help="Follow what the table says, once you have filled it in.")
    ] = False,
    per_class: Annotated[int, typer.Option(min=1, help="Accepted images to show of each class.")] = 200,
    as_json: Json = False,
) -> None:
    """Write a contact sheet a class and a table to accept or reject images in; with --apply, follow that table.

    A rejected image is made again by 'synaug generate'; an accepted one counts whatever the checks said.

    Example:  synaug review runs/photos

    Example:  synaug review runs/photos --apply
    """
    from synaug import reviewing

    with session() as progress:
        content = reviewing.apply(run) if apply else reviewing.review(run, per_class=per_class, progress=progress)
    if as_json:
        print_json(content)
    else:
        from synaug import console

        show = console.show_applied if apply else console.show_review
        show(content, run)


@app.command()
def train(run: Run, methods: Methods = None, as_json: Json = False) -> None:
    """Train the methods of stage 1 that have no result yet: on the real images, and on the evened-out set.

    Methods that are named are trained whole, their last layer too. Several processes train together when
    started by 'accelerate launch -m synaug train RUN'.

    Example:  synaug train runs/photos
    """
    _train(run, methods, retrain=False, as_json=as_json)


@app.command()
def retrain(run: Run, methods: Methods = None, as_json: Json = False) -> None:
    """Retrain the last layers on balanced real images (stage 2), training stage 1 first where it is missing.

    Example:  synaug retrain runs/photos
    """
    _train(run, methods, retrain=True, as_json=as_json)


def _train(run: Path, methods: str | None, *, retrain: bool, as_json: bool) -> None:
    from synaug import console, experiment, storage
    from synaug.training.parallel import is_first_process

    first = is_first_process()
    with session() as progress, storage.lock(run) if first else contextlib.nullcontext():
        results = experiment.train(run, methods=names_of(methods), retrain=retrain or bool(methods), progress=progress)
    if not first:
        return
    if as_json:
        print_json(results)
    else:
        console.show_results({"results": results})


@app.command("methods")
def list_methods(as_json: Json = False) -> None:
    """List the methods that --methods takes, and what each does.

    Example:  synaug methods
    """
    from synaug.methods import METHODS

    descriptions = {name: method.description for name, method in METHODS.items()}
    if as_json:
        print_json(descriptions)
    else:
        from synaug import console

        console.show_methods(descriptions)


@app.command()
def report(run: Run, as_json: Json = False) -> None:
    """Write report.json and report.html from what the run folder holds.

    Example:  synaug report runs/photos
    """
    from synaug.reporting import report as write_report

    show_report(write_report(run), run, as_json=as_json)


@app.command("run")
def run_all(
    data: Data,
    out: Out,
    by: By = None,
    target: Target = None,
    model: Model = None,
    label: Label = None,
    attribute: Attribute = None,
    split_column: SplitColumn = None,
    recipe: RecipeFile = None,
    methods: Methods = None,
    seed: Seed = None,
    as_json: Json = False,
) -> None:
    """Count, plan, generate, check, train, retrain, evaluate and report, in one folder that can be gone on with.

    Example:  synaug run photos/ --out runs/photos --model embedded
    """
    from synaug import experiment

    options = options_of(
        recipe,
        {
            "data.label": label, "data.attribute": attribute, "data.split": split_column,
            "plan.by": by, "plan.target": number_or_name(target), "plan.model": model,
            "plan.seed": seed, "seed": seed,
        },
    )  # fmt: skip
    with session() as progress:
        made = experiment.run(data, out, options, methods=names_of(methods), command=typed_command(), progress=progress)
    show_report(made, out, as_json=as_json)
    experiment.check_complete(out)


@app.command()
def evaluate(
    predictions: Annotated[
        Path, typer.Argument(metavar="PREDICTIONS.csv", help="Columns: label, prediction, any attributes.")
    ],
    attribute: Annotated[list[str] | None, typer.Option(help="Attribute column; may be given again.")] = None,
    as_json: Json = False,
) -> None:
    """Score anyone's predictions: accuracy, recall of each class, and fairness between attribute values.

    Example:  synaug evaluate runs/photos/predictions.csv --attribute gender
    """
    from synaug.evaluation.predictions import evaluate_predictions, read_predictions

    scores = evaluate_predictions(read_predictions(predictions), attributes=attribute or [])
    if as_json:
        print_json(scores)
    else:
        from synaug import console

        console.show_scores(scores)


@app.command()
def export(
    run: Run,
    out: Annotated[Path, typer.Option("--out", help="New folder for the data set or the classifier.")],
    classifier: Annotated[
        str | None, typer.Option(metavar="METHOD", help="Write the classifier of this method in the data set's place.")
    ] = None,
    licence: Annotated[
        str | None, typer.Option("--license", help="For the card, as the Hub spells it. [default: unknown]")
    ] = None,
    push_to_hub: Annotated[
        str | None, typer.Option(metavar="USER/NAME", help="Then upload the folder to the Hugging Face Hub.")
    ] = None,
    private: Annotated[bool, typer.Option("--private", help="Make the repository private.")] = False,
) -> None:
    """Write the evened-out set as a tree that torchvision's ImageFolder and datasets.load_dataset load alike.

    With --classifier, write a trained network with its model card. Nothing is uploaded without --push-to-hub.

    Example:  synaug export runs/photos --out photos-evened-out

    Example:  synaug export runs/photos --classifier synaug --out photos-classifier
    """
    from synaug import experiment
    from synaug.data.hub import checked_token, push_folder
    from synaug.publishing import export_classifier

    if private and push_to_hub is None:
        raise OptionError("--private is about a repository of the Hub: name it with --push-to-hub USER/NAME.")
    if push_to_hub is not None:
        checked_token(push_to_hub)  # before the work, not after it
    with session() as progress:
        if classifier is None:
            experiment.export(run, out, licence=licence, progress=progress)
            print(f"{out}: written. Check it any time with: synaug verify {out}")
        else:
            export_classifier(run, out, method=classifier, licence=licence or "unknown")
            print(f"{out}: written. Load it with: synaug.load_classifier({str(out)!r})")
        if push_to_hub is not None:
            print(push_folder(out, push_to_hub, kind="dataset" if classifier is None else "model", private=private))


@app.command()
def verify(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A folder that 'synaug export' wrote.")],
    as_json: Json = False,
) -> None:
    """Recompute the digests of an exported set, load it with both libraries, and name what is wrong.

    Example:  synaug verify photos-evened-out
    """
    from synaug.data.verification import verify_dataset

    with session() as progress:
        problems = verify_dataset(folder, progress=progress)
    if as_json:
        print_json({"problems": problems})
    else:
        print("\n".join(problems) or f"{folder}: nothing is wrong.")
    if problems:
        raise DataError(f"{folder}: {len(problems)} problems found.")


@app.command()
def status(run: Run, as_json: Json = False) -> None:
    """Say how far a run has come, also while it is running.

    Example:  synaug status runs/photos
    """
    from synaug import experiment

    content = experiment.status(run)
    if as_json:
        print_json(content)
    else:
        from synaug import console

        console.show_status(content)


@app.command()
def bench(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="An experiment, or a recipe file.")] = None,
    data: Annotated[Path | None, typer.Option(help="Images, for an experiment of real data.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder of the runs. [default: runs/bench-NAME]")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="The smaller grid.")] = False,
    seeds: Annotated[int | None, typer.Option(min=1, help="Seeds, from 0. [default: 3; with --quick 1]")] = None,
    arms: Annotated[str | None, typer.Option(help="Only these arms, separated by commas.")] = None,
    jobs: Annotated[int, typer.Option(min=1, help="Processes at once.")] = 1,
    known: Annotated[bool, typer.Option("--list", help="Print the experiments, or the arms and rows of NAME.")] = False,
    progress_only: Annotated[bool, typer.Option("--status", help="Print how far it is; run nothing.")] = False,
    table_only: Annotated[bool, typer.Option("--table", help="Print the table of what is there; run nothing.")] = False,
    as_json: Json = False,
) -> None:
    """Run an experiment over several seeds, beside its upper bound, and print the table.

    What has a result is not run again, so it can be interrupted and repeated.

    Example:  synaug bench demo --seeds 3
    """
    from synaug import console
    from synaug.bench import collect, experiment_names, markdown, read_experiment, run_bench
    from synaug.bench import status as grid_status

    if name is None:
        if not known:
            raise OptionError(f"Which experiment? Known: {', '.join(experiment_names())}, or a recipe file.")
        print("\n".join(experiment_names()))
        return
    chosen = read_experiment(name, data=data, quick=quick, arms=arms.split(",") if arms else ())
    folder = out or Path("runs") / f"bench-{Path(name).stem}{'-quick' if quick else ''}"
    numbers = range(seeds or (1 if quick else 3))
    if known:
        print("\n".join(f"{arm}: {', '.join(options.methods)}" for arm, options in chosen.arms.items()))
        return
    if progress_only:
        rows = grid_status(chosen, folder, seeds=numbers)
        if as_json:
            print_json(rows)
        else:
            console.show_grid(rows)
        return
    if table_only:
        content = collect(chosen, folder, numbers)
    else:
        with session() as progress:
            content = run_bench(chosen, folder, seeds=numbers, jobs=jobs, progress=progress)
    if as_json:
        print_json(content)
    else:
        print(markdown(content))


# ---------------------------------------------------------------- what the commands share


@contextlib.contextmanager
def session() -> Iterator[Progress]:
    """Answer signals and show progress while the block runs."""
    from synaug.interruption import graceful
    from synaug.progress import ConsoleProgress

    with graceful():
        yield ConsoleProgress()


def options_of(recipe: Path | None, overrides: dict[str, Any]) -> Recipe:
    """Return the recipe of the file, or the default one, with the options of the command line."""
    from synaug.config import Recipe, read_recipe, with_overrides

    return with_overrides(read_recipe(recipe) if recipe else Recipe(), overrides)


def number_or_name(target: str | None) -> float | int | str | None:
    """Read a target: a whole number, a share, or a name."""
    if target is None:
        return None
    for kind in (int, float):
        try:
            return kind(target)
        except ValueError:
            continue
    return target


def names_of(methods: str | None) -> tuple[str, ...]:
    """Read the names of methods, comma-separated; the default ones where none are given."""
    from synaug.methods import DEFAULT_METHODS

    return tuple(name.strip() for name in methods.split(",")) if methods else DEFAULT_METHODS


def typed_command() -> str:
    """Return the command as a person would type it."""
    return shlex.join(["synaug", *sys.argv[1:]])


def print_json(content: Any) -> None:
    """Print JSON on stdout; NaN becomes null."""
    from synaug.storage import without_nan

    print(json.dumps(without_nan(content), indent=2, ensure_ascii=False))


def show_report(content: dict[str, Any], out: Path, *, as_json: bool) -> None:
    """Print the report's table, its summary and where the page lies."""
    if as_json:
        print_json(content)
        return
    from synaug import console

    console.show_results(content)
    console.show_summary(content, out / "report.html")
