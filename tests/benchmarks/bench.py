"""How fast the service is, measured on the machine at hand.

    .venv/bin/python -m tests.benchmarks.bench

One Uvicorn worker with its access log as in production; every request is distinct, so that nothing is answered from a
cache. Beside it, in the same run, a bare FastAPI POST route that parses its JSON body and gives it back. Rounds
alternate between the two, so that a machine that is busy for a while slows both. Writes the table of
``docs/benchmarks.md``.
"""

import asyncio
import compileall
import json
import os
import platform
import re
import socket
import statistics
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from tests.benchmarks.inprocess import SWEEP, Sweep
from tests.benchmarks.inprocess import measure as measure_in_process

ROOT = Path(__file__).parents[2]
REPORT = ROOT / "docs" / "benchmarks.md"
MARKS = ("<!-- measured -->", "<!-- /measured -->")

CONNECTIONS = 4
ROUNDS = 5
REQUESTS = {"bare": 2000, "estimate": 1200, "plan": 200, "page": 150, "update": 150}
"""Requests in each round."""

HTMX = "HX-Request: true\r\nHX-Request-Type: partial\r\n"
"""What tells a live update from a page."""

MODELS = ("meta-llama/Llama-3.1-8B", "Qwen/Qwen2.5-7B-Instruct", "Qwen/Qwen3-8B", "openai/gpt-oss-20b")
GPUS = ("rtx-4090", "rtx-3060-12gb", "a100-80gb-sxm", "h100-sxm")


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What one kind of request came to."""

    per_second: float
    alone_milliseconds: float
    p50_milliseconds: float
    p99_milliseconds: float


def config(number: int) -> dict[str, Any]:
    """A configuration that no other number has."""
    return {
        "base_model": MODELS[number % len(MODELS)],
        "adapter": "qlora",
        "load_in_4bit": True,
        "lora_r": 8 + number % 120,
        "lora_alpha": 16,
        "lora_dropout": 0.05,
        "lora_target_linear": True,
        "sequence_len": 512 + number,
        "sample_packing": True,
        "micro_batch_size": 1 + number % 3,
        "gradient_accumulation_steps": 4,
        "gradient_checkpointing": True,
        "optimizer": "paged_adamw_8bit",
        "learning_rate": 0.0002,
        "num_epochs": 3,
        "bf16": "auto",
        "datasets": [{"path": "mlabonne/FineTome-100k", "type": "chat_template"}],
    }


def request(kind: str, number: int) -> bytes:
    """The bytes of one request."""
    gpu = GPUS[number // len(MODELS) % len(GPUS)]
    if kind in ("page", "update"):
        query = {"model": MODELS[number % len(MODELS)], "gpu": gpu, "sequence_len": 512 + number}
        if kind == "update":
            query["lora_r"] = 24  # or it would find kept what the page has asked for
        head = f"GET /plan?{urlencode(query)} HTTP/1.1\r\nHost: localhost\r\n"
        return f"{head}{HTMX if kind == 'update' else ''}\r\n".encode()
    body: dict[str, Any] = {"config": config(number), "hardware": {"gpu": gpu}}
    if kind == "plan":
        body = {
            "base_model": MODELS[number % len(MODELS)],
            "hardware": {"gpu": gpu},
            "sequence_len": 512 + number,
        }
    path = {"bare": "/", "estimate": "/api/v1/estimate", "plan": "/api/v1/plan"}[kind]
    content = json.dumps(body).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    return head.encode() + f"Content-Length: {len(content)}\r\n\r\n".encode() + content


async def send_all(port: int, requests: list[bytes]) -> list[float]:
    """Send ``requests`` over one connection, one after the other; the seconds that each took."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    took = []
    for content in requests:
        started = time.perf_counter()
        writer.write(content)
        head = await reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
        if length is None or not head.startswith(b"HTTP/1.1 200 "):
            raise RuntimeError(f"unexpected answer: {head.decode(errors='replace')}")
        await reader.readexactly(int(length[1]))
        took.append(time.perf_counter() - started)
    writer.close()
    await writer.wait_closed()
    return took


async def one_round(port: int, kind: str, first: int) -> tuple[float, list[float]]:
    """Send one round over ``CONNECTIONS`` connections: requests per second and the seconds that each took."""
    requests = [request(kind, first + number) for number in range(REQUESTS[kind])]
    started = time.perf_counter()
    took = await asyncio.gather(*(send_all(port, requests[start::CONNECTIONS]) for start in range(CONNECTIONS)))
    return len(requests) / (time.perf_counter() - started), [seconds for part in took for seconds in part]


