"""busy.py SECONDS - spends 70 % of its CPU time in hot_loop and 30 % in warm_loop."""
import json
import sys
import time


def hot_loop(rounds):
    x = rounds
    for i in range(rounds):
        x = (x * 1103515245 + i) & 0xFFFFFFFF
    return x


def warm_loop(rounds):
    x = rounds
    for i in range(rounds):
        x = (x * 69069 + i) & 0xFFFFFFFF
    return x


def main():
    limit = float(sys.argv[1]) if len(sys.argv) > 1 else 1
    spent = {"hot_loop": 0.0, "warm_loop": 0.0}
    while limit <= 0 or sum(spent.values()) < limit:
        hot = spent["hot_loop"] * 30 <= spent["warm_loop"] * 70
        work = hot_loop if hot else warm_loop
        start = time.thread_time()
        work(20000)
        spent[work.__name__] += time.thread_time() - start
    print(json.dumps({"cpu_s": time.process_time(), "functions": spent}))


main()
