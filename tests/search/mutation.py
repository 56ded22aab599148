"""Mutation testing of the core: does a test fail for every small change of the code?

    make mutants                              # all modules of TESTS
    make mutants MODULES="shared/elbo.py"     # some of them
    python tests/search/mutation.py --sample 50      # 50 mutants of each module, always the same

A mutant is a module with one change, made by mutmut: another number, operator, string, argument or
keyword. It is killed if one of the module's tests fails, and survives if all pass. The command
lists the survivors, and exits with status 1 if EQUIVALENT does not explain one of them.

mutmut's own runner executes tests in the process that it forks from, after which TensorFlow does
not work in a fork. Here the parent only imports TensorFlow (five seconds) and executes nothing, and
each mutant is tested in a fork. A mutant is written into a copy of the project, so the working tree
is never changed.
"""

import argparse
import difflib
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

import libcst
from mutmut.mutation.mutators import mutation_operators

ROOT = Path(__file__).parents[2]
COPIED = (
    "shared",
    "keras_vae",
    "tf_vae",
    "tests",
    "notebooks",
    "pretrained",
    "README.md",
    "docs/commands.md",
    "pyproject.toml",
)
TIMEOUT = 120  # seconds; a mutant that runs longer is killed
# The tests of a run directory wait for the disk thousands of times; in memory they take seconds.
MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None
RUN_TESTS = (
    "test_inside_epoch.py",
    "test_run.py",
    "test_run_refusals.py",
    "test_divergence.py",
    "test_public_names.py",
)
TESTS = {
    "shared/elbo.py": ("test_elbo.py", "test_densities.py", "test_public_names.py"),
    "shared/likelihoods.py": ("test_likelihoods.py", "test_public_names.py"),
    "shared/config.py": ("test_config.py", "test_public_names.py"),
    "shared/machine/checks.py": ("test_config.py", "test_public_names.py"),
    "shared/objective.py": ("test_objective.py", "test_public_names.py"),
    "shared/seeds.py": ("test_seeds.py", "test_public_names.py"),
    "shared/weights.py": (
        "test_weights.py",
        "test_public_names.py",
        "test_own_network.py",
        "test_surroundings.py",
    ),
    "shared/machine/npz.py": ("test_files.py", "test_surroundings.py", "test_public_names.py"),
    "shared/run/files.py": ("test_files.py", "test_run.py", "test_public_names.py"),
    "shared/run/folder.py": (
        "test_folder.py",
        "test_run.py",
        "test_run_refusals.py",
        "test_public_names.py",
    ),
    "shared/run/checksums.py": ("test_repair.py", "test_run.py", "test_public_names.py"),
    "shared/run/schemas.py": (
        "test_schemas.py",
        "test_repair.py",
        "test_run.py",
        "test_public_names.py",
    ),
    "shared/run/checkpoints.py": (
        "test_inside_epoch.py",
        "test_repair.py",
        "test_run.py",
        "test_resume.py",
        "test_public_names.py",
    ),
    "shared/run/resume.py": RUN_TESTS,
    "shared/run/state.py": RUN_TESTS,
}
# Survivors that compute the same as the original, by the changed line without its indentation.
RANK_2 = "the tensor is (batch, width), so its last axis is axis 1"
FLOATX = "without a dtype, Keras casts to float32"
UNREAD = "a default value says that the entry may be missing, and is not read"
SAME_LENGTH = "both always have the same length"
EQUIVALENT = {
    "shared/elbo.py": {
        "return 0.5 * ops.sum(ops.expm1(z_log_var) - z_log_var + ops.square(z_mean),"
        " axis=+1)": RANK_2,
        "return ops.sum(x * logits - ops.softplus(logits), axis=+1)"
        "  # (batch, input_dim) -> (batch,)": RANK_2,
        "small = size <= 0.1": "at 0.1 both formulas give the same number",
        "return ops.sum((x - 0.5) * logits - ops.where(small, series, far), axis=+1)"
        "  # (batch,)": RANK_2,
        "squares = ops.exp(-log_var) * ops.sum(ops.square(x - mean), axis=+1)  # (batch,)": RANK_2,
        "return -0.5 * (squares + x.shape[+1] * (log_var + LOG_2PI))": RANK_2,
        "return -0.5 * ops.sum(ops.square(in_sigmas) + log_var + LOG_2PI, axis=+1)": RANK_2,
        "chosen = ops.one_hot(ops.cast(x, None), logits.shape[-1], dtype=logits.dtype)": (
            "one_hot takes levels that are floats, too"
        ),
        "return ops.sum(per_pixel, axis=+1)": RANK_2,
        "ratio = ops.sum(log_prior - log_q, axis=+1)  # log p(z) - log q(z|x), (batch,)": RANK_2,
        "return beta * ops.minimum((ops.cast(step, None) + 1) / steps, 1.0)": FLOATX,
        **{
            f"a is None or b is None or a == b for a, b in zip(first, shape, {strict})": SAME_LENGTH
            for strict in ("strict=None", "", "strict=False")
        },
        **{
            f'f"{{name}} {{tuple(t.shape)}}" for name, t in zip(named, tensors, {strict})': (
                SAME_LENGTH
            )
            for strict in ("strict=None", "", "strict=False")
        },
        'return ops.cast(tensor, None) if "float16" in str(tensor.dtype) else tensor': FLOATX,
    },
    "shared/likelihoods.py": {
        "probs = ops.softmax(_by_level(config, logits), )": "the default axis is the last",
        "small = ops.abs(logits) <= 0.1": "at 0.1 both formulas agree to 3e-10",
    },
    "shared/run/files.py": {
        "with np.load(path, allow_pickle=True) as file:": (
            "the types in the headers are checked before, and an array of objects is refused there"
        ),
    },
    "shared/run/schemas.py": {
        line + ' = ""': UNREAD
        for line in (
            "n: AtLeast1 | None",
            "samples: int | None",
            "data: str | None",
            'x: Literal["grey", "binary"] | None',
            "seed: int | None",
            "seconds: float | None",
        )
    }
    | {
        'n_valid: AtLeast1 | None = ""  # if val_loss is measured on images of its own': UNREAD,
        "changes: list[dict[str, Any]] = None"
        '  # settings changed then: {"step": 600, "beta": [9.0, 1.0]}': UNREAD,
    },
    "shared/config.py": {
        "return sorted({epoch for epoch in self.picture_epochs if epoch <= last} | {last})": (
            "the last epoch is added in any case"
        ),
        'overrides.setdefault("steps", )': "the default of setdefault is None",
        'overrides.setdefault("epochs", )': "the default of setdefault is None",
    },
}


