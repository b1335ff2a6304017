"""Runs chosen servers interleaved under the same load and prints tables. Called by compare.sh, which builds them."""
import argparse, json, os, pathlib, re, shutil, resource, socket, ssl, statistics, subprocess, sys, time

p = argparse.ArgumentParser()
p.add_argument("job", choices=["echo", "http", "tls", "idle"])
p.add_argument("--build", required=True)
ints = lambda s: [int(x) for x in s.split(",")]
p.add_argument("-s", type=ints, help="message sizes (echo, tls)")
p.add_argument("-c", type=ints, help="connections")
p.add_argument("-p", type=ints, default=[1, 16], help="requests in one write (http)")
p.add_argument("-d", type=float, default=1.5, help="seconds a measurement takes")
p.add_argument("-r", type=int, default=3, help="rounds")
p.add_argument("--cores", default="0,1", help='core of the server and of the load, or "none"')
p.add_argument("--loops", type=int, default=1)
p.add_argument("--wrk", action="store_true", help="http by wrk instead; its percentiles are wrong with pipelining")
p.add_argument("--json", help="also append every measurement to this file")
p.add_argument("peers", nargs="*", help="default: all that can do the job")
a = p.parse_intermixed_args()

b, here = a.build, pathlib.Path(__file__).resolve().parent
py, P = f"{b}/venv/bin/python", f"{here}/peers/python"
C_EPOLL, C_URING, GO_EPOLL = [f"{b}/floor-epoll"], [f"{b}/floor-uring"], [f"{b}/rawepoll"]
NET, GNET, TOKIO = [f"{b}/gonet"], [f"{b}/gnet"], [f"{b}/tokio-net"]
UVLOOP, STREAMS = [py, f"{P}/uvloop_protocol.py"], [py, f"{P}/streams.py"]
ECHO = {"floor-c-epoll": C_EPOLL, "floor-c-uring": C_URING, "floor-go-epoll": GO_EPOLL, "go-net": NET, "gnet": GNET,
        "netpoll": [f"{b}/netpoll"], "nbio": [f"{b}/nbio"], "tokio": TOKIO, "uvloop": UVLOOP, "asyncio-streams": STREAMS}
HTTP = {"floor-c-epoll": C_EPOLL, "floor-c-uring": C_URING, "floor-go-epoll": GO_EPOLL, "go-net": NET,
        "fasthttp": [f"{b}/fasthttp"], "gnet": GNET, "hyper": TOKIO, "nginx": [f"{here}/peers/nginx.sh"],
        "uvloop-httptools": UVLOOP, "aiohttp": [py, f"{P}/aiohttp_http.py"]}
TLS = {"floor-c-openssl": C_EPOLL, "go-net": NET, "tokio-rustls": TOKIO, "uvloop": UVLOOP, "asyncio-streams": STREAMS}
for t in (ECHO, HTTP, TLS):
    t["rondo"] = [os.environ["RONDO_NET"]]
HTTP["rondo-nethttp"] = ["env", "RONDO_NET_FACE=net/http", os.environ["RONDO_NET"]]
tables = {"echo": {k: ("echo", v) for k, v in ECHO.items()}, "http": {k: ("http", v) for k, v in HTTP.items()},
          "tls": {k: ("tls", v) for k, v in TLS.items()}}
tables["idle"] = {f"{k} {job}": (mode, v) for job, mode, t in (("echo", "idle", ECHO), ("tls", "tls", TLS), ("http", "http", HTTP))
                  for k, v in t.items()}
table = tables[a.job]
if a.job == "idle":
    a.peers = [k for n in a.peers for k in table if k == n or k.split()[0] == n]
peers = a.peers or [k for k, (_, cmd) in table.items() if shutil.which(cmd[0])]
cert = ["-cert", f"{b}/cert.pem", "-key", f"{b}/key.pem"]
TICK = os.sysconf("SC_CLK_TCK")
if a.job == "idle" and a.cores != "none":
    os.sched_setaffinity(0, {int(a.cores.split(",")[1])})
resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)


def pin(which):
    return [] if a.cores == "none" else ["taskset", "-c", a.cores.split(",")[which]]


