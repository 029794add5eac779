"""Every public signature is annotated: editors show what goes in and what comes out."""

import inspect
from pathlib import Path

import torchml_core as tm
from torchml_core import ase, autograd, finite_differences, testing
from torchml_core.descriptors.base import Descriptor, Jacobian

MODULES = (ase, autograd, finite_differences, testing)


def public_functions():
    """Qualified name and function of everything public that can be called."""
    objects = [getattr(tm, name) for name in tm.__all__] + [Descriptor, Jacobian]
    for module in MODULES:
        own = [value for name, value in vars(module).items() if not name.startswith("_")]
        objects += [value for value in own if getattr(value, "__module__", "") == module.__name__]
    for thing in dict.fromkeys(value for value in objects if not inspect.ismodule(value)):
        if not inspect.isclass(thing):
            yield thing.__qualname__, thing
            continue
        for name, member in vars(thing).items():
            function = getattr(member, "fget", None) or getattr(member, "__func__", member)
            lambda_ = "<lambda>" in getattr(function, "__qualname__", "")
            public = name == "__init__" or not name.startswith("_")
            if inspect.isfunction(function) and public and not lambda_:
                yield function.__qualname__, function


def test_every_public_signature_is_annotated():
    bare = []
    for name, function in public_functions():
        if function.__module__ == "torchml_core._memory":
            continue  # compiled: its signature is in a .pyi file
        signature = inspect.signature(function)
        own = [p for p in signature.parameters.values() if p.name not in ("self", "cls")]
        bare += [f"{name}: {p.name}" for p in own if p.annotation is p.empty]
        if signature.return_annotation is signature.empty:
            bare.append(f"{name}: what it returns")
    assert not bare


def test_type_checkers_know_every_public_name():
    """They read __init__.pyi, since __init__.py imports names when they are first used."""
    stub = (Path(tm.__file__).parent / "__init__.pyi").read_text()
    for name in tm.__all__:
        assert f"{name} as {name}" in stub
    assert stub.count(" as ") == len(tm.__all__)
