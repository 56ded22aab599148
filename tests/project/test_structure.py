"""The direction of imports, and the same functions and headings in both implementations."""

import ast
import importlib.util
import inspect
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAIRS = ("model", "batches", "train", "evaluate", "checkpoint", "beyond.export", "beyond.program")

# What a reader of the core needs; these modules stand directly in `shared`.
CORE = {"elbo", "likelihoods", "objective", "config", "seeds", "weights"}
# The folders within shared. Each may import from those after it. `core` stands for the modules
# directly in shared.
ROOMS = ("command", "show", "measure", "training", "run", "data", "core", "machine")
# What goes beyond one machine, or beyond its memory. It may import everything, and is imported only
# when it is asked for.
BEYOND = ("shared.beyond", "keras_vae.beyond", "tf_vae.beyond")
LAZY = BEYOND[0], "keras_vae.beyond.workers", "tf_vae.beyond.workers"
DRAWING = {
    ROOT / "shared" / "show" / "figures" / name for name in ("canvas.py", "lessons.py", "plots.py")
}
PROGRAM = [
    *ROOT.glob("*.py"),
    *(p for d in ("keras_vae", "tf_vae", "shared") for p in (ROOT / d).rglob("*.py")),
]


def imports(path, whole=False, at_once=False):
    """The modules that a file imports: their top-level names, or their whole names.

    Those that it imports anywhere or, with `at_once`, outside its functions.
    """
    names, module = set(), ast.parse(path.read_text(encoding="utf-8"))
    for node in module.body if at_once else ast.walk(module):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names if whole else {name.split(".")[0] for name in names}


def room(name):
    """The room of a module of `shared`, given its whole name."""
    first = name.split(".")[1]
    return "core" if first in CORE else first


def test_the_top_of_shared_is_what_a_reader_of_the_core_needs():
    top = {path.stem for path in (ROOT / "shared").glob("*.py")} - {"__init__"}
    folders = {path.parent.name for path in (ROOT / "shared").glob("*/__init__.py")}
    assert top == CORE and folders == {*ROOMS, "beyond"} - {"core"}


def test_imports_run_one_way():
    upward = {"keras_vae", "tf_vae", "reproduce", "tests", "benchmarks", "examples"}
    for path in (ROOT / "shared").rglob("*.py"):
        assert not imports(path) & upward, path
        # TensorFlow has the message types of XLA's programs.
        assert ("tensorflow" in imports(path)) == (path.name == "programs.py"), path
    for package, other in (("keras_vae", "tf_vae"), ("tf_vae", "keras_vae")):
        for path in (ROOT / package).rglob("*.py"):
            assert not imports(path) & (upward - {package}), path
            assert other not in imports(path)
    # The only import of an implementation is by the name in a command.
    importers = {p for p in (ROOT / "shared").rglob("*.py") if "importlib" in imports(p)}
    importers = {p for p in importers if "import_module" in p.read_text(encoding="utf-8")}
    assert importers == {ROOT / "shared" / "command" / "implementation.py"}


def test_rooms_import_only_from_the_rooms_after_them():
    for number, name in enumerate(ROOMS):
        folder = ROOT / "shared"
        for path in folder.glob("*.py") if name == "core" else (folder / name).rglob("*.py"):
            used = {room(each) for each in imports(path, True) if each.startswith("shared.")}
            used -= {"beyond"}  # only inside functions, see below
            assert used <= set(ROOMS[number:]), (path, used)
    for package in ("keras_vae", "tf_vae"):
        for path in (ROOT / package).rglob("*.py"):
            used = {room(each) for each in imports(path, True) if each.startswith("shared.")}
            # A program begins with the command line.
            allowed = {"command"} if path.name == "__main__.py" else set()
            assert not used & {"command", "show"} - allowed, path


def test_nothing_imports_at_once_what_goes_beyond_one_machine():
    for path in PROGRAM:
        if "beyond" not in path.parts:
            assert not [n for n in imports(path, True, True) if n.startswith(BEYOND)], path


@pytest.mark.long
@pytest.mark.parametrize("package", ["keras_vae", "tf_vae"])
def test_an_ordinary_training_imports_nothing_that_goes_beyond_one_machine(
    package, data_path, tmp_path
):
    """In a process of its own, in which flags and a folder of data then import it."""
    run, flags = str(tmp_path / "run"), ["--epochs", "1", "--hidden-dims", "4"]
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "x_train-0.npy").touch()
    code = f"""
import sys
from shared.command.line import main

def imported(status, *arguments):
    assert main({package!r}, list(arguments)) == status, arguments
    return sorted(name for name in sys.modules if name.startswith({LAZY!r}))

train = ["train", "--data", {str(data_path)!r}, *{flags!r}, "--out", {run!r}]
assert imported(0, *train) == []
assert imported(0, "evaluate", {run!r}) == []
assert "shared.beyond.shards" in imported(2, "train", "--data", {str(tmp_path / "parts")!r})
assert "shared.beyond.distributed.cluster" in imported(2, *train, "--overwrite", "--worker", "0")
"""
    names = ("TF_CONFIG", "JAX_COORDINATOR_ADDRESS")
    environment = {name: value for name, value in os.environ.items() if name not in names}
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT, env=environment)


