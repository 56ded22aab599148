"""Runs independent tasks in several processes, one thread of computation each.

A training with one thread has the same bits on every machine (shared/machine/arithmetic.py), so
more cores make a job with several trainings faster by computing these side by side.
"""

import concurrent.futures
import multiprocessing
import multiprocessing.connection
import os
import queue
import signal
import threading

from shared.machine.arithmetic import THREADS, VARIABLES, use_threads
from shared.machine.memory import cores, machine_memory

__all__ = ["default_processes", "run_tasks"]

MEMORY = 2**31  # bytes that a process may need
_channel = {}  # of a process that `run_tasks` has started: the queue of its reports, and the signal


def default_processes():
    """Returns the number of cores that this process may use, or fewer if memory is small."""
    return max(1, int(min(cores(), machine_memory() // MEMORY)))


def run_tasks(tasks, processes, advance, say):
    """Calls functions, in this process or in several, and returns their results.

    Args:
        tasks: list of (function, arguments). The function is called with the arguments, `advance`
            and `say`; with several processes, all must be picklable.
        processes: number of processes; with 1, the tasks are called here, one after another. In
            several processes they begin in the order of the list.
        advance: function of (steps, text) that is called here with the progress of a task.
        say: function of a line of text that is called here.
    Returns:
        list of results, in the order of the tasks.
    Raises:
        Exception: of the first task that fails; the other tasks are ended after their epoch.
    """
    if min(processes, len(tasks)) <= 1:
        return [function(*arguments, advance, say) for function, arguments in tasks]
    context = multiprocessing.get_context("spawn")  # TensorFlow does not survive a fork
    reports, stop = context.Queue(), context.Event()
    threads = int(VARIABLES[THREADS])
    with concurrent.futures.ProcessPoolExecutor(
        min(processes, len(tasks)), context, _begin, (reports, stop, threads)
    ) as pool:
        try:
            futures = [pool.submit(_call, *task) for task in tasks]
            ended = 0
            while ended < len(tasks):
                ended += _report(reports, advance, say)
                for future in futures:
                    if future.done():
                        future.result()  # raises the task's exception
        except BaseException:
            stop.set()
            pool.shutdown(cancel_futures=True)  # waits for the tasks that have begun
            raise
        return [future.result() for future in futures]


def _report(reports, advance, say):
    """Passes on what the processes have reported, and returns how many tasks have ended.

    It waits a moment for the first report.
    """
    ended, seconds = 0, 0.2
    try:
        while True:
            kind, arguments = reports.get(timeout=seconds)
            if kind == "end":
                ended += 1
            else:
                {"advance": advance, "say": say}[kind](*arguments)
            seconds = 0.001
    except queue.Empty:
        return ended


def _begin(reports, stop, threads):
    """Sets up a process of the pool."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent gets Ctrl-C, too, and sets `stop`
    threading.Thread(target=_end_with_parent, daemon=True).start()
    use_threads(threads)
    _channel.update(reports=reports, stop=stop)


def _end_with_parent():
    """Ends this process at once when its parent has ended, even by SIGKILL."""
    multiprocessing.connection.wait([multiprocessing.parent_process().sentinel])
    os._exit(1)


def _call(function, arguments):
    """Calls the function of a task in a process of the pool."""

    def advance(steps, text):
        _channel["reports"].put(("advance", (steps, text)))
        if _channel["stop"].is_set():
            raise KeyboardInterrupt

    try:
        return function(*arguments, advance, lambda line: _channel["reports"].put(("say", (line,))))
    finally:
        # A result may arrive before the reports, which are read until this one.
        _channel["reports"].put(("end", ()))
