"""Who computes the blocks of a file of features: this process, others, or workers of dask."""

from __future__ import annotations

import collections
import contextlib
import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, ThreadPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import TYPE_CHECKING

from torchml_core.dataset.feature_work import FeatureWork, values_of
from torchml_core.errors import InputError, InstallationError, ModelError
from torchml_core.threads import resolve_threads

if TYPE_CHECKING:
    from typing import Any

AHEAD = 3  # blocks that each worker or thread has, or will have next


def computed(work: FeatureWork, blocks: list, workers: int, n_threads: int | None, dask: Any):
    """Yield each block with the errors of its structures, after its values have been written.

    Parameters
    ----------
    work : FeatureWork
    blocks : list of (first, end)
    workers : int
        Processes.
    n_threads : int or None
        Of each.
    dask : address or Client, or None
    """
    if dask is not None:
        yield from _by_dask(work, blocks, n_threads, dask)
    elif workers > 1 and len(blocks) > 1:
        yield from _by_processes(work, blocks, min(workers, len(blocks)), n_threads or 1)
    else:
        yield from _by_threads(work, blocks, n_threads)


# ---- threads of this process


def _by_threads(work, blocks, n_threads):
    """Whole blocks in each thread: Python's part of one goes on beside the kernel of another."""
    threads = resolve_threads(n_threads).most
    if threads == 1 or len(blocks) < AHEAD * threads:  # few large structures
        for first, end in blocks:
            yield (first, end), work.compute(first, end, n_threads)
        return
    pool = ThreadPoolExecutor(threads)
    try:
        yield from _in_turns(
            lambda block: pool.submit(work.compute, *block, 1), blocks, AHEAD * threads
        )
    finally:
        pool.shutdown(cancel_futures=True)


# ---- processes of this machine, which write to the file themselves


def _by_processes(work, blocks, workers, n_threads):
    pool = ProcessPoolExecutor(
        workers,
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_start,
        initargs=(work.path, work.descriptor),
    )
    try:
        yield from _in_turns(
            lambda block: pool.submit(_compute, *block, n_threads), blocks, workers * AHEAD
        )
    except BrokenProcessPool:
        raise ModelError(
            f"{work.path}: a worker process has ended early, perhaps for lack of memory; what is in"
            " the file is kept, and resuming continues after it"
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)


def _in_turns(submit, blocks, most):
    """Yield each block with its result; no more than so many are under way."""
    waiting, pending = collections.deque(blocks), {}
    while waiting or pending:
        while waiting and len(pending) < most:
            block = waiting.popleft()
            pending[submit(block)] = block
        for future in wait(pending, return_when=FIRST_COMPLETED).done:
            yield pending.pop(future), future.result()


def _start(path, descriptor):
    """Prepare a worker process."""
    global _work
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent gets Ctrl-C, and ends this process
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _work = FeatureWork(path, descriptor)


def _end_with_parent():
    """A worker whose parent was killed would wait for its next block forever."""
    multiprocessing.connection.wait([multiprocessing.parent_process().sentinel])
    os._exit(1)


def _compute(first, end, n_threads):
    return _work.compute(first, end, n_threads)


# ---- workers of dask, perhaps on other machines, which send the values


def _by_dask(work, blocks, n_threads, dask):
    try:
        from distributed import Client, as_completed
    except ImportError:
        raise InstallationError(
            "dask: dask.distributed is needed; install it with torchml_core[cluster]"
        ) from None
    with contextlib.ExitStack() as stack:
        client = dask if isinstance(dask, Client) else stack.enter_context(_client(Client, dask))
        descriptor = client.scatter(work.descriptor, broadcast=True)
        most = max(1, sum(client.nthreads().values())) * AHEAD
        waiting = iter(blocks)
        futures = as_completed()
        block_of = {}

        def submit():
            for block in waiting:
                structures = work.block(*block).structures
                future = client.submit(
                    values_of,
                    descriptor,
                    work.species,
                    structures,
                    work.dtype,
                    n_threads,
                    pure=False,
                )
                block_of[future.key] = block
                futures.add(future)
                return

        for _ in range(most):
            submit()
        for future in futures:
            block = block_of.pop(future.key)
            errors = work.write(block[0], _result(future))
            future.release()
            submit()
            yield block, errors


def _result(future):
    try:
        return future.result()
    except Exception as error:  # a worker was lost, or lacks a package
        raise ModelError(
            f"dask: a worker failed ({type(error).__name__}: {error}); what is in the file is kept,"
            " and resuming continues after it"
        ) from None


def _client(kind, address):
    try:
        return kind(address, timeout=20)
    except (OSError, ValueError, TypeError) as error:
        raise InputError(
            f"dask = {address!r}: the address of a scheduler of dask that answers is needed"
            f" ({error})"
        ) from None
