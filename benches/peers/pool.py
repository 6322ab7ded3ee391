"""Measures the pools of Python: the CPU time of all processes for each job.

    pool.py [WORKERS]

The program `pool` starts this script. For each line of its input the script measures once,
and prints the microseconds for a `Pool.apply`, for a `ProcessPoolExecutor.submit` whose
result is awaited, and for an item of a `Pool.map` in chunks of 100.
"""

import multiprocessing
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor

LENGTH = 39
ONE_BY_ONE = 500
ITEMS = 50_000
CHUNK = 100


def echo(value):
    return value


def descendants():
    """Returns this process and its children, the server of `fork` included."""
    return [os.getpid(), *(child.pid for child in multiprocessing.active_children())]


def cpu(pids):
    # The clock of another process, see clock_getcpuclockid(3).
    return sum(time.clock_gettime(~pid << 3 | 2) for pid in pids)


def measure(pids, count, work):
    before = cpu(pids)
    work()
    return (cpu(pids) - before) / count * 1e6


def main():
    context = multiprocessing.get_context("fork")
    # By default a process for each core, in both.
    workers = int(sys.argv[1]) if len(sys.argv) > 1 else None
    with (
        context.Pool(workers) as pool,
        ProcessPoolExecutor(workers, mp_context=context) as executor,
    ):
        pool.apply(echo, (b"",))
        # The executor starts its processes as jobs come.
        for job in [executor.submit(echo, b"") for _ in range(100)]:
            job.result()
        pids = descendants()
        # Each is an object of its own: pickle sends the same object only once.
        items = [os.urandom(LENGTH) for _ in range(ITEMS)]

        def apply():
            for item in items[:ONE_BY_ONE]:
                pool.apply(echo, (item,))

        def submit():
            for item in items[:ONE_BY_ONE]:
                executor.submit(echo, item).result()

        def each():
            pool.map(echo, items, chunksize=CHUNK)

        for _ in sys.stdin:
            figures = (
                measure(pids, ONE_BY_ONE, apply),
                measure(pids, ONE_BY_ONE, submit),
                measure(pids, ITEMS, each),
            )
            print(*figures, flush=True)


if __name__ == "__main__":
    main()
