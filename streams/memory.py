"""How much memory the C library keeps of what was freed."""

import ctypes

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8
"""Of ``malloc.h``."""
_KEPT_BYTES = 128 << 10


def give_back() -> None:
    """Have glibc give memory back that is no longer used; another library does as it does.

    By itself it keeps a heap a thread, and raises what it keeps with the largest block that was freed: a worker that
    has seen a flood of large spills would stay a quarter larger for ever.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_ARENA_MAX, 1)
        mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES)
        mallopt(_M_MMAP_THRESHOLD, _KEPT_BYTES)
