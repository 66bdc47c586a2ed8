#!/usr/bin/env python3
"""Runs the benchmarks against one npxc and puts their figures, with the machine's name, into one file.

    all.py --npxc build/npxc --programs build/bench/relay --output build/bench.json
"""

import argparse
import json
import os
import pathlib
import platform
import shlex
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent


def machine():
    model = platform.machine()
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.split(":", 1)[1].strip()
            break
    return {"cpu": model, "cpus": os.cpu_count(), "system": platform.platform(), "load_before": os.getloadavg()[0]}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--npxc", default="build/npxc")
    parser.add_argument("--programs", default="build/bench/relay")
    parser.add_argument("--output", default="build/bench.json")
    options = parser.parse_args()
    npxc, programs, output = (pathlib.Path(p).resolve() for p in (options.npxc, options.programs, options.output))
    start, relay, lines, egress = (output.with_name(f"bench-{part}.json")
                                   for part in ("start", "relay", "lines", "egress"))
    leases = output.with_name("bench-leases.json")
    figures = {"machine": machine()}
    print(f"machine    {figures['machine']['cpu']}, {figures['machine']['cpus']} processors, {figures['machine']['system']}, "
          f"load {figures['machine']['load_before']:.1f}", flush=True)
    subprocess.run([sys.executable, HERE / "start.py", "--npxc", npxc, "--output", start], check=True)
    subprocess.run([npxc, "install", HERE / "runner"], check=True, stdout=subprocess.DEVNULL)
    # the echoing and sending programs run inside the sandbox, with npxc in front
    line = shlex.join([str(npxc), "--mount", str(programs), str(HERE / "runner")]) + " {server}"
    subprocess.run([sys.executable, HERE / "relay.py", "--programs", programs, "--output", relay, "--relay", line],
                   check=True)
    subprocess.run([sys.executable, HERE / "lines.py", "--programs", programs, "--output", lines], check=True)
    subprocess.run([sys.executable, HERE / "egress.py", "--npxc", npxc, "--program", programs.with_name("egress"),
                    "--output", egress], check=True)
    subprocess.run([sys.executable, HERE / "leases.py", "--npxc", npxc, "--program", programs.with_name("lease"),
                    "--output", leases], check=True)
    figures["leases"] = json.loads(leases.read_text())
    figures["egress"] = json.loads(egress.read_text())
    figures["lines"] = json.loads(lines.read_text())
    figures["start"] = json.loads(start.read_text())
    figures["relay"] = json.loads(relay.read_text())
    output.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    sys.exit(main())