def test_only_some_files_import_matplotlib_and_tensorflow():
    for path in PROGRAM:
        assert "matplotlib" not in imports(path) or path in DRAWING, path
    for path in (ROOT / "keras_vae").rglob("*.py"):
        # backends.py asks TensorFlow for its replicas, in functions and on that backend alone.
        feeds = ("batches.py", "program.py", "workers.py", "backends.py")
        assert "tensorflow" not in imports(path) or path.name in feeds
        assert path.name != "backends.py" or "tensorflow" not in imports(path, at_once=True)
        text = path.read_text(encoding="utf-8")
        assert "GradientTape" not in text or path.name == "__init__.py"
        assert "tf.Variable" not in text and "Lambda" not in text
    assert imports(ROOT / "shared" / "elbo.py") == {"math", "keras"}
    standard = set(sys.stdlib_module_names)
    assert imports(ROOT / "shared" / "machine" / "checks.py") <= standard
    assert imports(ROOT / "shared" / "config.py") <= {*standard, "shared"}


@pytest.mark.parametrize("name", PAIRS)
def test_the_implementations_have_the_same_functions(name):
    ours, theirs = (importlib.import_module(f"{p}.{name}") for p in ("keras_vae", "tf_vae"))
    assert ours.__all__ == theirs.__all__ == sorted(ours.__all__)
    for each in ours.__all__:
        a, b = getattr(ours, each), getattr(theirs, each)
        if inspect.isfunction(a):
            assert inspect.signature(a) == inspect.signature(b), each
    order = [defined(inspect.getsource(module)) for module in (ours, theirs)]
    shared = [each for each in order[0] if each in order[1]]
    assert shared == [each for each in order[1] if each in order[0]]
    # What is not defined in both is defined once, in `shared`.
    once = set(ours.__all__) - set(shared)
    assert all(getattr(ours, each) is getattr(theirs, each) for each in once)
    assert all(getattr(ours, each).__module__.startswith("shared.") for each in once)


def defined(source):
    """The names of the functions, classes and values that a module defines, in their order."""
    names = []
    for node in ast.parse(source).body:
        if isinstance(node, ast.Assign):
            names += [target.id for target in node.targets]
        elif hasattr(node, "name"):
            names.append(node.name)
    return names


@pytest.mark.parametrize("name", ("model", "train"))
def test_blocks_have_the_same_headings(name):
    headings = [
        re.findall(
            r"^ *# ([a-z]+)$",
            (ROOT / package / f"{name}.py").read_text(encoding="utf-8"),
            re.MULTILINE,
        )
        for package in ("keras_vae", "tf_vae")
    ]
    assert headings[0] == headings[1] != []


def test_every_import_from_the_project_exists():
    """Also in benchmarks and notebooks, which no other test imports."""
    files = [*(ROOT / "benchmarks").rglob("*.py"), *(ROOT / "notebooks").rglob("*.py")]
    files += (ROOT / "examples").glob("*.py")
    for path in [*files, *(ROOT / "tests").rglob("*.py"), ROOT / "reproduce.py"]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            ours = ("shared", "keras_vae", "tf_vae")
            if not isinstance(node, ast.ImportFrom) or node.module.split(".")[0] not in ours:
                continue
            module = importlib.import_module(node.module)
            for name in (alias.name for alias in node.names):
                found = hasattr(module, name) or importlib.util.find_spec(f"{node.module}.{name}")
                assert found, (path, node.module, name)


def test_help_and_refusals_come_before_tensorflow(tmp_path):
    code = """
import sys
from shared.command.line import main
for arguments in {arguments!r}:
    try:
        status = main("keras_vae", arguments)
    except SystemExit as end:
        status = end.code or 0
    assert status == {status}, (arguments, status)
    heavy = set(sys.modules) & {{"tensorflow", "keras", "matplotlib", "sklearn"}}
    assert not heavy, (arguments, heavy)
"""
    refused = [
        ["train", "--latent-dim", "0"],
        ["train", "--recipe", "nope"],
        ["train", "--data", str(tmp_path / "gone.npz")],
        ["train", "--data", "mnist-5k", "--out", str(tmp_path)],
    ]
    (tmp_path / "file").write_text("", encoding="utf-8")
    for arguments, status in (([["--help"], ["train", "--help"]], 0), (refused, 2)):
        source = code.format(arguments=arguments, status=status)
        subprocess.run([sys.executable, "-c", source], check=True, cwd=ROOT)


def test_every_requirement_is_pinned_with_hashes():
    """Every package of a lock has hashes, and has the version in the .in file beside it."""
    folder = ROOT / "requirements"
    locks = {path: path.with_suffix(".txt") for path in folder.glob("*.in")}
    locks[folder / "base.in"] = ROOT / "requirements.txt"
    # PyTorch's builds for CPUs and for CUDA are different files, so it has no hash.
    found = {*ROOT.glob("requirements*.txt"), *folder.glob("*.txt")} - {folder / "torch.txt"}
    assert set(locks.values()) == found
    for source, lock in locks.items():
        pinned = {}
        for line in lock.read_text(encoding="utf-8").replace("\\\n", "").splitlines():
            package, version = re.match(r"([\w.-]+)==([^\s;]+)", line).groups()
            assert re.search(r" --hash=sha256:[0-9a-f]{64}", line), line
            pinned[re.sub("[-_.]+", "-", package).lower()] = version
        for line in source.read_text(encoding="utf-8").splitlines():
            if line and not line.startswith("#"):
                package, version = line.split()[0].split("==")
                assert pinned[re.sub("[-_.]+", "-", package).lower()] == version, line
