"""How much memory this machine has, and how many cores."""

import math
import os

__all__ = ["cores", "machine_memory"]


def cores():
    """Returns the number of cores that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # only Linux has it
        return os.cpu_count() or 1


def machine_memory():
    """Returns the physical memory of this machine in bytes, or infinity if it is not known."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # Windows has no sysconf
        return math.inf
