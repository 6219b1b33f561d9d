"""What asking a served model costs on this side of the connection, and the time of the benchmark for LQR and MPC.

    python -m benchmarks.endpoint

The server is the tests' stub in a process of its own; it answers at once. Processor time of the client counts, since
the wall clock would count the stub as well. The reference is the bare ``openai`` client with the same concurrency.
"""

import asyncio
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks import best_time
from control_envs.utils import tables
from llm_agent.endpoints import EndpointPolicy

STUB = Path(__file__).parents[1] / "tests" / "agent" / "faulty_server.py"
ANSWERS, CONCURRENCY = 640, 64


def per_answer(ask):
    """Milliseconds of processor time and by the clock for each answer: the best of three."""
    best = (float("inf"), float("inf"))
    for attempt in range(3):
        began, worked = time.perf_counter(), time.process_time()
        ask([f"problem {attempt} {i}" for i in range(ANSWERS)])
        spent = (time.process_time() - worked, time.perf_counter() - began)
        best = min(best, tuple(1e3 * seconds / ANSWERS for seconds in spent))
    return best


def bare(url):
    """Asks with the ``openai`` client alone."""
    from openai import AsyncOpenAI

    async def all_of(prompts):
        client, waiting = AsyncOpenAI(base_url=url, api_key="none"), iter(prompts)

        async def work():
            for prompt in waiting:
                message = {"role": "user", "content": prompt}
                await client.chat.completions.create(model="stub", messages=[message], max_tokens=1024, temperature=0)

        await asyncio.gather(*(work() for _ in range(CONCURRENCY)))

    return lambda prompts: asyncio.run(all_of(prompts))


def table():
    server = subprocess.Popen([sys.executable, STUB], stdout=subprocess.PIPE, text=True)
    try:
        url = server.stdout.readline().strip()
        with tempfile.TemporaryDirectory() as folder:
            policy = EndpointPolicy("stub", url, concurrency=CONCURRENCY, answers=Path(folder) / "answers.jsonl")
            policy.act(["first"])
            rows = [["EndpointPolicy", policy.act], ["openai client alone", bare(url)]]
            rows = [[name, *(f"{ms:.2f}" for ms in per_answer(ask))] for name, ask in rows]
    finally:
        server.kill()
    head = ["client", "processor time [ms]", "by the clock [ms]"]
    title = f"An answer at concurrency {CONCURRENCY}, {ANSWERS} of them (`python -m benchmarks.endpoint`)"
    command = [sys.executable, "-m", "llm_agent.benchmark"]
    seconds = [
        [name, f"{best_time(lambda n=name: subprocess.run([*command, n], check=True, capture_output=True), 1):.1f}"]
        for name in ("lqr", "mpc")
    ]
    whole = f"The benchmark on every plant, optima cached or not\n\n{tables.table(['controller', 's'], seconds)}"
    return f"{title}\n\n{tables.table(head, rows)}\n\n{whole}"


if __name__ == "__main__":
    print(table())
