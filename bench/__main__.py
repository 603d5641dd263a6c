"""Measure the figures of docs/benchmarks.md and print them beside their bars.

CPU time is that of this process alone; the simulated Planfix has one of its own. Each figure
is a ratio to what was measured in the same minutes, so that the machine matters little.
`BENCH_FULL=1` takes the long measurements too: 100,000 contacts for the CPU, a million for
the memory.
"""

import logging
import os
import platform

import structlog

from bench import both_ways, cost, process, receiver
from bench.figures import Figure, table


def main() -> None:
    """Measure everything and print one table."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    full = os.environ.get("BENCH_FULL") == "1"
    print(f"Python {platform.python_version()} on {platform.system()} {platform.machine()}")
    figures: list[Figure] = []
    for contacts, rounds in ((10_000, 5), (100_000, 3))[: 2 if full else 1]:
        figures += cost.figures(contacts, rounds)
    figures += process.figures(10_000, 1_000_000 if full else 200_000)
    figures += both_ways.figures(50_000, 3)
    figures += receiver.figures(5, 1.0)
    print(table(figures))


if __name__ == "__main__":
    main()
