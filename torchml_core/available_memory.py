"""How much memory this process may still take: what the machine, its containers and limits leave.

A search that needs more is refused before it starts. Asking for memory would not fail: the system
promises more than it has, and ends the process when it is used.
"""

import os
import time
from pathlib import Path

from torchml_core.control_groups import control_groups, text_of

ASKED_AGAIN_AFTER = 1.0  # seconds

_known = (-1.0, 0)  # when it was asked, and the answer


def available_memory():
    """Return the bytes that may still be taken, as they were at most a second ago."""
    global _known
    when, n_bytes = _known
    now = time.monotonic()
    if when < 0 or now - when > ASKED_AGAIN_AFTER:
        n_bytes = memory_left()
        _known = now, n_bytes  # both at once: threads need no lock
    return n_bytes


def memory_left(root="/"):
    """Return the least of what each limit leaves, in bytes.

    Parameters
    ----------
    root : path-like
        Where ``proc`` and ``sys`` are; a test has its own.
    """
    root = Path(root)
    left = [_machine(root), _address_space(root)]
    for limit, usage, statistics, name in _limits(root):
        # pages of files that were not used lately are counted, but are freed on demand
        left.append(limit - usage + _fields(statistics).get(name, 0))
    return max(0, min(n_bytes for n_bytes in left if n_bytes is not None))


def _machine(root):
    """What is free or can be made free; all there is where the system does not say."""
    free = _fields(root / "proc/meminfo").get("MemAvailable:")
    if free is not None:
        return free * 1024
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _address_space(root):
    """What RLIMIT_AS (``ulimit -v``) leaves; None if it is not set."""
    limit = text_of(root / "proc/self/limits").partition("Max address space")[2].split()[:1]
    used = text_of(root / "proc/self/statm").split()[:1]
    if not limit or not limit[0].isdigit() or not used:
        return None
    return int(limit[0]) - int(used[0]) * os.sysconf("SC_PAGE_SIZE")


def _limits(root):
    """Limit, use, file of statistics and a field of it for each control group with a limit."""
    for version, group in control_groups("memory", root):
        if version == 2:
            files, name = ("memory.max", "memory.current"), "inactive_file"
        else:
            files = ("memory.limit_in_bytes", "memory.usage_in_bytes")
            name = "total_inactive_file"
        limit, usage = (text_of(group / file).strip() for file in files)
        if limit.isdigit() and usage.isdigit():  # "max" is no limit
            yield int(limit), int(usage), group / "memory.stat", name


def _fields(path):
    """Numbers by name of a file with ``name number`` in each line."""
    lines = (line.split() for line in text_of(path).splitlines())
    return {words[0]: int(words[1]) for words in lines if len(words) > 1 and words[1].isdigit()}
