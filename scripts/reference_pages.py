"""Generate reference pages from the code: options, commands, methods, and the names for mkdocstrings."""

import ast
import html
from pathlib import Path
from typing import Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

import synaug
from synaug.config import Recipe

PACKAGE = Path(synaug.__file__).parent
PARTS = ("runtime", "data", "synthesis", "training", "evaluation", "report", "methods", "pipeline")
LIMITS = {"Gt": ("gt", "above"), "Ge": ("ge", "at least"), "Lt": ("lt", "below"), "Le": ("le", "at most")}


# ---------------------------------------------------------------- options


def options():
    """Return one table per section of the recipe: name, type, default, allowed values and description."""
    return "\n\n".join(section(kind, name) for name, kind in sections(Recipe, ""))


def sections(kind, name):
    """Yield (dotted name, model) of a section and of all sections below it."""
    yield name, kind
    for key, field in kind.model_fields.items():
        for inner, suffix in models_of(field.annotation):
            yield from sections(inner, f"{name}.{key}{suffix}".lstrip("."))


def models_of(annotation):
    """Yield the sections inside a type, and the text between the option's name and theirs."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation, ""
    elif get_origin(annotation) is dict:
        yield from ((inner, ".NAME") for inner, _ in models_of(get_args(annotation)[1]))
    else:
        for each in get_args(annotation):
            yield from models_of(each)


def section(kind, name):
    """Return the heading, the sentence and the table of one section."""
    title = f"## `{name}`" if name else "## The top of the file"
    rows = [row(kind, name, key) for key in kind.model_fields if not list(models_of(kind.model_fields[key].annotation))]
    head = ["| option | what | type | default | allowed |", "|---|---|---|---|---|"] if rows else []
    return "\n".join([title, "", (kind.__doc__ or "").strip(), "", *head, *rows])


def row(kind, section_name, key):
    """Return the row of one option."""
    field = kind.model_fields[key]
    dotted = f"{section_name}.{key}".lstrip(".")
    kind_of_value, what = type_name(field.annotation), field.description or ""
    cells = (f"`{key}`", what, kind_of_value, default_of(field), allowed(field, dotted))
    return f"| {' | '.join(html.escape(cell, quote=False).replace('|', '&#124;') for cell in cells)} |"


def type_name(annotation):
    """Return a type in plain words.

    >>> type_name(int | None), type_name(tuple[str, ...]), type_name(float | Literal["uniform"])
    ('whole number', 'list of texts', 'number or text')
    """
    simple = {int: "whole number", float: "number", str: "text", bool: "true or false"}
    if annotation in simple:
        return simple[annotation]
    if get_origin(annotation) is Literal:
        return "text"
    if get_origin(annotation) is tuple:
        return f"list of {type_name(get_args(annotation)[0])}s"
    if get_origin(annotation) is dict or annotation is dict:
        return "names with values"
    kinds = [type_name(each) for each in get_args(annotation) if each is not type(None)]
    return " or ".join(dict.fromkeys(kinds)) or "anything"


def default_of(field):
    """Return the default in YAML notation."""
    if field.default is PydanticUndefined:
        return "must be given"
    if field.default is None:
        return "none"
    if isinstance(field.default, tuple):
        return f"`[{', '.join(map(str, field.default))}]`"
    if isinstance(field.default, bool):
        return f"`{str(field.default).lower()}`"
    return f"`{field.default}`" if field.default not in ("", {}) else "empty"


def allowed(field, dotted):
    """Return the allowed values: the names of a choice, or limits."""
    names = [*choices_of(field.annotation), *known_names().get(dotted, [])]
    limits = []
    for each in field.metadata:
        if type(each).__name__ in LIMITS:
            key, words = LIMITS[type(each).__name__]
            limits.append(f"{words} {getattr(each, key):g}")
    return ", ".join([*(f"`{name}`" for name in names), *limits])


def choices_of(annotation):
    """Yield the values of each Literal in a type."""
    if get_origin(annotation) is Literal:
        yield from get_args(annotation)
    else:
        for each in get_args(annotation):
            yield from choices_of(each)


def known_names():
    """Return the option values that are defined by dicts in the code, so that ``config`` cannot list them."""
    from synaug.data.benchmarks.fashion_mirrors import MIRRORS
    from synaug.synthesis.quality.gates import ALWAYS, GATES
    from synaug.training.augmentation import AUGMENTATIONS
    from synaug.training.last_layer.solvers import METHODS
    from synaug.training.losses import LOSSES, STATEFUL_LOSSES
    from synaug.training.mixing import MIXINGS
    from synaug.training.sampling import SAMPLERS

    return {
        "quality.gates": [*GATES, *ALWAYS],
        "train.stage1.augmentations": AUGMENTATIONS,
        "train.stage1.loss": [*LOSSES, *STATEFUL_LOSSES],
        "train.stage1.mixing": ["none", *MIXINGS],
        "train.stage1.sampler": SAMPLERS,
        "train.retrain.method": METHODS,
        "bench.mirror": MIRRORS,
    }


# ---------------------------------------------------------------- commands and methods


def commands():
    """Return usage, text and options of every command."""
    import typer.main

    from synaug.cli import app

    return "\n\n".join(command_section(*each) for each in typer.main.get_command(app).commands.items())


def command_section(name, command):
    """Return the section of one command."""
    parameters = [each for each in command.params if each.name != "help"]
    names = [argument_name(each) for each in parameters if each.param_type_name == "argument"]
    head = [f"## synaug {name}", "", f"`{' '.join(['synaug', name, *names, '[OPTIONS]'])}`", "", help_of(command), ""]
    return "\n".join([*head, "| argument or option | what |", "|---|---|", *map(parameter_row, parameters)])


def argument_name(parameter):
    """Return the placeholder of an argument in a usage line."""
    return parameter.metavar or parameter.name.upper()


def help_of(command):
    """Return a command's help, with its examples as code."""
    paragraphs = [" ".join(part.split()) for part in (command.help or "").split("\n\n")]
    return "\n\n".join(
        f"Example: `{part.removeprefix('Example:').strip()}`" if part.startswith("Example:") else part
        for part in paragraphs
    )


