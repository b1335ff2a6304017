"""Runs the chosen benchmarks in every runtime, interleaved, and prints tables. Called by compare.sh, which builds them."""
import argparse, json, os, pathlib, shutil, statistics, subprocess, sys

# operations of one run: in compiled runtimes (and Node), in Python
BENCHES = {
    "yield-1": (2_000_000, 200_000), "yield-100": (2_000_000, 500_000), "yield-10000": (5_000_000, 1_000_000),
    "spawn": (500_000, 50_000), "gather-10000": (1_000_000, 100_000), "group-10000": (1_000_000, 100_000),
    "pingpong": (1_000_000, 50_000), "pingpong-0": (1_000_000, 50_000),
    "queue-1": (1_000_000, 100_000), "queue-128": (2_000_000, 200_000),
    "lock-100": (1_000_000, 100_000), "sem-10-1000": (1_000_000, 100_000),
    "event-10000": (500_000, 100_000), "sleepers": (100_000, 100_000), "timers": (1_000_000, 1_000_000),
    "cancel-10000": (500_000, 50_000), "timeout-ready": (1_000_000, 200_000), "thread-wake": (100_000, 20_000),
    "asyncgen": (1_000_000, 1_000_000), "send": (1_000_000, 1_000_000),
    "pipeline-5": (1_000_000, 100_000), "broadcast-8": (200_000, 20_000),
}
p = argparse.ArgumentParser()
p.add_argument("--build", required=True)
p.add_argument("-r", type=int, default=5, help="rounds")
p.add_argument("--pin", default="0", help="core for all but go-procs, which has every core")
p.add_argument("--runtimes", default="", help="these only, separated by commas; go is always among them")
p.add_argument("--cpu", action="store_true", help="show CPU time of the whole process instead of wall time")
p.add_argument("--scale", type=float, default=1, help="multiply the operations; tasks stay as many")
p.add_argument("--json", help="also append every line to this file")
p.add_argument("--limit", type=float, default=120, help="seconds a run may take")
p.add_argument("benches", nargs="*", metavar="BENCH", help="default: all")
a = p.parse_args()

here, b = pathlib.Path(__file__).resolve().parent / "peers", a.build
py = f"{b}/venv/bin/python"
RUNTIMES = {
    "rondo": [os.environ["RONDO_TASKS"]],
    "go": [f"{b}/tasks"],
    "go-xsync": [f"{b}/tasks", "-xsync"],
    "go-procs": [f"{b}/tasks"],
    "tokio": [f"{b}/tokio-tasks"],
    "asyncio": [py, f"{here}/python/asyncio_tasks.py"],
    "uvloop": [py, f"{here}/python/asyncio_tasks.py", "--uvloop"],
    "trio": [py, f"{here}/python/trio_tasks.py"],
    "curio": [py, "-O", f"{here}/python/curio_tasks.py"],
    "node": ["node", "--expose-gc", f"{here}/node/tasks.mjs"],
}
if a.runtimes:
    RUNTIMES = {k: v for k, v in RUNTIMES.items() if k == "go" or k in a.runtimes.split(",")}
unknown = set(a.benches) - set(BENCHES)
if unknown:
    sys.exit(f"no such benchmark: {' '.join(sorted(unknown))}; there are: {' '.join(BENCHES)}")

has = {}
for k, cmd in list(RUNTIMES.items()):
    if not shutil.which(cmd[0]):
        print(f"# {k}: {cmd[0]} is missing, left out", file=sys.stderr)
        continue
    has[k] = set(subprocess.run([*cmd, "list"], check=True, capture_output=True, text=True).stdout.split())


def run(runtime, bench):
    n = BENCHES[bench][RUNTIMES[runtime][0] == py]
    if bench != "sleepers":
        n = max(10000, round(n * a.scale) // 10000 * 10000)
    env, pin = dict(os.environ), ["taskset", "-c", a.pin]
    if runtime == "go-procs":
        pin = []
    elif runtime.startswith("go"):
        env["GOMAXPROCS"] = "1"
    try:
        out = subprocess.run([*pin, *RUNTIMES[runtime], bench, str(n)], capture_output=True, text=True, env=env, timeout=a.limit)
        got = json.loads(out.stdout)
    except (subprocess.TimeoutExpired, ValueError) as e:
        why = e if isinstance(e, subprocess.TimeoutExpired) else out.stderr.strip().splitlines()[-1:]
        print(f"# {runtime} {bench}: {why}", file=sys.stderr)
        return
    runs.setdefault((bench, runtime), []).append(got)
    if a.json:
        with open(a.json, "a") as f:
            f.write(json.dumps({"runtime": runtime, **got}) + "\n")


runs = {}
benches = a.benches or list(BENCHES)
for _ in range(a.r):
    for bench in benches:
        for runtime in has:
            if bench in has[runtime]:
                run(runtime, bench)


def median(bench, runtime, field):
    xs = [r[field] for r in runs.get((bench, runtime), []) if r[field] is not None]
    return statistics.median(xs) if xs else None


def row(bench, field):
    base = median(bench, "go", field)
    for runtime in has:
        m = median(bench, runtime, field)
        if m is None:
            yield "–"
        else:
            yield f"{m:,.{1 if m < 100 else 0}f}" + (f" ({m / base:.{2 if m < 10 * base else 0}f})" if base and runtime != "go" else "")


field = "cpu_ns_per_op" if a.cpu else "ns_per_op"
print(f"{'CPU' if a.cpu else 'wall'} ns/op (ratio to go), medians of {a.r}, core {a.pin}")
print("| bench |", " | ".join(has), "|")
print("|---|" + "---|" * len(has))
for bench in benches:
    print("|", bench, "|", " | ".join(row(bench, field)), "|")
if any(r["bytes_per_item"] for v in runs.values() for r in v):
    print(f"\nRSS bytes a parked task (ratio to go), medians of {a.r}")
    print("| bench |", " | ".join(has), "|")
    print("|---|" + "---|" * len(has))
    for bench in benches:
        if any(r["bytes_per_item"] for k, v in runs.items() if k[0] == bench for r in v):
            print("|", bench, "|", " | ".join(row(bench, "bytes_per_item")), "|")
