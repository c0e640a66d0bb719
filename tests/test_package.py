"""Test the structure of the package: imports, load times, public names."""

import ast
import importlib
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

import synaug

ROOT = Path(synaug.__file__).parent
CHANGING = {
    *(
        "write_text",
        "write_bytes",
        "unlink",
        "rename",
        "mkdir",
        "rmdir",
        "touch",
        "rmtree",
        "symlink_to",
        "hardlink_to",
    ),
    *("makedirs", "removedirs", "remove", "renames", "fsync", "truncate", "ftruncate", "flock", "lockf", "link"),
    *("symlink", "chmod", "copy2", "copytree", "copyfile", "move", "mkstemp", "mkdtemp", "NamedTemporaryFile"),
    *("TemporaryDirectory", "TemporaryFile", "savez", "savetxt", "save_file", "to_parquet", "to_pickle", "to_json"),
    *("to_excel", "save_pretrained", "savefig", "write_dataset", "save_state", "extractall"),
}
INTO = ("save", "write_table", "to_csv", "save_image", "ParquetWriter")  # a path or a buffer
ELSEWHERE_TOO = {"remove", "move", "link", "truncate", "save"}  # methods of lists and tensors, so only of modules
FILE_MODULES = {"os", "shutil", "tempfile", "np", "torch", "fcntl"}
ALLOWED = {  # files that libraries write themselves, outside our promises
    ("training/networks/exchange_formats.py", "save"),  # into a buffer, or a scratch folder that is read back
    ("report/score_pages/score_figures.py", "savefig"),  # into a buffer
    ("cli/streams.py", "os.open"),  # the null device, replacing a closed stream
    ("synthesis/generators/lora_files.py", "save_pretrained"),  # into a scratch folder, from which storage copies
}


def written_into(call):
    """Return whether the first argument of a call may be a path, not a buffer made in the same file."""
    position = int(getattr(call.func, "attr", "") == "write_table")
    if len(call.args) <= position:  # method of a writer, which was already made from a path or a buffer
        return False
    target = call.args[position]
    return not (isinstance(target, ast.Name) and target.id in ("buffer", "sink", "content"))


def changes_of_files(tree):
    """Yield (line, name) of each call that changes a file, as far as the source shows."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        if isinstance(node.func, ast.Name):
            if node.func.id == "open" and any(set(str(mode)) & set("wax+") for mode in modes(node, position=1)):
                yield node.lineno, "open"
            if node.func.id in CHANGING - {"write_text", "write_bytes"}:
                yield node.lineno, node.func.id
        elif isinstance(node.func, ast.Attribute):
            name, owner = node.func.attr, getattr(node.func.value, "id", "")
            if owner == "storage":
                continue
            if name == "open" and owner == "os":
                yield node.lineno, "os.open"
            if name == "open" and any(set(str(mode)) & set("wax+") for mode in modes(node, position=0)):
                yield node.lineno, "open"
            if name in CHANGING - ELSEWHERE_TOO or (name in CHANGING | {"save", "replace"} and owner in FILE_MODULES):
                yield node.lineno, name
            if name in INTO and node.args and written_into(node):
                yield node.lineno, name


def modes(call, *, position):
    values = [*call.args[position : position + 1], *(k.value for k in call.keywords if k.arg == "mode")]
    return [value.value for value in values if isinstance(value, ast.Constant) and isinstance(value.value, str)]


@pytest.mark.parametrize("path", sorted(ROOT.rglob("*.py")), ids=lambda p: str(p.relative_to(ROOT)))
def test_only_storage_changes_files(path):
    if path.name == "storage.py" or path.parent == ROOT / "runtime" / "files":
        return
    name = path.relative_to(ROOT).as_posix()
    found = [each for each in changes_of_files(ast.parse(path.read_text())) if (name, each[1]) not in ALLOWED]
    assert not found, f"{name}: {found}"


@pytest.mark.parametrize(
    "code",
    [
        "open(p, 'w')", "open(p, mode='ab')", "p.open('x')", "p.write_text('')", "os.replace(p, q)", "os.unlink(p)",
        "p.mkdir()", "shutil.rmtree(p)", "tempfile.TemporaryDirectory()", "image.save(path)", "np.save(p, a)",
        "torch.save(a, p)", "frame.to_parquet(p)", "frame.to_csv(p)", "os.makedirs(p)", "os.open(p, 1)",
        "pq.write_table(t, p)", "pq.ParquetWriter(p, s)", "save_file(t, p)", "os.remove(p)",
    ],
)  # fmt: skip
def test_the_test_above_sees(code):
    assert list(changes_of_files(ast.parse(code)))


@pytest.mark.parametrize(
    "code",
    [
        "open(p)", "open(p, 'rb')", "text.replace('a', 'b')", "image.save(buffer, 'PNG')", "names.remove(a)",
        "frame.to_csv(index=False)", "storage.write_bytes(p, b)", "pq.ParquetWriter(sink, s)", "writer.write_table(t)",
    ],
)  # fmt: skip
def test_and_lets_through(code):
    assert not list(changes_of_files(ast.parse(code)))


HANDED_ON = {"unlink", "rmdir", "_make_one", "replace", "_created", "_journal_handle", "_opened", "taken", "is_held"}


def changes_outside_perform(tree):
    """Yield (function, name) of each file change in a function that is not itself passed to ``perform``."""
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    inner = {node for each in functions for node in ast.walk(each) if node is not each and node in functions}
    for function in functions:
        if function.name in HANDED_ON or function in inner:
            continue
        skipped = {n for each in ast.walk(function) if each in inner and each.name in HANDED_ON for n in ast.walk(each)}
        for node in ast.walk(function):
            if node in skipped or not isinstance(node, ast.Call):
                continue
            for _, what in changes_of_files(ast.Expression(node)):
                is_reading = what == "os.open" and not any(f in ast.unparse(node) for f in ("O_CREAT", "O_WRONLY"))
                if not is_reading:
                    yield function.name, what


@pytest.mark.parametrize("path", [ROOT / "runtime" / "storage.py", *sorted((ROOT / "runtime" / "files").glob("*.py"))])
def test_inside_storage_every_effect_goes_through_perform(path):
    """File-changing functions are called directly only in functions passed to ``perform``, and in locks."""
    allowed = {("_remove_if_left", "os.open")}  # opens for writing, to lock it
    assert set(changes_outside_perform(ast.parse(path.read_text()))) <= allowed


def test_and_the_test_above_sees_one_that_does_not():
    tree = ast.parse(
        "def f(p):\n    os.replace(p, q)\ndef g(p):\n    os.open(p, os.O_CREAT)\ndef rmdir(p): os.rmdir(p)"
    )
    assert set(changes_outside_perform(tree)) == {("f", "replace"), ("g", "os.open")}


def loaded_after(statement):
    code = f"{statement}; import sys; print(*sorted(m for m in sys.modules if '.' not in m))"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()


def test_importing_synaug_loads_neither_torch_nor_diffusers():
    assert not {"torch", "diffusers", "transformers", "pandas"} & set(loaded_after("import synaug"))


def test_the_test_above_can_fail():
    assert "torch" in loaded_after("import synaug; synaug.train_representation")


def test_help_is_there_without_torch_pandas_or_pydantic():
    code = (
        "import sys; sys.argv = ['synaug', '--help']\n"
        "from synaug.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print('loaded:', *(m for m in ('torch', 'diffusers', 'pandas', 'pydantic') if m in sys.modules))"
    )
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "generate" in output
    assert output.rstrip().endswith("loaded:")


PUBLIC = """
    Manifest Recipe SyntheticOverSampler balance class_counts evaluate_predictions export_classifier fairness_report
    from_arrays group_counts imbalance_factor labeled_features load_classifier load_generator longtail_report
    make_plan read_data
    read_recipe retrain_classifier run spurious_report synthesize to_arrays to_datasets to_frame to_torch
    train_representation trusting