def parameter_row(parameter):
    """Return the row of one argument or option."""
    if parameter.param_type_name == "argument":
        names = f"`{argument_name(parameter)}`"
    else:
        value = "" if parameter.is_flag else f" {parameter.metavar or parameter.name.upper()}"
        names = ", ".join(f"`{name}{value}`" for name in [*parameter.opts, *parameter.secondary_opts])
    text = html.escape(" ".join((parameter.help or "").split()), quote=False).replace("|", "&#124;")
    needed = " Must be given." if parameter.required and parameter.param_type_name == "option" else ""
    default = parameter.show_default if isinstance(parameter.show_default, str) else parameter.default
    shown = (
        f" Default: `{default}`." if isinstance(default, (str, int, float)) and not isinstance(default, bool) else ""
    )
    return f"| {names} | {text}{needed}{shown} |"


def methods():
    """Return the table of `synaug methods`."""
    from synaug.methods import DEFAULT_METHODS, METHODS

    rows = [
        f"| `{name}`{' (default)' if name in DEFAULT_METHODS else ''} | {method.description} |"
        for name, method in METHODS.items()
    ]
    return "\n".join(["| method | what it does |", "|---|---|", *rows])


# ---------------------------------------------------------------- names for mkdocstrings


def public_names():
    """Return a directive for each public name of the package."""
    return "\n\n".join(f"::: {getattr(synaug, name).__module__}.{name}" for name in synaug.__all__)


def modules(part):
    """Return a section for each module of a package and of the packages inside it."""
    paths = sorted((PACKAGE / part).rglob("*.py"), key=lambda path: (len(path.parts), path))
    return "\n\n".join(module_section(path) for path in paths if path.stem != "__init__")


def module_section(path):
    """Return the section of one module: its docstring and a directive for each public function and class."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    module = ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
    defined = [node for node in tree.body if isinstance(node, (ast.FunctionDef, ast.ClassDef))]
    names = [node.name for node in defined if not node.name.startswith("_")]
    directives = [f"::: synaug.{module}.{name}" for name in names]
    return "\n\n".join([f"## {module.partition('.')[2]}", ast.get_docstring(tree) or "", *directives])