class Server:
    """A server on a port of its own, ended by leaving the block."""

    def __init__(self, name):
        self.mode, cmd = table[name]
        with socket.create_server(("127.0.0.1", 0)) as s:
            self.port = s.getsockname()[1]
        self.cmd = [*pin(0), *cmd, self.mode, "-addr", f"127.0.0.1:{self.port}", "-loops", str(a.loops),
                    *(cert if self.mode == "tls" else [])]

    def __enter__(self):
        self.proc = subprocess.Popen(self.cmd, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        for _ in range(200):
            try:
                socket.create_connection(("127.0.0.1", self.port)).close()
                time.sleep(0.05)
                return self
            except OSError:
                if self.proc.poll() is not None:
                    break
                time.sleep(0.05)
        self.proc.kill()
        raise RuntimeError(f"{self.cmd} did not listen")

    def __exit__(self, *exc):
        self.proc.kill()
        self.proc.wait()

    def cpu(self):
        """user and system seconds so far, of all threads"""
        f = open(f"/proc/{self.proc.pid}/stat").read().rsplit(")", 1)[1].split()
        return int(f[11]) / TICK, int(f[12]) / TICK

    def rss(self):
        return int(re.search(r"VmRSS:\s+(\d+)", open(f"/proc/{self.proc.pid}/status").read())[1]) * 1024


def answers(sock, n):
    """reads n HTTP answers and returns their length; each must be the right one"""
    f, total = sock.makefile("rb"), 0
    for _ in range(n):
        head = []
        while (line := f.readline()) != b"\r\n":
            assert line, "closed early"
            head.append(line)
        total += sum(map(len, head)) + 2 + 13
        names = {h.split(b":")[0].lower(): h.split(b":")[1].strip() for h in head[1:]}
        assert head[0].startswith(b"HTTP/1.1 200 "), head[0]
        assert names[b"content-length"] == b"13" and b"date" in names and b"content-type" in names, names
        assert f.read(13) == b"Hello, World!"
    return total


GET = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


def probe(server, n):
    """n requests at once, the last one in two pieces"""
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as s:
        s.sendall(GET * n + GET[:20])
        time.sleep(0.01)
        s.sendall(GET[20:])
        return answers(s, n + 1) / (n + 1)


def used(before, after, ops):
    return {k: (after[i] - before[i]) / ops * 1e6 for i, k in enumerate(("user", "sys"))}


def load(server, per, conns):
    """per: bytes in a message, or requests in one write"""
    what = "echo" if server.mode == "idle" else server.mode
    each = per if what == "http" else 1
    length = probe(server, 16) if what == "http" else 0
    c0 = server.cpu()
    cmd = [*pin(1), f"{b}/load", f"127.0.0.1:{server.port}", what, str(per), str(conns)]
    with subprocess.Popen(cmd, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as gen:
        def say(seconds):
            gen.stdin.write(f"{seconds}\n")
            gen.stdin.flush()
            line = gen.stdout.readline()
            assert line, "the load gave up; its word is above"
            return json.loads(line)
        assert gen.stdout.readline() == "connected\n", "the load could not connect"
        time.sleep(0.1)
        r = {"connect_us": sum(used(c0, server.cpu(), conns).values())}
        say(0.001)      # each connection is answered once
        r["rss_idle"] = server.rss()
        if a.wrk:
            return r | wrk(server, per, conns, length)
        say(a.d / 5)
        c0 = server.cpu()
        r |= say(a.d)
        r["ops"] *= each
        r |= used(c0, server.cpu(), r["ops"]) | {"rss_busy": server.rss(), "load_busy": r["cpu"] / r["wall"]}
        gen.stdin.close()
    return r


LUA = """
if tonumber(os.getenv("PIPELINE")) > 1 then
  init = function() local r = wrk.format() ; all = string.rep(r, tonumber(os.getenv("PIPELINE"))) end
  request = function() return all end
end
done = function(s, l)
  local e = s.errors
  io.write(string.format('{"ops": %d, "bytes": %d, "wall": %f, "p50": %f, "p99": %f, "bad": %d}\\n', s.requests, s.bytes,
    s.duration / 1e6, l:percentile(50), l:percentile(99), e.connect + e.read + e.write + e.status + e.timeout))
end
"""


def wrk(server, pipeline, conns, length):
    """the same by wrk, which knows no more of an answer than its status and the bytes of all"""
    pathlib.Path(f"{b}/wrk.lua").write_text(LUA)
    c0, t0 = server.cpu(), os.times()
    out = subprocess.run([*pin(1), "wrk", "-t1", f"-c{conns}", f"-d{max(1, round(a.d))}", "-s", f"{b}/wrk.lua",
                          f"http://127.0.0.1:{server.port}/"], env=os.environ | {"PIPELINE": str(pipeline)},
                         capture_output=True, text=True, check=True).stdout
    t1, r = os.times(), json.loads(out.splitlines()[-1])
    r |= used(c0, server.cpu(), r["ops"]) | {"rss_busy": server.rss()}
    r["load_busy"] = (t1.children_user + t1.children_system - t0.children_user - t0.children_system) / r["wall"]
    assert r["bad"] == 0, r
    assert abs(r["bytes"] - r["ops"] * length) <= (conns * pipeline + 1) * length, ("lengths differ", r, length)
    return r


def idle(server, conns):
    """RSS before, with 1,000 and with all connections, each answered once"""
    context = ssl.create_default_context(cafile=f"{b}/cert.pem") if server.mode == "tls" else None
    def settle():       # until it stands still, 3 s at most
        last = 0
        for _ in range(6):
            time.sleep(0.5)
            if abs(server.rss() - last) < 64 << 10:
                break
            last = server.rss()
        return server.rss()
    r, open_ = {"rss_0": settle()}, []
    for i in range(conns):
        s = socket.create_connection(("127.0.0.1", server.port), timeout=10)
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if context:
            s = context.wrap_socket(s, server_hostname="localhost")
        open_.append(s)
        if server.mode == "http":
            s.sendall(GET)
            answers(s, 1)
        else:
            text, got = b"%064d" % i, b""
            s.sendall(text)
            while len(got) < 64:
                part = s.recv(64)
                assert part, "closed early"
                got += part
            assert got == text
        if i == min(999, conns - 1):
            r["rss_1000"] = settle()
    r["rss_all"] = settle()
    for s in open_:
        s.close()
    return r | {"per_conn": (r["rss_all"] - r["rss_0"]) / conns}


runs = {}
if a.job == "idle":
    cases = [(c,) for c in a.c or [5000]]
elif a.job == "http":
    cases = [(q, c) for c in a.c or [64] for q in a.p]
else:
    cases = [(s, c) for s in a.s or [64, 1024, 65536] for c in a.c or [1, 64, 1000]]
for k in range(a.r):
    for case in cases:
        for name in peers:
            with Server(name) as server:
                try:
                    r = (idle if a.job == "idle" else load)(server, *case)
                    said = "verified"
                except Exception as e:
                    r, said = None, f"NOT VERIFIED: {e!r}"[:300]
            runs.setdefault((case, name), []).append(r)
            print(f"# {k} {case} {name}: {said}", file=sys.stderr)
            if a.json:
                with open(a.json, "a") as f:
                    f.write(json.dumps({"round": k, "job": a.job, "case": case, "peer": name, "run": r}) + "\n")


def med(case, name):
    rs = runs[case, name]
    return None if None in rs else {f: statistics.median(r[f] for r in rs) for f in rs[0]} | \
        {"us": statistics.median(r["user"] + r["sys"] for r in rs) if "user" in rs[0] else 0}


MB = 1 << 20
for case in cases:
    if a.job == "idle":
        print(f"\nidle, {case[0]} connections, medians of {a.r}\n")
        print("| peer | RSS MB before | at 1,000 | at all | bytes a connection |\n|---|---|---|---|---|")
    else:
        what = f"pipeline {case[0]}" if a.job == "http" else f"{case[0]} bytes"
        print(f"\n{a.job}, {what}, {case[1]} connections, {a.loops} loop(s), cores {a.cores}, medians of {a.r}\n")
        print("| peer | CPU µs/op | user | sys | × go-net | ops/s | p50 µs | p99 µs | load's CPU | RSS MB idle | busy |"
              + (" CPU µs/handshake |\n" if a.job == "tls" else "\n") + "|---" * (11 + (a.job == "tls")) + "|")
    base = med(case, "go-net") if (case, "go-net") in runs else None
    for name in peers:
        m = med(case, name)
        if not m:
            print(f"| {name} | not verified |")
        elif a.job == "idle":
            print(f"| {name} | {m['rss_0'] / MB:.1f} | {m['rss_1000'] / MB:.1f} | {m['rss_all'] / MB:.1f} | {m['per_conn']:.0f} |")
        else:
            ratio = f"{m['us'] / base['us']:.2f}" if base else "-"
            idle_mb = f"{m['rss_idle'] / MB:.1f}" if "rss_idle" in m else "-"
            print(f"| {name} | {m['us']:.2f} | {m['user']:.2f} | {m['sys']:.2f} | {ratio} | {m['ops'] / m['wall']:.0f} | {m['p50']:.0f} | "
                  f"{m['p99']:.0f} | {m['load_busy']:.0%} | {idle_mb} | {m['rss_busy'] / MB:.1f} |"
                  + (f" {m['connect_us']:.0f} |" if a.job == "tls" and case[1] >= 500 else " - |" * (a.job == "tls")))
