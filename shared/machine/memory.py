"""How much memory this machine has."""

import math
import os

__all__ = ["machine_memory"]


def machine_memory():
    """Returns the physical memory of this machine in bytes, or infinity if it is not known."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # Windows has no sysconf
        return math.inf
