#!/usr/bin/env python3
"""Measures the way out of a sandbox beside a direct connection in the same run.

    egress.py --npxc build/npxc --program build/bench/egress --output build/bench-egress.json

* connect and one byte there and back (link netns: a C program, both through Node for link socket)
* an HTTPS download by Node, on links netns and socket
* 2,000 idle flows: resident memory of the egress process
* new flows, and refusals, for each second of the egress process's own processor time; the time of an allowed flow
  while refusals come as fast as they go
* a start with an allowlist beside one with network none

Direct and measured runs alternate; medians, and the spread beside them.
"""

import argparse
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
RUNNER = HERE / "runner"
HTTPS = HERE / "https.cjs"
HOST = "host.npxc.internal"


def numbers(text):
    return [float(line) for line in text.split()]


def spread(values):
    values = sorted(values)
    return {"median": statistics.median(values), "p10": values[len(values) // 10],
            "p90": values[len(values) * 9 // 10], "count": len(values)}


class Bench:
    def __init__(self, options, home):
        self.npxc = options.npxc
        self.program = options.program
        self.runs = options.runs
        self.home = home
        self.env = {**os.environ, "HOME": str(home)}
        # One store for every run of this program.
        self.env.setdefault("XDG_CACHE_HOME", os.path.join(os.path.expanduser("~"), ".cache"))
        self.packages = home / ".config/npxc/packages"
        self.packages.mkdir(parents=True)
        subprocess.run([self.npxc, "install", RUNNER], env=self.env, check=True, stdout=subprocess.DEVNULL)

    def configure(self, link, *allow):
        (self.packages / "npxc-bench-runner.json").write_text(
            json.dumps({"package_dir": str(RUNNER), "stdout_guard": False, "network": {"mode": "allowlist", "link": link, "allow": list(allow)}}))

    def inside(self, *words):
        return [str(self.npxc), "--mount", str(self.program), "--mount", str(HTTPS), str(RUNNER), *map(str, words)]

    def output(self, argv):
        return numbers(subprocess.run(argv, env=self.env, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                      stderr=subprocess.PIPE, text=True).stdout)

    def start(self, argv, **more):
        return subprocess.Popen(list(map(str, argv)), env=self.env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, **more)

    def compare(self, direct, measured):
        values = {"direct": [], "npxc": []}
        ratios = []
        for _ in range(self.runs):
            pair = {"direct": self.output(list(map(str, direct))), "npxc": self.output(self.inside(*measured))}
            for name, block in pair.items():
                values[name] += block
            ratios.append(statistics.median(pair["npxc"]) / statistics.median(pair["direct"]))
        return {"direct": spread(values["direct"]), "npxc": spread(values["npxc"]), "ratio": spread(ratios)}


def egress_process(launcher):
    """The one of this launcher: its child of that name."""
    for entry in pathlib.Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and (entry / "comm").read_text() == "npxc-egress\n" \
                    and int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1]) == launcher:
                return int(entry.name)
        except OSError:
            continue
    raise LookupError("no egress process")


def cpu_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_kib(pid):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    raise LookupError("VmRSS")


def connecting(bench, port):
    bench.configure("netns", f"{HOST}:{port}")
    netns = bench.compare([bench.program, "echo", "127.0.0.1", port, 500], [bench.program, "echo", HOST, port, 500])
    bench.configure("socket", f"{HOST}:{port}")
    node = shutil.which("node")
    socket = bench.compare([node, HTTPS, "echo", "127.0.0.1", port, 200], ["node", HTTPS, "echo", HOST, port, 200])
    return {"netns_us": netns, "socket_us": socket}


def downloading(bench):
    key, certificate = bench.home / "key.pem", bench.home / "certificate.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                    "-subj", "/CN=bench.test", "-days", "2", "-keyout", key, "-out", certificate],
                   check=True, stderr=subprocess.DEVNULL)
    node = shutil.which("node")
    result = {}
    with bench.start([node, HTTPS, "serve", key, certificate]) as server:
        port = int(server.stdout.readline())
        for link in ("netns", "socket"):
            bench.configure(link, f"{HOST}:{port}")
            result[f"{link}_mib_s"] = bench.compare([node, HTTPS, "get", "127.0.0.1", port, 128, 3],
                                                    ["node", HTTPS, "get", HOST, port, 128, 3])
        server.stdin.close()
    return result


def holding(bench, port, count):
    bench.configure("netns", f"{HOST}:{port}")
    with bench.start(bench.inside(bench.program, "hold", HOST, port, count)) as launcher:
        assert launcher.stdout.readline() == "held\n"
        kib = resident_kib(egress_process(launcher.pid))
        launcher.stdin.close()
    return {"flows": count, "resident_kib": kib}


