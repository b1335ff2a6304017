"""Runs chosen peers interleaved and prints a table. Called by compare.sh, which builds them."""
import argparse, json, os, pathlib, shutil, statistics, subprocess, sys, tempfile, threading, time

p = argparse.ArgumentParser()
p.add_argument("--build", required=True)
p.add_argument("--origin", required=True)
p.add_argument("-n", type=int, default=10000, help="URLs")
p.add_argument("-c", type=int, default=100, help="concurrency")
p.add_argument("-r", type=int, default=3, help="rounds")
p.add_argument("--pin", default="0", help='core of the client, or "none"')
p.add_argument("--job", choices=["process", "fetch", "h2", "h1tls"], default="process")
p.add_argument("--file", default="", help="this file of the corpus alone, such as pep-0002.rst")
p.add_argument("--limit", type=float, default=180, help="seconds a run may take")
p.add_argument("--json", help="also append every run to this file")
p.add_argument("peers", nargs="*", help="default: all that can do the job")
a = p.parse_args()

here = pathlib.Path(__file__).resolve().parent
b, py = a.build, f"{a.build}/venv/bin/python"
P, C = f"{here}/peers/python", f"{here}/peers/cli"
U, N = "{urls}", str(a.c)
no = {"process": [], "fetch": ["--no-process"]}.get(a.job, [])
gono = {"fetch": ["-process=false"]}.get(a.job, [])

PROCESS = {
    "floor-c-epoll": [f"{b}/epoll_floor", U, N, *no],
    "floor-go-epoll": [f"{b}/rawepoll", "-urls", U, "-c", N, *gono],
    "go-nethttp": [f"{b}/nethttp", "-urls", U, "-c", N, *gono],
    "go-nethttp-untuned": [f"{b}/nethttp", "-urls", U, "-c", N, "-untuned", *gono],
    "go-fasthttp": [f"{b}/fasthttp", "-urls", U, "-c", N, *gono],
    "rust-reqwest": [f"{b}/reqwest-fetch", U, N, *no],
    "aiohttp": [py, f"{P}/aiohttp_plain.py", U, N, *no],
    "aiohttp-uvloop": [py, f"{P}/aiohttp_plain.py", U, N, "--uvloop", *no],
    "aiohttp-processes": [py, f"{P}/aiohttp_processes.py", U, N],
    "aiomultiprocess": [py, f"{P}/aiohttp_aiomultiprocess.py", U, N],
}
FETCH = {k: v for k, v in PROCESS.items() if k not in ("aiohttp-processes", "aiomultiprocess")} | {
    "curl": [f"{C}/curl.sh", U, N],
    "wget2": [f"{C}/wget2.sh", U, N],
    "aria2c": [f"{C}/aria2c.sh", U, N],
}
H2 = {
    "h2load": ["h2load", "-n", str(a.n), "-c", "1", "-m", N, "-i", U],
    "go-nethttp": [f"{b}/nethttp", "-urls", U, "-c", N, "-h2"],
    "go-nethttp-nowork": [f"{b}/nethttp", "-urls", U, "-c", N, "-h2", "-process=false"],
    "rust-reqwest": [f"{b}/reqwest-fetch", U, N, "--h2"],
    "rust-reqwest-nowork": [f"{b}/reqwest-fetch", U, N, "--h2", "--no-process"],
    "httpx-h2": [py, f"{P}/httpx_h2.py", U, N, "--h2"],
    "curl": [f"{C}/curl.sh", U, N, "--http2"],
    "wget2": [f"{C}/wget2.sh", U, N],
}
H1TLS = {k: PROCESS[k] for k in ("go-nethttp", "go-fasthttp", "rust-reqwest", "aiohttp-uvloop")}
r = [f"{here}/peers/rondo.sh", os.environ["RONDO"], U, N]     # its summary is the JSON line
PROCESS["rondo"] = r + ["--map", "words"]
PROCESS["rondo-isolate"] = r + ["--map", "words", "--isolate"]
FETCH["rondo"] = r + ["--digest", "none"]
H1TLS["rondo"] = r + ["--http1.1", "--insecure", "--map", "words"]
H2["rondo"] = r + ["--http2", "--insecure", "--map", "words"]
H2["rondo-nowork"] = r + ["--http2", "--insecure", "--digest", "none"]
table = {"process": PROCESS, "fetch": FETCH, "h2": H2, "h1tls": H1TLS}[a.job]
peers = a.peers or list(table)
scheme = "https" if a.job in ("h2", "h1tls") else "http"


def origin(*args):
    return subprocess.run([a.origin, *args], check=True, capture_output=True, text=True).stdout


