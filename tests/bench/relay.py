#!/usr/bin/env python3
"""Measures a relay: what it adds to an echo round trip, and its throughput against `cat` in the same place.

    relay.py --programs build/bench/relay --output build/bench-relay.json [--relay 'npxc ... {server}']

`--relay` is the command line of the relayed variant. `{server}` as a word of its own becomes the words of the server's
command, `{server_line}` that command as one word for a shell. The default is the relay alone, without a sandbox.

Plain and relayed runs alternate, so that a disturbance of the machine meets both. A figure is the median of all rounds
of a variant (round trip) or of its runs (throughput); the spread is given beside it.
"""

import argparse
import json
import os
import platform
import shlex
import statistics
import subprocess
import sys

MIB = 1024 * 1024


def quantile(values, share):
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def relayed(template, server):
    words = []
    for word in shlex.split(template):
        if word == "{server}":
            words += server
        else:
            words.append(word.replace("{server_line}", shlex.join(server)))
    return words


def output_of(argv):
    return subprocess.run(argv, check=True, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True).stdout


def round_trip(options, kind):
    server = [options.programs, "echo"]
    commands = {"plain": server, "relayed": relayed(options.relay, server)}
    times = {name: [] for name in commands}
    medians = {name: [] for name in commands}
    for _ in range(options.runs):
        for name, command in commands.items():
            lines = output_of([options.programs, "roundtrip", kind, str(options.rounds), str(options.size), *command])
            block = [float(line) for line in lines.split()]
            times[name] += block
            medians[name].append(statistics.median(block))
    result = {
        name: {
            "median_us": statistics.median(values),
            "p10_us": quantile(values, 0.10),
            "p90_us": quantile(values, 0.90),
            "run_medians_us": medians[name],
        }
        for name, values in times.items()
    }
    result["added_us"] = result["relayed"]["median_us"] - result["plain"]["median_us"]
    # Of each plain run and the relayed one right after it.
    result["added_us_of_runs"] = [r - p for p, r in zip(medians["plain"], medians["relayed"])]
    return result


def one_way(options, kind, piece):
    server = [options.programs, "source", str(options.bytes), str(piece)]
    commands = {
        "cat": ["sh", "-c", shlex.join(server) + " | cat"],
        "relayed": relayed(options.relay, server),
    }
    rates = {name: [] for name in commands}
    for _ in range(options.runs):
        for name, command in commands.items():
            count, seconds = output_of([options.programs, "oneway", kind, *command]).split()
            if int(count) != options.bytes:
                sys.exit(f"relay.py: {name} delivered {count} of {options.bytes} bytes")
            rates[name].append(options.bytes / MIB / float(seconds))
    result = {
        name: {"median_mib_s": statistics.median(values), "min_mib_s": min(values), "max_mib_s": max(values)}
        for name, values in rates.items()
    }
    result["ratio"] = result["relayed"]["median_mib_s"] / result["cat"]["median_mib_s"]
    result["ratios_of_runs"] = [r / c for c, r in zip(rates["cat"], rates["relayed"])]
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--programs", required=True, help="the program built from tests/bench/relay.c")
    parser.add_argument("--output", required=True, help="the JSON file to write")
    parser.add_argument("--relay", help="command line of the relayed variant")
    parser.add_argument("--runs", type=int, default=7, help="alternating runs of each variant")
    parser.add_argument("--rounds", type=int, default=3000, help="echoes per run")
    parser.add_argument("--size", type=int, default=200, help="bytes of one echoed line")
    parser.add_argument("--bytes", type=int, default=1024 * MIB, help="bytes sent one way")
    options = parser.parse_args()
    options.programs = os.path.abspath(options.programs)
    options.relay = options.relay or shlex.join([options.programs, "pump"]) + " {server}"

    result = {
        "machine": {"system": platform.platform(), "cpus": os.cpu_count(), "load": os.getloadavg()[0]},
        "relay": options.relay,
        "round_trip": {},
        "one_way": {},
    }
    for kind in ("pipe", "socket"):
        figures = result["round_trip"][kind] = round_trip(options, kind)
        print(
            "round trip, {:6}  plain {:7.1f} us ({:.1f}..{:.1f})  relayed {:7.1f} us ({:.1f}..{:.1f})  added {:+.1f} us".format(
                kind,
                *(figures[name][key] for name in ("plain", "relayed") for key in ("median_us", "p10_us", "p90_us")),
                figures["added_us"],
            )
        )
    for kind in ("pipe", "socket"):
        for piece in (1024, 65536, 16 * MIB):
            figures = result["one_way"][f"{kind}, lines of {piece}"] = one_way(options, kind, piece)
            print(
                "one way, {:6}  lines of {:8}  cat {:6.0f} MiB/s ({:.0f}..{:.0f})  relayed {:6.0f} MiB/s ({:.0f}..{:.0f})  ratio {:.2f}".format(
                    kind,
                    piece,
                    *(
                        figures[name][key]
                        for name in ("cat", "relayed")
                        for key in ("median_mib_s", "min_mib_s", "max_mib_s")
                    ),
                    figures["ratio"],
                )
            )
    with open(options.output, "w", encoding="utf-8") as file:
        json.dump(result, file, indent="\t")
        file.write("\n")


if __name__ == "__main__":
    main()
