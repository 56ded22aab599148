"""Sets what decides the bits of a computation on a CPU, so that every machine computes the same.

Imported before TensorFlow, which reads these settings when it starts. On x86-64 processors with
AVX2 and FMA, of whatever maker and with any number of cores, they give equal bits; docs/proof.md
says how that was tested, and where it ends.
"""

import functools
import os
import platform
import re
import sys
from pathlib import Path

from shared.machine.checks import UsageError
from shared.machine.memory import cores
from shared.machine.packages import installed_version

__all__ = ["check_arithmetic", "describe_arithmetic", "has_instructions", "use_threads"]

# With several threads, Eigen cuts a product into blocks by their number, and oneDNN adds the
# products at the edge of a block in another order.
THREADS = "TF_NUM_INTRAOP_THREADS"
# oneDNN multiplies matrices with other instructions, in another order, where it finds AVX-512.
VARIABLES = {THREADS: "1", "ONEDNN_MAX_CPU_ISA": "AVX2"}
# An older name of the same setting, which oneDNN reads, too.
OTHER_NAMES = {"DNNL_MAX_CPU_ISA": "ONEDNN_MAX_CPU_ISA"}
MATH = "--xla_cpu_enable_platform_dependent_math"
FLAGS = {
    # XLA compiles for AVX2, whatever newer instructions the processor has.
    "--xla_cpu_max_isa": "AVX2",
    # XLA computes a / sqrt(b) without the approximate instruction, which differs between makers,
    # and adds numbers up in an order that does not depend on the processor.
    MATH: "false",
}
KNOWS_MATH = (2, 21)  # XLA ends the process at a flag that it does not know
PASSES = "--xla_disable_hlo_passes"
# Of the flags that XLA knows, these change no result on a CPU; the two of a GPU make its runs
# repeatable, and bits on a GPU are not promised.
XLA_FLAGS = re.compile(
    "--xla_(dump_[a-z_]+|disable_hlo_passes|force_host_platform_device_count|gpu_cuda_data_dir)=.*"
    "|--xla_gpu_(deterministic_ops|autotune_level)=.*"
    "|--xla_dump_[a-z_]+"
)


def use_threads(threads):
    """Sets the number of threads that compute one operation, in place of 1.

    Several threads are faster on one run, and its bits are then those of this number of threads,
    and may depend on the caches of the processor. Call it before anything imports TensorFlow.

    Args:
        threads: integer >= 1.
    Raises:
        UsageError: it is none, or TensorFlow is imported already and has read another number.
    """
    if isinstance(threads, bool) or not isinstance(threads, int) or threads < 1:
        raise UsageError(f"threads is {threads!r}; expected an integer >= 1")
    read = os.environ.get(THREADS)
    if read != str(threads):
        _check(THREADS, read, VARIABLES[THREADS])  # set by something else
    if "tensorflow" in sys.modules and read != str(threads):
        raise UsageError(
            f"threads is {threads}, and TensorFlow is imported already, with {read}; call"
            " use_threads before, or start a new process"
        )
    VARIABLES[THREADS] = os.environ[THREADS] = str(threads)


def check_arithmetic():
    """Checks that nothing else has set what this module sets.

    Raises:
        UsageError: a variable or a flag has a value that may change results.
    """
    for name, expected in VARIABLES.items():
        _check(name, os.environ.get(name), expected)
    for name, other in OTHER_NAMES.items():
        _check(name, os.environ.get(name, VARIABLES[other]), VARIABLES[other])
    expected = {f"{name}={value}" for name, value in _flags().items()}
    for flag in os.environ.get("XLA_FLAGS", "").split():
        if flag not in expected and not XLA_FLAGS.fullmatch(flag):
            raise UsageError(f"XLA_FLAGS holds {flag}, which may change results; unset it")


def _check(name, value, expected):
    if value != expected:
        advice = "unset it"
        if name == THREADS:
            advice += ", and give --threads, or call shared.machine.arithmetic.use_threads"
        raise UsageError(f"{name} is {value}, which changes results; expected {expected}: {advice}")


def describe_arithmetic():
    """Returns the entry "arithmetic" of config.json: what decides the bits beside the versions.

    Returns:
        {"threads": int, "instructions": str}: AVX2, or the type of the machine if it has not got
        these, or if TensorFlow had begun to compute before this module was imported
    """
    fixed = has_instructions() and not _late
    instructions = VARIABLES["ONEDNN_MAX_CPU_ISA"] if fixed else platform.machine()
    return {"threads": _late or int(VARIABLES[THREADS]), "instructions": instructions}


@functools.cache
def has_instructions():
    """Returns whether the processor is an x86-64 with AVX2 and FMA, as far as the system says."""
    if platform.machine() not in ("x86_64", "AMD64"):
        return False
    try:
        flags = set(Path("/proc/cpuinfo").read_text(encoding="utf-8").split())
    except OSError:  # not Linux
        return True
    return {"avx2", "fma"} <= flags


def _flags():
    """Returns the flags of XLA that this module sets, {name: value}."""
    if platform.machine() not in ("x86_64", "AMD64"):
        return {}
    # Without TensorFlow there is no flag to know; its absence is reported elsewhere.
    found = installed_version("tensorflow") or "0.0"
    version = tuple(map(int, found.split(".")[:2]))
    return {n: v for n, v in FLAGS.items() if n != MATH or version >= KNOWS_MATH}


def _threads_of_tensorflow():
    """Sets the threads of a TensorFlow that is imported already; returns 0, or its own number.

    It can no longer be set after the first tensor.
    """
    if "tensorflow" not in sys.modules:
        return 0
    threading = sys.modules["tensorflow"].config.threading
    try:
        threading.set_intra_op_parallelism_threads(int(VARIABLES[THREADS]))
    except RuntimeError:
        return threading.get_intra_op_parallelism_threads() or cores()
    return 0


def _set():
    """Sets the variables and flags where nothing else has set them; `check_arithmetic` compares.

    XLA moves constants out of a loop's body unless the pass is disabled. As inputs of the body they
    would no longer be constants, with which XLA simplifies the step, as it does in `fit`
    (docs/proof.md). A user's own list of disabled passes is extended.
    """
    for name, value in VARIABLES.items():
        os.environ.setdefault(name, value)
    name = "while-loop-invariant-code-motion"
    flags = os.environ.get("XLA_FLAGS", "").split()
    lists = [flag.removeprefix(f"{PASSES}=") for flag in flags if flag.startswith(f"{PASSES}=")]
    passes = [each for text in lists for each in text.split(",") if each]
    others = [flag for flag in flags if not flag.startswith(f"{PASSES}=")]
    given = {flag.split("=")[0] for flag in others}
    ours = [f"{name}={value}" for name, value in _flags().items() if name not in given]
    # One list, because of several XLA reads the last.
    passes = f"{PASSES}={','.join(dict.fromkeys([*passes, name]))}"
    os.environ["XLA_FLAGS"] = " ".join([*others, *ours, passes])


_set()
_late = _threads_of_tensorflow()