urls = f"{b}/urls.{a.n}.{scheme}.{a.file}"
pathlib.Path(urls).write_text(origin("urls", str(a.n), scheme, a.file))
expect = json.loads(origin("expect", str(a.n), a.file))


def tree_rss(pid):
    kb = 0
    try:
        with open(f"/proc/{pid}/status") as f:
            kb += next((int(l.split()[1]) for l in f if l.startswith("VmRSS")), 0)
        for t in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{t}/children") as f:
                kb += sum(tree_rss(int(c)) for c in f.read().split())
    except (OSError, ValueError):
        pass
    return kb


def run(name):
    # GNU time forks the peer from a small process; a child of this one would inherit its peak RSS
    stat = f"{b}/time.out"
    cmd = ["/usr/bin/time", "-o", stat, "-f", "%M", *(x.replace(U, urls) for x in table[name])]
    if a.pin != "none":
        cmd = ["taskset", "-c", a.pin, *cmd]
    saved = tempfile.mkdtemp(dir="/dev/shm") if name == "aria2c" else ""
    cpu0, t0 = float(origin("cpu")), time.perf_counter()
    proc = subprocess.Popen(cmd, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
                            env={**os.environ, "OUT": saved})
    out = []
    readers = [threading.Thread(target=lambda s=s: out.append(s.read())) for s in (proc.stdout, proc.stderr)]
    for r in readers:
        r.start()
    peak = 0
    while True:
        pid, status, ru = os.wait4(proc.pid, os.WNOHANG)
        if pid:
            break
        if name in ("aiohttp-processes", "aiomultiprocess"):
            peak = max(peak, tree_rss(proc.pid))
        if time.perf_counter() - t0 > a.limit:
            os.killpg(proc.pid, 9)
        time.sleep(0.01)
    wall = time.perf_counter() - t0
    for r in readers:
        r.join()
    proc.returncode = status
    got = {}
    for text in out:
        for line in text.splitlines():
            if line.startswith("{"):
                got = json.loads(line)
    if saved:
        sizes = [e.stat().st_size for e in os.scandir(saved)]
        got = {"ok": len(sizes), "bytes": sum(sizes)}
        shutil.rmtree(saved)
    if name == "h2load":
        got = {"ok": a.n if f"{a.n} succeeded" in "".join(out) else 0, "bytes": expect["bytes"]}
    if got.get("ok") == -1:             # wget2 tells the bytes only
        got["ok"] = expect["ok"]
    fields = ("ok", "bytes") if got.get("words", 0) == 0 else ("ok", "bytes", "words", "check")
    good = bool(got) and all(got.get(k) == expect[k] for k in fields)
    return {"peer": name, "job": a.job, "pin": a.pin, "n": a.n, "c": a.c, "file": a.file, "wall": wall, "user": ru.ru_utime,
            "sys": ru.ru_stime, "cpu": ru.ru_utime + ru.ru_stime, "rss_mb": max(int(open(stat).read().split()[-1]), peak) / 1024,
            "origin_cpu": float(origin("cpu")) - cpu0, "status": status, "good": good, "got": got}


runs = {k: [] for k in peers}
for k in range(a.r):
    for name in peers:
        r = run(name)
        runs[name].append(r)
        print(f"# {k} {name}: wall {r['wall']:.2f} cpu {r['cpu']:.2f} status {r['status']}"
              f" {'verified' if r['good'] else 'NOT VERIFIED ' + str(r['got'])[:150]}", file=sys.stderr)
        if a.json:
            with open(a.json, "a") as f:
                f.write(json.dumps(r) + "\n")

med = {k: {f: statistics.median(r[f] for r in v) for f in ("wall", "user", "sys", "cpu", "rss_mb", "origin_cpu")}
       for k, v in runs.items()}
base = med.get("go-nethttp")
print(f"job {a.job}, {a.n} URLs{' of ' + a.file if a.file else ''}, concurrency {a.c}, client core {a.pin}, medians of {a.r}")
print("| peer | wall s | user+sys s | user | sys | CPU vs net/http | wall vs net/http | peak RSS MB | origin CPU s | verified |")
print("|---|---|---|---|---|---|---|---|---|---|")
for k, m in med.items():
    rc = f"{m['cpu'] / base['cpu']:.2f}" if base else "-"
    rw = f"{m['wall'] / base['wall']:.2f}" if base else "-"
    print(f"| {k} | {m['wall']:.2f} | {m['cpu']:.2f} | {m['user']:.2f} | {m['sys']:.2f} | {rc} | {rw} | "
          f"{m['rss_mb']:.0f} | {m['origin_cpu']:.2f} | {'yes' if all(r['good'] for r in runs[k]) else 'no'} |")
