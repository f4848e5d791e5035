#!/usr/bin/env python3
"""Writes a large .cpuprofile of the shape that Node's --cpu-prof gives.

Usage: make_cpuprofile.py FILE [--megabytes N] [--nodes N] [--seed N]

It has no hitCount, so that ticks come from the samples. Most of the bytes are samples when there are few nodes, and nodes when there are many.
"""

import argparse
import random


def write_nodes(out, count, rng):
    """A tree whose parents come before and after their children; ids are 1..count."""
    children = [[] for _ in range(count + 1)]
    meta = ["(program)", "(idle)", "(garbage collector)"]
    for node in range(2, count + 1):
        # Calls nest: a parent is mostly one of the last few nodes.
        parent = 1 if node <= 4 else rng.randint(max(5, node - 40), node - 1) if node > 5 else 1
        children[parent].append(node)
    out.write('{"nodes":[')
    for node in range(1, count + 1):
        if node == 1:
            frame = ("(root)", 0, "", -1, -1)
        elif node <= 4:
            frame = (meta[node - 2], 0, "", -1, -1)
        else:
            function = rng.randint(0, 4000)
            frame = (f"function{function}", 60 + function % 200,
                     f"file:///srv/application/lib/module{function % 200}.js",
                     function % 997, function % 61)
        name, script, url, line, column = frame
        out.write(f'{"," if node > 1 else ""}{{"id":{node},"callFrame":{{"functionName":"{name}",'
                  f'"scriptId":"{script}","url":"{url}","lineNumber":{line},'
                  f'"columnNumber":{column}}}')
        if children[node]:
            out.write(f',"children":[{",".join(map(str, children[node]))}]')
        out.write("}")
    out.write("]")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file")
    parser.add_argument("--megabytes", type=int, default=100)
    parser.add_argument("--nodes", type=int, default=20000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    rng = random.Random(options.seed)
    with open(options.file, "w", encoding="ascii") as out:
        write_nodes(out, options.nodes, rng)
        # Ids of five digits and deltas of four, with their commas: eleven bytes a sample.
        left = max(options.megabytes * 1000000 - out.tell(), 0)
        count = left // (len(str(options.nodes)) + 1 + 5)
        out.write(',"startTime":740041213')
        out.write(',"endTime":')
        step = 1 << 16
        chunk = [rng.randint(900, 1400) for _ in range(step)]
        full, rest = divmod(count, step)
        total = full * sum(chunk) + sum(chunk[:rest])
        out.write(str(740041213 + total + 1000))
        out.write(',"samples":[')
        ids = [rng.randint(2, options.nodes) for _ in range(step)]
        for name, values in (("", ids), ('],"timeDeltas":[', chunk)):
            out.write(name)
            text = ",".join(map(str, values))
            out.write(",".join([text] * full))
            if rest:
                out.write(("," if full else "") + ",".join(map(str, values[:rest])))
        out.write("]}")


if __name__ == "__main__":
    main()
