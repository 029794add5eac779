"""Our drivers in KIM's collections, and models that use them: list them, remove them."""

import contextlib
import mmap
import os
import re
import subprocess
import tempfile
from pathlib import Path
from typing import NamedTuple

from torchml_core.checks import one_of
from torchml_core.errors import InputError, InstallationError
from torchml_core.kim import system
from torchml_core.kim.system import COLLECTIONS, DEFAULT_DRIVER, Item

MARK = b"torchml_core driver of "  # in a driver's library, before the Python that it belongs to
# Driver names that models use; a model without such a driver may have had ours, since removed.
USUAL_DRIVERS = (DEFAULT_DRIVER, "TorchML__MD_173118614730_000", "TorchML__MD_173118614730_001")


class Installed(NamedTuple):
    """A driver of ours, or a model that uses one.

    Attributes
    ----------
    item : Item
    of : str
        The Python that a driver belongs to, or the driver that a model uses.
    hidden_by : str or None
        The collection with another item of this name, which KIM uses instead.
    """

    item: Item
    of: str
    hidden_by: str | None


def list_installed():
    """Return our installed drivers, then models, in the order in which KIM searches.

    Returns
    -------
    list of Installed

    Raises
    ------
    InstallationError
        The KIM-API is not installed, or its tool fails.
    """
    drivers, models = (system.installed_items(kind) for kind in ("driver", "model"))
    found = [(item, python_of(item)) for item in drivers]
    ours = {item.name for item, python in found if python is not None}
    names = ours | (set(USUAL_DRIVERS) - {item.name for item in drivers})
    found += [(item, _driver_of(item, names)) for item in models]
    return [
        Installed(item, of, _hidden_by(item, drivers if item.kind == "driver" else models))
        for item, of in found
        if of is not None
    ]


def python_of(driver):
    """Return the Python that a driver (an Item) was installed from; None if it is not ours."""
    for content in _contents(driver):
        found = re.search(MARK + rb"([^\0]+)", content)
        if found:
            return os.fsdecode(found[1])
    return None


def remove(names, collection=None, *, force=False):
    """Remove drivers and models from KIM's collections, with KIM's own tool.

    Parameters
    ----------
    names : sequence of str
    collection : {"user", "environment", "system"}, optional
        The collection to remove them from; None: the one that has them, if it is the only one.
    force : bool
        Also remove items that are not ours, and a driver that models use.

    Returns
    -------
    list of Item
        What was removed.

    Raises
    ------
    InputError
        A name that is not installed, is in several collections, is not ours, or is a driver that
        models use; nothing is removed then.
    InstallationError
        KIM's tool failed: permissions, mostly.
    """
    if collection is not None:
        one_of("collection", collection, COLLECTIONS)
    items = [item for kind in ("driver", "model") for item in system.installed_items(kind)]
    chosen = [_only_one(name, collection, items) for name in dict.fromkeys(names)]
    if not force:
        _require_ours_and_idle(chosen)
    for item in chosen:
        _remove(item)
    return chosen


def _driver_of(model, names):
    """The driver that a model uses, found by the drivers' names in its library; or None."""
    for content in _contents(model):
        for name in sorted(names):
            if content.find(b"\0" + name.encode() + b"\0") >= 0:
                return name
    return None


def _contents(item):
    """The bytes of an item's library, as they are on disk: nothing in it is run."""
    for library in item.libraries:
        with (
            contextlib.suppress(OSError, ValueError),  # not readable, or empty
            library.open("rb") as file,
            mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content,
        ):
            yield content


def _hidden_by(item, items):
    first = next(other for other in items if other.name == item.name)
    return None if first == item else first.collection


def _only_one(name, collection, items):
    there = [item for item in items if item.name == name and item.collection in COLLECTIONS]
    found = [item for item in there if collection in (None, item.collection)]
    if not found:
        where = f" in the collection {collection}" if collection else ""
        elsewhere = f" (but in {', '.join(item.collection for item in there)})" if there else ""
        raise InputError(
            f"name = {name!r}: no driver or model of this name is installed{where}{elsewhere}"
        )
    if len(found) > 1:
        where = " and ".join(item.collection for item in found)
        raise InputError(f"name = {name!r}: installed in {where}; a collection is needed")
    return found[0]


def _require_ours_and_idle(chosen):
    ours = list_installed()
    for item in chosen:
        if item not in [one.item for one in ours]:
            raise InputError(
                f"name = {item.name!r}: this {item.kind} does not belong to torchml_core; --force"
                " removes it anyway"
            )
    left = [one for one in ours if one.item not in chosen]
    drivers = {one.item.name for one in left if one.item.kind == "driver"}
    gone = {item.name for item in chosen if item.kind == "driver"} - drivers
    for one in left:
        if one.item.kind == "model" and one.of in gone:
            raise InputError(
                f"name = {one.of!r}: installed models use this driver, for example {one.item.name}"
                f" ({one.item.collection}): remove them first, or together with it; --force removes"
                " it anyway"
            )


def _remove(item):
    """Remove an item with KIM's tool, which takes the first item of this name that it sees."""
    with tempfile.TemporaryDirectory() as empty:
        command = [system.find_management(), "remove", "--force", item.name]
        environment = {**system.kim_environment(), **_without_others(item.collection, Path(empty))}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=empty)
    if done.returncode != 0 or item.folder.exists():
        said = (done.stdout + done.stderr).strip()
        raise InstallationError(
            f"{item.name} ({item.collection}) was not removed. KIM's tools said:\n{said[-4000:]}"
        )


def _without_others(collection, empty):
    """Environment variables that hide the collections that KIM's tool searches first."""
    variables = {}
    kinds = ("model-drivers", "portable-models", "simulator-models")
    if collection != "environment":
        variables |= {f"KIM_API_{kind.upper().replace('-', '_')}_DIR": "" for kind in kinds}
    if collection == "system":
        configuration = empty / "configuration"
        configuration.write_text("".join(f"{kind}-dir = {empty}\n" for kind in kinds))
        variables["KIM_API_CONFIGURATION_FILE"] = str(configuration)
    return variables
