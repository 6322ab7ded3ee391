"""Measures what processes of Python say to each other: the CPU time of all processes.

The program `ipc` starts this script. For each line of its input, which names a case, the script
measures once, and prints the microseconds for a message of 64 bytes and its answer through a
`Pipe` (`pipe`), for an item through a `Queue` to another process (`queue`), or for a `put` and a
`get` at the queue of a `BaseManager` over TCP (`manager`).
"""

import multiprocessing
import os
import queue
import sys
import time
from multiprocessing.managers import BaseManager

LENGTH = 64
ROUND_TRIPS = 2_000
ITEMS = 20_000
CALLS = 1_000

CONTEXT = multiprocessing.get_context("fork")


def cpu(pids):
    # The clock of another process, see clock_getcpuclockid(3).
    return sum(time.clock_gettime(~pid << 3 | 2) for pid in pids)


def measure(pids, count, work):
    before = cpu(pids)
    work()
    return (cpu(pids) - before) / count * 1e6


def answer(connection):
    while (message := connection.recv()) is not None:
        connection.send(message)


def consume(items, acknowledge):
    while True:
        for _ in range(ITEMS):
            items.get()
        acknowledge.send(True)


class Manager(BaseManager):
    pass


QUEUE = queue.Queue()
Manager.register("queue", callable=lambda: QUEUE)


def main():
    ours, theirs = CONTEXT.Pipe()
    echo = CONTEXT.Process(target=answer, args=(theirs,), daemon=True)
    echo.start()

    items = CONTEXT.Queue()
    finished, acknowledge = CONTEXT.Pipe(duplex=False)
    consumer = CONTEXT.Process(target=consume, args=(items, acknowledge), daemon=True)
    consumer.start()

    manager = Manager(("127.0.0.1", 0), b"a key of the bench", ctx=CONTEXT)
    manager.start()
    remote = manager.queue()

    # Each is an object of its own: pickle sends the same object only once.
    messages = [os.urandom(LENGTH) for _ in range(ITEMS)]

    def pipe():
        for message in messages[:ROUND_TRIPS]:
            ours.send(message)
            ours.recv()

    def one_way():
        for message in messages:
            items.put(message)
        finished.recv()

    def calls():
        for message in messages[:CALLS]:
            remote.put(message)
            remote.get()

    own = os.getpid()
    cases = {
        "pipe": ([own, echo.pid], ROUND_TRIPS, pipe),
        "queue": ([own, consumer.pid], ITEMS, one_way),
        "manager": ([own, manager._process.pid], CALLS, calls),
    }
    for line in sys.stdin:
        print(measure(*cases[line.strip()]), flush=True)
    manager.shutdown()


if __name__ == "__main__":
    main()