def mutants(source):
    """Every mutant of a module: a list of (changed lines as a diff, source)."""
    module, mutated_sources = libcst.parse_module(source), {}

    class Visitor(libcst.CSTVisitor):
        def on_visit(self, node):
            for kind, operator in mutation_operators:
                if isinstance(node, kind):
                    for changed in operator(node):
                        mutated = module.deep_replace(node, changed).code
                        if mutated != source:
                            mutated_sources[mutated] = None
            return True

    module.visit(Visitor())
    result = []
    for mutated in mutated_sources:
        lines = difflib.unified_diff(source.splitlines(), mutated.splitlines(), n=0, lineterm="")
        result.append(([line for line in lines if line[:2] not in ("--", "++")], mutated))
    return result


def run_tests(folder, tests, log):
    """In a child process: run the tests in a copy of the project; never returns."""
    try:
        os.chdir(folder)
        sys.path[:0] = [str(folder)]
        with open(log, "wb") as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
        import pytest

        os.environ["TMPDIR"] = str(folder)
        paths = [str(next((folder / "tests").rglob(name))) for name in tests]
        status = pytest.main(["-x", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", *paths])
        import shared

        if Path(shared.__path__[0]).parent != folder:
            status = 99  # the tests ran on another copy of the project
        os._exit(int(status))
    except BaseException:
        os._exit(98)


def statuses(module, sources, jobs):
    """Run the module's tests on each source; yields (number of the source, exit status, log)."""
    waiting, running = list(enumerate(sources)), {}
    with tempfile.TemporaryDirectory(dir=MEMORY) as temporary:
        free = []
        for number in range(jobs):
            free.append(Path(temporary).resolve() / str(number))
            free[-1].mkdir()
            for name in COPIED:
                if (ROOT / name).is_dir():
                    ignore = shutil.ignore_patterns("__pycache__", "*.ipynb")
                    shutil.copytree(ROOT / name, free[-1] / name, ignore=ignore)
                else:
                    (free[-1] / name).parent.mkdir(exist_ok=True)
                    shutil.copy(ROOT / name, free[-1] / name)
        while waiting or running:
            while waiting and free:
                number, source = waiting.pop(0)
                folder = free.pop()
                (folder / module).write_text(source, encoding="utf-8")
                pid = os.fork()
                if pid == 0:
                    run_tests(folder, TESTS[module], folder / "log")
                running[pid] = number, folder, time.monotonic()
            time.sleep(0.02)
            for pid, (number, folder, started) in list(running.items()):
                done, status = os.waitpid(pid, os.WNOHANG)
                if not done and time.monotonic() - started > TIMEOUT:
                    os.kill(pid, signal.SIGKILL)
                    os.waitpid(pid, 0)
                    done, status = pid, -1
                if done:
                    del running[pid]
                    free.append(folder)
                    code = os.waitstatus_to_exitcode(status) if status >= 0 else status
                    log = (folder / "log").read_text(encoding="utf-8")[-2000:]
                    if code in (98, 99):
                        raise RuntimeError(f"no test was run:\n{log}")
                    yield number, code, log


def explanation(module, diff):
    """Why a survivor is equivalent, or None."""
    changed = [line[1:].strip() for line in diff if line.startswith("+")]
    return EQUIVALENT.get(module, {}).get("\n".join(changed))


def main():
    """Test the mutants of the modules that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("modules", nargs="*", help=f"of {', '.join(TESTS)}")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--sample", type=int, help="mutants of each module, drawn with seed 0")
    arguments = parser.parse_args()
    sys.dont_write_bytecode = True  # mutants of equal time and size would share it
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import keras  # noqa: F401
    import pytest  # noqa: F401
    import scipy.integrate
    import scipy.stats  # noqa: F401
    import tensorflow  # noqa: F401

    unexplained, summary = 0, []
    for module in arguments.modules or TESTS:
        source = (ROOT / module).read_text(encoding="utf-8")
        for _, status, log in statuses(module, [source], 1):
            if status != 0:
                raise SystemExit(f"the tests of {module} fail without a mutation:\n{log}")
        cases, started = mutants(source), time.monotonic()
        whole = len(cases)
        if arguments.sample is not None and arguments.sample < whole:
            cases = random.Random(0).sample(cases, arguments.sample)
        survived = sorted(
            number
            for number, status, _ in statuses(
                module, [mutated for _, mutated in cases], arguments.jobs
            )
            if status == 0
        )
        reasons = [explanation(module, cases[number][0]) for number in survived]
        for number, reason in zip(survived, reasons, strict=True):
            print(f"\n{module}: {reason or 'SURVIVED'}", *cases[number][0], sep="\n", flush=True)
        unexplained += reasons.count(None)
        summary.append(
            f"{module}: {len(cases)} of {whole} mutants, {len(cases) - len(survived)} killed,"
            f" {len(survived) - reasons.count(None)} equivalent, {reasons.count(None)} survived;"
            f" {time.monotonic() - started:.0f} s"
        )
        print(summary[-1], flush=True)
    print("\n", *summary, sep="\n")
    raise SystemExit(bool(unexplained))


if __name__ == "__main__":
    main()