"""


def test_exactly_these_names_are_public():
    assert synaug.__all__ == PUBLIC.split()


def test_every_public_name_is_there():
    for name in synaug.__all__:
        assert getattr(synaug, name) is not None


def offered():
    """Return for each name that a package's stub offers, with the module that defines it, the package."""
    table = {}
    for stub in ROOT.rglob("__init__.pyi"):
        package = ".".join(("synaug", *stub.parent.relative_to(ROOT).parts))
        for node in ast.parse(stub.read_text()).body:
            if isinstance(node, ast.ImportFrom) and package != "synaug":
                table |= {(f"{package}.{node.module}", name.name): package for name in node.names}
    return table


OFFERED = offered()


def test_every_offered_name_can_be_imported_from_its_package():
    for (module, name), package in OFFERED.items():
        offer = getattr(importlib.import_module(package), name)
        assert offer is getattr(importlib.import_module(module), name), (package, name)


def around_the_face(path, package_of_file, text):
    """Return the imports that name a file of another package although its face offers the name."""
    return [
        f"{path}: {node.module}.{name.name}"
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.ImportFrom)
        for name in node.names
        if (package := OFFERED.get((node.module, name.name))) and not f"{package_of_file}.".startswith(f"{package}.")
    ]


def test_code_outside_a_package_imports_from_its_face():
    assert around_the_face("x.py", "synaug.pipeline", "from synaug.data.manifest import Manifest\n")
    assert not around_the_face("x.py", "synaug.data.formats", "from synaug.data.manifest import Manifest\n")
    found = []
    for path in sorted(ROOT.rglob("*.py")):
        package = ".".join(("synaug", *path.parent.relative_to(ROOT).parts))
        found += around_the_face(path.relative_to(ROOT), package, path.read_text())
    assert not found


OPENS_A_RUN = {
    "pipeline/prepare.py": "write_run returns the run it creates",
    "pipeline/generate.py": "worker_image_maker opens it in another process, possibly on another machine",
    "pipeline/classifier/export_classifier.py": "synaug.export_classifier is public and takes a path",
    "bench/grid.py": "run_cell looks whether a cell is reported already; its directory need not exist",
    "run_directory/run.py": "replace_plan returns the run with its new plan",
}


def opens_a_run(path):
    """Return whether a file turns a path into a ``Run``."""
    calls = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
    return any(ast.unparse(call.func) in ("Run.open", "Run") for call in calls)


def test_stages_take_a_run_and_only_commands_and_workers_open_one():
    found = {path.relative_to(ROOT).as_posix() for path in ROOT.rglob("*.py") if opens_a_run(path)}
    assert {name for name in found if not name.startswith("cli/")} == OPENS_A_RUN.keys()


def test_no_package_has_more_than_a_dozen_modules():
    allowed = {"training": 18}
    for package in {path.parent for path in ROOT.rglob("*.py")}:
        modules = [path for path in package.glob("*.py") if path.stem != "__init__"]
        assert len(modules) <= allowed.get(package.name, 12), package


def test_no_two_files_share_a_name():
    stems = Counter(path.stem for path in ROOT.rglob("*.py") if path.stem not in ("__init__", "__main__"))
    assert not [stem for stem, count in stems.items() if count > 1]


def test_a_renamed_function_answers_to_its_old_name():
    assert synaug.labelled_features is synaug.labeled_features


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="No synaug attribute balence"):
        _ = synaug.balence
