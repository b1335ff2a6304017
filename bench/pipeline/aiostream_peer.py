"""The pipelines of pipeline_test.go in Python: pip install aiostream; python3 aiostream_peer.py [ITEMS].

Prints nanoseconds an item: three stages that add one, and batches of 100.
"""
import asyncio
import sys
import time

from aiostream import pipe, stream


async def measure(name, make, n):
    begin = time.perf_counter()
    await make(n)
    print(f"{name}\t{(time.perf_counter() - begin) / n * 1e9:.0f} ns/item")


async def stages(n):
    s = stream.range(n)
    for _ in range(3):
        s = s | pipe.map(lambda v: v + 1)
    await (s | pipe.reduce(lambda a, v: a + v))


async def batches(n):
    await (stream.range(n) | pipe.chunks(100) | pipe.reduce(lambda a, v: v))


async def main():
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    await measure("three stages", stages, n)
    await measure("batch of 100", batches, n)


asyncio.run(main())
