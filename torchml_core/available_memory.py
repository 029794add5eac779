"""How much memory this process may still take: what the machine, its containers and limits leave.

A search that needs more is refused before it starts. Asking for memory would not fail: the system
promises more than it has, and ends the process when it is used.
"""

import os
import time
from pathlib import Path, PurePosixPath

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
    for limit, usage, statistics, name in _control_groups(root):
        # pages of files that nobody has used lately are counted, but given back at once
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
    limit = _text(root / "proc/self/limits").partition("Max address space")[2].split()[:1]
    used = _text(root / "proc/self/statm").split()[:1]
    if not limit or not limit[0].isdigit() or not used:
        return None
    return int(limit[0]) - int(used[0]) * os.sysconf("SC_PAGE_SIZE")


def _control_groups(root):
    """Limit, use, file of statistics and a field of it for each control group with a limit.

    A process is in a group and in all groups around it. In a container, the path of its group may
    be that of the machine, which is not there: then the groups that are there count.
    """
    mounted = root / "sys/fs/cgroup"
    for line in _text(root / "proc/self/cgroup").splitlines():
        controllers, _, path = line.partition(":")[2].partition(":")
        if not controllers and path:
            folder, files, name = mounted, ("memory.max", "memory.current"), "inactive_file"
        elif "memory" in controllers.split(","):
            folder = mounted / "memory"
            files = ("memory.limit_in_bytes", "memory.usage_in_bytes")
            name = "total_inactive_file"
        else:
            continue
        path = PurePosixPath(path.lstrip("/"))
        for group in {path, *path.parents}:
            limit, usage = (_text(folder / group / file).strip() for file in files)
            if limit.isdigit() and usage.isdigit():  # "max" is no limit
                yield int(limit), int(usage), folder / group / "memory.stat", name


def _fields(path):
    """Numbers by name of a file with ``name number`` in each line."""
    lines = (line.split() for line in _text(path).splitlines())
    return {words[0]: int(words[1]) for words in lines if len(words) > 1 and words[1].isdigit()}


def _text(path):
    try:
        return path.read_text()
    except OSError:
        return ""
