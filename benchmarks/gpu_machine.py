"""Describes the machine of benchmarks/gpu.py, and nothing that names its owner."""

import platform
import re
import shutil
import subprocess
from importlib import metadata
from pathlib import Path

from shared.command.implementation import quiet
from shared.machine.backend import BACKENDS
from shared.machine.versions import versions

__all__ = ["facts"]


def facts():
    """Describes the machine: {"gpus": [...], and what else decides its numbers}; TensorFlow's view.

    Nothing here names the owner: no host, user or path.
    """
    with quiet():
        import tensorflow as tf
    built = tf.sysconfig.get_build_info()
    gpus = []
    for device in tf.config.list_physical_devices("GPU"):
        details = tf.config.experimental.get_device_details(device)
        capability = ".".join(map(str, details.get("compute_capability", ())))
        gpus.append({"name": details.get("device_name", "unknown"), "capability": capability})
    return {
        "gpus": gpus,
        "nvidia-smi": _nvidia_smi(),
        "system": platform.system(),
        "processor": _processor(),
        "versions": {**versions(), **_installed()},
        "tensorflow, built for": {
            key: built[key] for key in ("cuda_version", "cudnn_version") if key in built
        },
        "TF32 by default": tf.config.experimental.tensor_float_32_execution_enabled(),
    }


def _nvidia_smi():
    """Returns name, driver and memory of each GPU as the driver's own tool prints them."""
    if not shutil.which("nvidia-smi"):
        return []
    query = ["nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"]
    done = subprocess.run(query, capture_output=True, text=True, check=False, timeout=30)
    return done.stdout.strip().splitlines() if done.returncode == 0 else []


def _processor():
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        text = ""
    names = re.findall(r"^model name\s*: (.*)$", text, re.MULTILINE)
    return names[0] if names else platform.processor() or platform.machine()


def _installed():
    """Returns {backend: version} of those that are installed, and of CUDA's libraries."""
    found = {}
    for each in metadata.distributions():
        name = (each.metadata["Name"] or "").lower()
        if name in BACKENDS or re.match(r"nvidia-(cudnn|cublas|cuda-nvcc)|jax-(cuda|rocm)", name):
            found[name] = each.version
    return dict(sorted(found.items()))