def per_cpu_second(bench, port, what, host, target_port, seconds=4):
    """How many for each second of the egress process's processor time; also for each second on the clock."""
    bench.configure("netns", f"{HOST}:{port}")
    rates, clocks = [], []
    for _ in range(max(2, bench.runs // 2)):
        with bench.start(bench.inside("sh", "-c", f"echo up; read go; {bench.program} {what} {host} {target_port} {seconds}; read end"),
                         stderr=subprocess.DEVNULL) as launcher:
            assert launcher.stdout.readline() == "up\n"
            pid = egress_process(launcher.pid)
            before = cpu_seconds(pid)
            launcher.stdin.write("go\n")
            launcher.stdin.flush()
            count = int(launcher.stdout.readline())
            rates.append(count / max(0.01, cpu_seconds(pid) - before))
            clocks.append(count / seconds)
            launcher.stdin.close()
    return {"per_cpu_second": spread(rates), "per_second": spread(clocks)}


def under_refusals(bench, port):
    """An allowed flow's time while two programs are refused as fast as they can ask, and while nobody else asks."""
    bench.configure("netns", f"{HOST}:{port}")
    program = bench.program
    flood = f"{program} refused 203.0.113.7 {port} 4 >/dev/null & {program} refused 203.0.113.8 {port} 4 >/dev/null & "
    values = {"alone": [], "beside": []}
    for _ in range(bench.runs):
        values["alone"] += bench.output(bench.inside(program, "echo", HOST, port, 200))
        values["beside"] += bench.output(bench.inside("sh", "-c", f"{flood} sleep 0.3; {program} echo {HOST} {port} 200; wait"))
    alone, beside = spread(values["alone"]), spread(values["beside"])
    return {"alone_us": alone, "beside_us": beside, "ratio": beside["median"] / alone["median"]}


def starting(bench, rounds):
    def clock(*flags):
        began = time.perf_counter_ns()
        with subprocess.Popen([bench.npxc, *flags, RUNNER], env=bench.env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL) as process:
            assert process.stdout.read(1)
            first = time.perf_counter_ns()
            process.stdout.read()
        return (first - began) / 1e6

    bench.configure("netns", f"{HOST}:8443")
    values = {"none": [], "allowlist": []}
    for _ in range(rounds):
        values["none"].append(clock("--network", "none"))
        values["allowlist"].append(clock())
    none, allowlist = spread(values["none"]), spread(values["allowlist"])
    return {"none_ms": none, "allowlist_ms": allowlist, "added_ms": allowlist["median"] - none["median"]}


def show(figures):
    for name in ("netns_us", "socket_us"):
        f = figures["connect"][name]
        print(f"connect    {name[:-3]}: {f['npxc']['median']:.0f} us, direct {f['direct']['median']:.0f} us, "
              f"ratio {f['ratio']['median']:.2f} ({f['ratio']['p10']:.2f} to {f['ratio']['p90']:.2f})")
    for name in ("netns_mib_s", "socket_mib_s"):
        f = figures["https"][name]
        print(f"https      {name[:-6]}: {f['npxc']['median']:.0f} MiB/s, direct {f['direct']['median']:.0f}, "
              f"ratio {f['ratio']['median']:.2f} ({f['ratio']['p10']:.2f} to {f['ratio']['p90']:.2f})")
    print(f"idle       {figures['idle']['flows']} flows: {figures['idle']['resident_kib']} KiB resident")
    for name in ("flows", "refusals"):
        f = figures[name]
        print(f"{name:10} {f['per_cpu_second']['median']:.0f} per second of processor time, {f['per_second']['median']:.0f} per second")
    f = figures["under_refusals"]
    print(f"beside     refusals an allowed flow takes {f['beside_us']['median']:.0f} us, alone {f['alone_us']['median']:.0f}: {f['ratio']:.2f}")
    f = figures["start"]
    print(f"start      none {f['none_ms']['median']:.1f} ms, allowlist {f['allowlist_ms']['median']:.1f} ms: +{f['added_ms']:.1f} ms")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--npxc", type=pathlib.Path, default="build/npxc")
    parser.add_argument("--program", type=pathlib.Path, default="build/bench/egress")
    parser.add_argument("--output", type=pathlib.Path, default="build/bench-egress.json")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--starts", type=int, default=40)
    options = parser.parse_args()
    options.npxc, options.program = options.npxc.resolve(), options.program.resolve()
    home = pathlib.Path(tempfile.mkdtemp(prefix="npxc-bench-"))
    home.chmod(0o755)
    try:
        bench = Bench(options, home)
        with bench.start([bench.program, "serve"]) as server:
            port = int(server.stdout.readline())
            figures = {
                "load": os.getloadavg()[0],
                "connect": connecting(bench, port),
                "https": downloading(bench),
                "idle": holding(bench, port, 2000),
                "flows": per_cpu_second(bench, port, "flows", HOST, port),
                "refusals": per_cpu_second(bench, port, "refused", "203.0.113.7", port),
                "under_refusals": under_refusals(bench, port),
                "start": starting(bench, options.starts),
            }
            server.stdin.close()
    finally:
        shutil.rmtree(home, ignore_errors=True)
    show(figures)
    options.output.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    sys.exit(main())
