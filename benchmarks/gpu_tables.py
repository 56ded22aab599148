"""The comparisons of benchmarks/gpu.py, and its tables, in Markdown."""

import math
import statistics

import numpy as np

from shared.measure.parity import compare

__all__ = ["compared", "tables"]

NO_GPU = "No GPU found: this run compares the CPU with itself"


def compared(ours, theirs):
    """Compares two sets of arrays: whether all bits are equal, and the largest difference.

    Args:
        ours, theirs: {name: array}, or None where there are none.
    Returns:
        {"equal", "largest_difference", "largest_entry", "differs_in"}, or {"error": text}
    """
    if ours is None or theirs is None:
        return {"error": "not measured"}
    if [(k, v.shape) for k, v in ours.items()] != [(k, v.shape) for k, v in theirs.items()]:
        return {"error": "other names or shapes"}
    found = compare(ours, theirs)
    differences = [each["max_abs_difference"] for each in found.values()]
    if not all(map(math.isfinite, differences)):
        return {"error": "not finite"}
    return {
        "equal": all(each["bit_identical"] for each in found.values()),
        "largest_difference": max(differences),
        "largest_entry": float(max(np.abs(array).max() for array in theirs.values())),
        "differs_in": [name for name, each in found.items() if not each["bit_identical"]],
    }


def tables(results):
    """Returns the lines of all tables.

    Args:
        results: what benchmarks/gpu.py writes, of which parts may be missing.
    """
    machine, parts = results["machine"], results["parts"]
    has_gpu = bool(machine.get("gpus"))
    lines = ["# On a GPU" if has_gpu or "error" in machine else f"# {NO_GPU}", ""]
    if not has_gpu and machine.get("nvidia-smi"):
        lines += ["The driver lists a GPU, but TensorFlow does not find its libraries.", ""]
    lines += machine_table(results)
    if "ladder" in parts:
        lines += ladder_tables(parts["ladder"])
    if "trainings" in parts:
        lines += trainings_table(results)
    for part, title in (
        ("xla", "What jit_compile costs, and gives: the dense networks"),
        ("convolutions", "Convolutions: examples/conv.py"),
    ):
        if part in parts:
            lines += networks_table(title, parts[part])
    return lines


def machine_table(results):
    """Returns a table of what decides the numbers."""
    machine = results["machine"]
    if "error" in machine:
        return ["", f"The machine cannot be described: {machine['error']}", ""]
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    built = ", ".join(f"{k} {v}" for k, v in machine["tensorflow, built for"].items())
    gpus = [f"{each['name']}, compute capability {each['capability']}" for each in machine["gpus"]]
    rows = [
        ["GPU", "; ".join(gpus) or "none"],
        ["driver", "; ".join(machine["nvidia-smi"]) or "not asked: no nvidia-smi"],
        ["processor, system", f"{machine['processor']}, {machine['system']}"],
        ["versions", versions],
        ["TensorFlow, built for", built or "CPUs"],
        ["TF32 by default", "yes" if machine["TF32 by default"] else "no"],
        ["memory growth", " ".join(f"{k}={v}" for k, v in results["memory growth"].items())],
        ["data, epochs, seed", f"{results['data']}, {results['epochs']}, {results['seed']}"],
    ]
    return markdown(["", "this machine"], rows)


def ladder_tables(ladder):
    """Returns a table for each recipe: "equal", or the largest difference."""
    lines = []
    for recipe, found in ladder.items():
        rows = []
        for rung, results in found["rungs"].items():
            entries = [each["largest_entry"] for each in results.values() if "error" not in each]
            largest = f"{entries[-1]:.2g}" if entries else ""
            rows.append([rung, largest, *map(rung_text, results.values())])
        lines += [
            "",
            f"## The ladder of {recipe}: equal in every bit, or the largest difference",
            "",
        ]
        lines += markdown(["rung", "largest entry", *results], rows)
        for name, run in found["runs"].items():
            text = f"failed, {run['error']}" if "error" in run else f"ran on the {run['device']}"
            lines += ["", f'The process "{name}" {text}.']
    return lines


def rung_text(result):
    """Returns a cell of the ladder."""
    if "error" in result:
        return result["error"]
    return "equal" if result["equal"] else f"{result['largest_difference']:.1e}"


def trainings_table(results):
    """Returns a table of step times and ELBOs on each backend, beside those of the CPU."""
    rows = []
    for backend, runs in results["parts"]["trainings"].items():
        device, cpu = runs["device"], runs.get("CPU", {})
        for package in ["tf_vae", "keras_vae"] if backend == "tensorflow" else ["keras_vae"]:
            ours, theirs = numbers(device, package), numbers(cpu, package)
            name = package if package == "tf_vae" else f"{package} on {backend}"
            row = [name, *cells(ours), cells(theirs)[1], cells(theirs)[3]]
            both = "loss" in ours and "loss" in theirs
            rows.append([*row, f"{ours['loss'] - theirs['loss']:+.1e}" if both else ""])
    title = f"post-keras: test −ELBO after {results['epochs']} epochs, nats, and the time of a step"
    header = ["program", "device", "ms per step", "s of compiling", "−ELBO"]
    header += ["CPU: ms per step", "CPU: −ELBO", "difference"]
    return ["", f"## {title}", "", *markdown(header, rows)]


def networks_table(title, found):
    """Returns a table of trainings with and without XLA, and whether both have equal weights."""
    rows = []
    for name, result in found.items():
        weights = rung_text(result["weights"]) if "weights" in result else ""
        for package in ("tf_vae", "keras_vae"):
            each = numbers(result, package)
            steps = each.get("steps_per_epoch", 0) * len(each.get("seconds", ()))
            rows.append([package, name, *cells(each), steps or "", weights])
    header = ["implementation", "setting", "device", "ms per step", "s of compiling", "−ELBO"]
    header += ["after steps", "weights of both"]
    return ["", f"## {title}", "", *markdown(header, rows)]


def numbers(result, package):
    """Returns the numbers of a package, or its error, or that of its process."""
    return result if "error" in result else result.get(package, {"error": "not measured"})


def cells(each):
    """Returns device, milliseconds per step, seconds of compiling and loss of a training.

    An epoch counts its training steps alone. The first one also compiles, so compiling is what it
    takes longer than the median of the others.
    """
    if "error" in each:
        return [each["error"], "", "", ""]
    first, *others = each["seconds"]
    usual = statistics.median(others)
    step = 1000 * usual / each["steps_per_epoch"]
    return [each["device"], f"{step:.3g}", f"{first - usual:.1f}", f"{each['loss']:.4f}"]


def markdown(header, rows):
    """Returns the lines of a table; a bar inside a cell is escaped."""
    table = [header, ["---"] * len(header), *rows]
    return [f"| {' | '.join(str(cell).replace('|', '/') for cell in row)} |" for row in table]
