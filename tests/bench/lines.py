#!/usr/bin/env python3
"""Measures the relay's decisions about lines, without a sandbox: throughput against `cat`, CPU of a line, memory, and
calls that name files.

    lines.py --programs build/bench/relay --output build/bench-lines.json

A figure is the median of alternating runs; only the ratios and differences mean something on another machine.
"""

import argparse
import json
import os
import shlex
import statistics
import subprocess
import sys

MIB = 1 << 20


def one_way(command):
    """bytes, seconds, and what `lines` says of itself."""
    done = subprocess.run(command, check=True, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    count, seconds = done.stdout.split()
    own = dict(line.split() for line in done.stderr.splitlines() if len(line.split()) == 2)
    return int(count), float(seconds), {name: float(value) for name, value in own.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--programs", required=True, help="the program built from tests/bench/relay.c")
    parser.add_argument("--output", required=True, help="the JSON file to write")
    parser.add_argument("--runs", type=int, default=3, help="alternating runs of each variant")
    parser.add_argument("--bytes", type=int, default=1024 * MIB, help="bytes sent one way")
    options = parser.parse_args()
    program = os.path.abspath(options.programs)
    result = {"one_way": {}}

    for size in (1024, 65536, 16 * MIB):
        source = [program, "source", str(options.bytes), str(size)]
        commands = {"cat": ["sh", "-c", shlex.join(source) + " | cat"], "lines": [program, "lines", *source]}
        rates, cpu = {name: [] for name in commands}, []
        for _ in range(options.runs):
            for name, command in commands.items():
                count, seconds, own = one_way([program, "oneway", "pipe", *command])
                if count != options.bytes:
                    sys.exit(f"lines.py: {name} delivered {count} of {options.bytes} bytes")
                rates[name].append(count / MIB / seconds)
                if own:
                    cpu.append(own["cpu"] / (count / size) * 1e6)
        figures = {f"{name}_mib_s": statistics.median(values) for name, values in rates.items()}
        figures["ratio"] = figures["lines_mib_s"] / figures["cat_mib_s"]
        figures["cpu_us_a_line"] = statistics.median(cpu)
        result["one_way"][str(size)] = figures
        print("lines of {:8}  cat {cat_mib_s:5.0f} MiB/s  relay {lines_mib_s:5.0f} MiB/s  ratio {ratio:.2f}  "
              "CPU {cpu_us_a_line:.2f} us a line".format(size, **figures))

    peaks = {count: one_way([program, "oneway", "pipe", program, "lines", program, "source", str(count * 1024), "1024"])[2]["rss"]
             for count in (10000, 1000000)}
    result["peak_kib"] = peaks
    print("peak memory after {} messages {:.0f} KiB, after {} {:.0f} KiB".format(*(x for pair in peaks.items() for x in pair)))

    medians = {}
    for _ in range(options.runs):
        for earlier in (10, 10000):
            times = subprocess.run([program, "calls", "2000", str(earlier)], check=True, capture_output=True, text=True).stdout
            medians.setdefault(earlier, []).append(statistics.median(map(float, times.split())))
    result["call_us"] = {earlier: statistics.median(values) for earlier, values in medians.items()}
    print("call with a path, and its answer: {:.1f} us after 10 publications, {:.1f} us after 10000".format(
        *result["call_us"].values()))

    with open(options.output, "w", encoding="utf-8") as file:
        json.dump(result, file, indent="\t")
        file.write("\n")


if __name__ == "__main__":
    main()
