"""Torch on one thread: the networks here are small, and the machine is shared."""

from one_thread import one_torch_thread  # noqa: F401  a fixture of all tests here
