"""A worker process: rondo fetch --map 'cmd:python3 examples/words_worker.py' -i urls.txt"""
import json
import sys

while header := sys.stdin.buffer.readline():
    body = sys.stdin.buffer.read(json.loads(header)["bytes"])
    print(json.dumps({"words": len(body.split())}), flush=True)
