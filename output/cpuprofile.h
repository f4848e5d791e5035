/*
 * cpuprofile.h - V8's .cpuprofile (Chrome DevTools Protocol, Profiler.Profile), with our own
 * top-level key "memprof" for what it has no place for.
 *
 * Read: those of Node, Chrome and memprof. Written in one pass, ids 1..N breadth first.
 *
 * The extension (schema 1). Node ids are those of the file, "thread" is an index into threads:
 *   "memprof":{"schema":1,"tool":"memprof 0.1.0",
 *    "target":{"pid":1,"command":"…"},"host":"…","startTimeOfDay":µs,"period":µs,"kernel":true,
 *    "modules":[{"path":"…","buildId":"…"},…]         [0] is the unknown one
 *    "classes":[[kind,module,unnamed],…]              unnamed: functionName is a stand-in
 *                or [kind,module,unnamed,tier]         of JavaScript whose tier is known
 *    "nodeClasses":[class,…]                          one for each of nodes, in their order
 *    "files":[["path",node,…],…]                      source files that no url can tell
 *    "rawAddresses":[[node,address],…]                of frames that have no names yet
 *    "threads":[{"pid":1,"tid":1,"name":"…","ticks":9,"node":2},…]   "node": its frame's, if any
 *                   also "waiting":9,"runnable":9     ticks off the CPU, where they were recorded
 *    "rest":node                                      the frame of all threads without their own
 *    "idle":node                                      its samples were put in and are dropped
 *    "sampleThreads":[thread,count,…]                 runs, of the samples below no thread's frame
 *    "others":{"samples":[…],"timeDeltas":[…],"threads":[thread,count,…]}
 *                                                     what the standard samples leave out
 *    "self":[[node,ticks],…]                          ticks beside those of the samples
 *    "calls":[[node,line,ticks],…]                    by the line of node's caller, 1-based
 *    "addresses":[[node,module,address,ticks],…]      addresses as signed 64-bit numbers
 *    "series":[{"name":"rss","unit":"bytes","start":µs,"times":[…],"values":[…]},…]
 *                                                     times: each from the one before
 *    "events":[[time,duration,"kind",node],…]
 *                   and with "gc" behind these: "what","reason",before,after,tid,estimated (0, 1)
 *    "quality":{…}}
 * What is empty is left out. Every sample of every thread is in the standard sequence or in
 * "others".
 */
#ifndef MEMPROF_OUTPUT_CPUPROFILE_H
#define MEMPROF_OUTPUT_CPUPROFILE_H

#include "output/format.h"

bool cpuprofile_matches(const char *head, size_t length);
/*
 * Idle samples of a file that has no "memprof" key stay nodes of kind FRAME_IDLE. Thread frames
 * and idle samples that cpuprofile_write put in are taken out again: read(write(p)) is p with its
 * nodes in breadth-first order, without frames that no node has and metrics other than "cpu";
 * bytes of names that are not UTF-8, which JSON can't hold, become U+FFFD.
 */
int cpuprofile_read(const char *text, size_t length, const char *name, struct profile **ret_profile,
                    struct error *err);
/*
 * Where no thread of the standard sequence ran for more than two periods an (idle) sample is put
 * one period after the last one, unless waits were recorded. With WRITE_THREADS_ALL and more than
 * one thread of at least 1 % of the ticks, the frame of its thread stands first below (root) in
 * each stack; threads below 1 % share one frame.
 */
int cpuprofile_write(struct output_file *file, const struct profile *profile,
                     const struct write_options *options, struct error *err);

#endif
