"""What memory is left, on machines made of files."""

import resource

import pytest

from torchml_core import available_memory as module
from torchml_core.available_memory import available_memory, memory_left

GIB = 2**30
UNLIMITED = 9223372036854771712  # what version 1 says


@pytest.fixture
def machine(tmp_path):
    """Called with the texts of files, what memory_left says in GiB where 8 GiB are free."""

    def left(**files):
        files = {
            "proc/meminfo": f"MemTotal: {16 * GIB // 1024} kB\nMemAvailable: 8388608 kB",
            **files,
        }
        for name, text in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{text}\n")
        return memory_left(tmp_path) / GIB

    return left


def v2(group, limit, usage, inactive=0):
    folder = f"sys/fs/cgroup{group}"
    return {
        f"{folder}/memory.max": limit,
        f"{folder}/memory.current": usage,
        f"{folder}/memory.stat": f"anon 5\nfile 6\ninactive_file {inactive}",
    }


def v1(group, limit, usage, inactive=0):
    folder = f"sys/fs/cgroup/memory{group}"
    return {
        f"{folder}/memory.limit_in_bytes": limit,
        f"{folder}/memory.usage_in_bytes": usage,
        f"{folder}/memory.stat": f"cache 5\ninactive_file 7\ntotal_inactive_file {inactive}",
    }


def test_what_the_machine_has_free(machine):
    assert machine() == 8
    assert machine(**{"proc/self/cgroup": "0::/\n"}, **v2("", "max", 5)) == 8


def test_all_there_is_where_the_system_says_nothing(tmp_path):
    assert memory_left(tmp_path) > GIB / 4


def test_version_2_and_the_groups_around(machine):
    files = {
        "proc/self/cgroup": "0::/user.slice/job",
        **v2("/user.slice/job", "max", GIB),
        **v2("/user.slice", 5 * GIB, 3 * GIB, GIB),
        **v2("", "max", 20 * GIB),
    }
    assert machine(**files) == 3
    assert machine(**v2("/user.slice/job", 2 * GIB, GIB)) == 1
    assert machine(**v2("/user.slice/job", 2 * GIB, 3 * GIB)) == 0


def test_a_container_that_sees_only_its_own_group(machine):
    """The path is that of the machine; here, the group is mounted at the top."""
    assert machine(**{"proc/self/cgroup": "0::/../docker/ab12"}, **v2("", 3 * GIB, GIB)) == 2
    files = {"proc/self/cgroup": "4:cpuset:/docker/x\n7:cpu,memory:/docker/ab12\n0::/docker/ab12"}
    assert machine(**files, **v1("", 2 * GIB, GIB)) == 1


def test_version_1(machine):
    files = {
        "proc/self/cgroup": "9:name=systemd:/a:b\n4:memory:/slurm/job",
        **v1("/slurm/job", UNLIMITED, GIB),
        **v1("/slurm", 4 * GIB, 3 * GIB, GIB),
        **v1("", UNLIMITED, 6 * GIB),
    }
    assert machine(**files) == 2


def test_limit_of_the_address_space(machine):
    pages = 2 * GIB // resource.getpagesize()
    title = "Limit                     Soft Limit           Hard Limit           Units"
    for limit, expected in ((str(3 * GIB), 1), ("unlimited", 8)):
        limits = f"{title}\nMax address space         {limit:20s} unlimited            bytes"
        assert (
            machine(**{"proc/self/limits": limits, "proc/self/statm": f"{pages} 7 8"}) == expected
        )


def test_it_is_asked_again_after_a_while(monkeypatch):
    answers, now = iter([1, 2]), [100.0]
    monkeypatch.setattr(module, "_known", (-1.0, 0))
    monkeypatch.setattr(module, "memory_left", lambda: next(answers))
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    assert [available_memory(), available_memory()] == [1, 1]
    now[0] += 2
    assert available_memory() == 2
