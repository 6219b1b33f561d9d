"""Freed memory kept in the process."""

from __future__ import annotations

import ctypes
import sys

__all__ = ["keep_freed_memory"]

_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4  # of glibc's malloc.h


def keep_freed_memory() -> None:
    """Keeps freed memory in this process, to be allocated again; only with glibc, elsewhere nothing happens.

    glibc hands large blocks back to the kernel when they are freed, and the kernel clears every page of the next one. A
    training step of a small model frees and allocates a hundred megabytes (benchmarks/freed_memory.py).
    """
    if sys.platform == "linux" and hasattr(libc := ctypes.CDLL(None), "mallopt"):
        libc.mallopt(_M_MMAP_MAX, 0)
        libc.mallopt(_M_TRIM_THRESHOLD, -1)  # never
