"""The control groups of this process: what a container or a batch system lets it use."""

from pathlib import Path, PurePosixPath


def control_groups(controller, root="/"):
    """Yield (version, folder) of each control group, 1 or 2, that has a controller.

    A process is in a group and in all groups around it. In a container, the path of its group may
    be that of the machine, which is not there: then the groups that are there count.

    Parameters
    ----------
    controller : str
        ``"memory"`` or ``"cpu"``.
    root : path-like
        Where ``proc`` and ``sys`` are; a test has its own.
    """
    mounted = Path(root) / "sys/fs/cgroup"
    for line in text_of(Path(root) / "proc/self/cgroup").splitlines():
        controllers, _, path = line.partition(":")[2].partition(":")
        path = PurePosixPath(path.lstrip("/"))
        groups = (path, *path.parents)
        if controller in controllers.split(","):
            yield from ((1, mounted / controller / group) for group in groups)
        elif not controllers:
            yield from ((2, mounted / group) for group in groups)


def text_of(path):
    """Return what is in a file of the system, nothing where there is no such file."""
    try:
        return path.read_text()
    except OSError:
        return ""
