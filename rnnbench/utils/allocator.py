"""The C library's allocator: freed memory is kept, or given back."""

import ctypes
import sys
from functools import cache

M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX = -1, -2, -4


def keep_freed_memory() -> None:
    """Keep freed memory in the process instead of giving it back and faulting it in again at the next step.

    With glibc only, elsewhere nothing happens. For long sequences on a processor a step takes up to a third less time;
    the process's memory does not shrink, which a worker's never needs to. (A layer with `checkpoint_steps` gives memory
    back all the same.)
    """
    if (library := _glibc()) is not None:
        library.mallopt(M_MMAP_MAX, 0)
        library.mallopt(M_TRIM_THRESHOLD, 2**31 - 1)
        library.mallopt(M_TOP_PAD, 64 * 2**20)


def return_freed_memory() -> None:
    """Give all freed memory back to the system, also that between what is in use. With glibc only."""
    if (library := _glibc()) is not None:
        library.malloc_trim(0)


@cache
def _glibc() -> ctypes.CDLL | None:
    """The C library, if it is glibc."""
    library = ctypes.CDLL(None) if sys.platform == "linux" else None
    return library if hasattr(library, "gnu_get_libc_version") else None