async def alone(port: int, kind: str, first: int) -> list[float]:
    """A fifth of a round, one request after the other, nothing else in flight."""
    return await send_all(port, [request(kind, first + number) for number in range(REQUESTS[kind] // 5)])


def measure(ports: dict[str, int]) -> dict[str, Measured]:
    """All kinds, their rounds alternating; the median round's rate, percentiles over all rounds."""
    rates: dict[str, list[float]] = {kind: [] for kind in REQUESTS}
    seconds: dict[str, list[float]] = {kind: [] for kind in REQUESTS}
    unhindered: dict[str, list[float]] = {kind: [] for kind in REQUESTS}
    for turn in range(ROUNDS + 1):
        for kind, port in ports.items():
            rate, took = asyncio.run(one_round(port, kind, turn * REQUESTS[kind]))
            if turn:  # the first round warms up
                rates[kind].append(rate)
                seconds[kind] += took
                unhindered[kind] += asyncio.run(alone(port, kind, (ROUNDS + 1 + turn) * REQUESTS[kind]))
    return {
        kind: Measured(
            per_second=statistics.median(rates[kind]),
            alone_milliseconds=statistics.median(unhindered[kind]) * 1000,
            p50_milliseconds=statistics.median(seconds[kind]) * 1000,
            p99_milliseconds=statistics.quantiles(seconds[kind], n=100)[98] * 1000,
        )
        for kind in ports
    }


def free_port() -> int:
    """A port that nothing listens at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_until_answered(url: str) -> None:
    """Ask for ``url`` until it answers 200."""
    while True:
        try:
            with urllib.request.urlopen(url, timeout=1) as answer:
                if answer.status == 200:
                    return
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.002)


@contextmanager
def served(application: str, path: str) -> Iterator[tuple[int, int, float]]:
    """One worker of ``application``: its port, its process id, and the seconds from exec to the first answer."""
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", application, "--port", str(port), "--log-level", "warning"]
    started = time.perf_counter()
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
    try:
        wait_until_answered(f"http://127.0.0.1:{port}{path}")
        yield port, process.pid, time.perf_counter() - started
    finally:
        process.terminate()
        process.wait()


def memory_mib(pid: int) -> float:
    """Resident memory of a process."""
    (line,) = [line for line in Path(f"/proc/{pid}/status").read_text("utf-8").splitlines() if "VmRSS" in line]
    return int(line.split()[1]) / 1024


def startup_seconds() -> tuple[float, float]:
    """From exec to the first 200 of /readyz, the median of five: ours, and the bare application's in turn with it."""
    ours, bare = [], []
    for _ in range(5):
        with served("app.main:app", "/readyz") as (_, _, seconds):
            ours.append(seconds)
        with served("tests.benchmarks.bare:app", "/readyz") as (_, _, seconds):
            bare.append(seconds)
    return statistics.median(ours), statistics.median(bare)


def processor() -> str:
    """What the machine calls its processor."""
    found = re.search(r"model name\s*: (.+)", Path("/proc/cpuinfo").read_text("utf-8"))
    return found[1] if found else platform.machine()


def report(
    found: dict[str, Measured], startup: tuple[float, float], fresh: float, used: float, sweep: Sweep, load: float
) -> str:
    """The measured part of the page."""
    start, least = startup
    bare = found["bare"].per_second
    names = {
        "bare": "bare FastAPI POST route",
        "estimate": "`POST /api/v1/estimate`",
        "plan": "`POST /api/v1/plan`",
        "page": "the wizard's page, `GET /plan?...`",
        "update": "its live update, the same by htmx",
    }
    lines = [
        (
            f"On {os.cpu_count()} cores of {processor()}, Python {platform.python_version()}, "
            f"{CONNECTIONS} connections, {ROUNDS} rounds; load average before it {load:.1f}."
        ),
        "",
        "| | requests per second | of the bare route | p50 alone | p50 | p99 |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    lines += [
        f"| {names[kind]} | {one.per_second:,.0f} | {one.per_second / bare:.0%} | {one.alone_milliseconds:.2f} ms | {one.p50_milliseconds:.2f} ms "
        f"| {one.p99_milliseconds:.2f} ms |"
        for kind, one in found.items()
    ]
    lines += [
        "",
        (
            f"From exec to the first 200 of `/readyz`: **{start:.2f} s**, median of five; the bare application, which "
            f"loads the framework and nothing else, takes {least:.2f} s. "
            f"Memory of the process: {fresh:.0f} MiB at the start, {used:.0f} MiB after the run."
        ),
        "",
        (
            f"In process, for a model of 80 layers: one estimate of memory **{sweep.median_microseconds:.0f} µs** at the "
            f"median, a sweep of {SWEEP:,} distinct variants **{sweep.seconds:.2f} s**. Most of that time is spent in:"
        ),
        "",
        "| function | share of the time |",
        "|---|---:|",
        *(f"| `{name}` | {share:.0%} |" for name, share in sweep.top),
    ]
    return "\n".join(lines)


def main() -> None:
    """Measure, print, and write the page."""
    load = os.getloadavg()[0]
    for package in ("app", "tests/benchmarks"):  # as an installation leaves it, whatever the environment says
        compileall.compile_dir(ROOT / package, quiet=1)
    startup = startup_seconds()
    with (
        served("tests.benchmarks.bare:app", "/readyz") as (bare, _, _),
        served("app.main:app", "/readyz") as (port, pid, _),
    ):
        fresh = memory_mib(pid)
        found = measure({"bare": bare, "estimate": port, "plan": port, "page": port, "update": port})
        used = memory_mib(pid)
    measured = report(found, startup, fresh, used, measure_in_process(), load)
    print(measured)
    page = REPORT.read_text("utf-8")
    before, _, rest = page.partition(MARKS[0])
    _, _, after = rest.partition(MARKS[1])
    REPORT.write_text(f"{before}{MARKS[0]}\n{measured}\n{MARKS[1]}{after}", "utf-8")


if __name__ == "__main__":
    main()
