/*
 * cpuprofile_tree.h - the call tree as a .cpuprofile shows it: by thread where that is wanted,
 * numbered breadth first, with the samples of each node counted.
 *
 * Knows nothing of JSON. Used by cpuprofile_write.c alone.
 */
#ifndef MEMPROF_OUTPUT_CPUPROFILE_TREE_H
#define MEMPROF_OUTPUT_CPUPROFILE_TREE_H

#include "core/profile.h"
#include "output/file.h"

#define TREE_NO_GROUP UINT32_MAX
#define TREE_IDLE_NODE UINT32_MAX /* stands for a node of the profile */

/*
 * A node of the file stands for one node of the profile in one group of threads. Where threads
 * are shown apart, a group's own frame is (group, node 0).
 */
struct tree_entry {
    uint32_t parent; /* index of an entry */
    uint32_t group;
    node_id node;
    uint32_t id;   /* in the file */
    uint64_t hits; /* samples in the standard sequence */
};

struct tree {
    const struct profile *profile;
    vec(struct tree_entry) entries;
    struct hash_index index; /* by group and node */
    uint32_t *order;         /* entries by id - 1 */
    uint32_t *child_counts;  /* by entry; their ids are consecutive */
    uint32_t *first_ids;     /* by node of the profile: the id of one entry that stands for it */
    uint32_t groups;         /* 0: threads are not shown apart */
    uint32_t *thread_groups; /* by thread */
    bool has_rest;           /* the last group is that of all threads below 1 % */
    bool *standard;          /* by thread: in the standard sequence */
    uint32_t idle;           /* entry, or TREE_NO_GROUP when no gap needs it */
    bool has_others;
    bool has_waits; /* time off the CPU was recorded */
};

/* Fails when the one thread that is asked for is not there. */
int tree_build(const struct profile *profile, const struct write_options *options,
               struct tree *ret_tree, struct error *err);
void tree_release(struct tree *tree);
uint32_t tree_find(const struct tree *tree, uint32_t group, node_id node);

/* Walks one sequence of the file: the standard one with its idle samples, or the others. */
struct tree_cursor {
    const struct tree *tree;
    struct sequence_cursor samples;
    struct sample pending;
    bool others, has_pending, ends;
    uint64_t last_us;
};

struct tree_sample {
    uint64_t time_us;
    thread_id thread;
    node_id node; /* TREE_IDLE_NODE for an idle sample that is put in */
};

struct tree_cursor tree_samples(const struct tree *tree, bool others);
bool tree_sample_next(struct tree_cursor *cursor, struct tree_sample *ret_sample);
/* The entry of a sample. */
uint32_t tree_sample_entry(const struct tree *tree, const struct tree_sample *sample);

#endif
