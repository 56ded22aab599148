"""Times the tasks of `reproduce.py` one after another, and says what more cores would gain.

    python benchmarks/reproduce_tasks.py --data mnist

Each task has one thread, so it takes as long on a machine with more cores. The time with several
processes is then that of the schedule: a process that has ended its task takes the next one of the
list. What this leaves out is the start of the processes, and that cores share caches and memory.
"""

import heapq
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import tyro

import reproduce
from shared.command import job
from shared.command.line import exit_status
from shared.machine.process import end_process
from shared.show.terminal import print_table, text_table

PROCESSES = (1, 2, 4, 8, 16)


@dataclass
class ReproduceTasks:
    """Time each task of reproduce.py in one process, and print the schedules of several."""

    data: str = "auto"
    """auto, mnist, mnist-5k, or a path, as for reproduce.py."""


def scheduled(seconds, processes):
    """Returns the seconds until the last task ends.

    Args:
        seconds: list of the seconds of each task, in the order in which they begin.
        processes: number of processes; each takes the next task as soon as it has none.
    """
    free = [0.0] * processes
    for each in seconds:
        heapq.heappush(free, heapq.heappop(free) + each)
    return max(free)


def main():
    """Runs the main job in a temporary folder, and prints the times."""
    bench, found = tyro.cli(ReproduceTasks, prog="benchmarks/reproduce_tasks.py"), []

    def timed(tasks, processes, advance, say):
        results = []
        for function, arguments in tasks:
            began = time.perf_counter()
            results.append(function(*arguments, advance, say))
            name = " ".join([function.__name__, *map(str, arguments[1:])])
            found.append((name, time.perf_counter() - began))
            print(f"{name}: {found[-1][1]:.1f} s", file=sys.stderr)
        return results

    job.run_tasks, began = timed, time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        flags = ["--data", bench.data, "--processes", "1", "--out", str(Path(folder) / "results")]
        status = reproduce.main(flags)
    seconds = [each for _, each in found]
    rest = time.perf_counter() - began - sum(seconds)
    one = sum(seconds) + rest
    rows = [[name, f"{each:.1f}"] for name, each in found]
    rows += [["reading, table and page", f"{rest:.1f}"]]
    print_table(text_table("tasks in one process", ["task", "seconds"], rows, left=1))
    rows = [
        [str(number), f"{total:.0f}", f"{one / total:.2f}"]
        for number in PROCESSES
        for total in [scheduled(seconds, number) + rest]
    ]
    header = ["processes", "seconds", "times as fast"]
    print_table(text_table("schedule, each process on a core", header, rows, left=0))
    return status


if __name__ == "__main__":
    end_process(exit_status(main))
