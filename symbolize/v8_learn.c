/*
 * v8_learn.c - which function the bytecodes in a frame are of.
 *
 * An interpreted function is known by its BytecodeArray and not by its JSFunction: closures are
 * young objects and move all the time, BytecodeArrays are old. The way from one to the other is
 * needed once. It is looked for where it is cheapest to find first: at the JSFunction in the
 * sample's frame, at the one in the frame as it is now, at the frame's FeedbackVector, and in the
 * scripts whose functions were met lately. Whatever is found is believed only if its
 * SharedFunctionInfo leads to that very BytecodeArray. That is of now: for a sample that is older
 * than what is known, other bytecodes may have been there, and its frame's JSFunction or
 * FeedbackVector has to agree.
 */
#include "symbolize/v8_internal.h"

enum {
    SEARCH_APART_NS = 20000000,
    HEADER_BYTES = 48 /* of a BytecodeArray: map, length, tables, frame and parameter size */
};

/* One of an object's first fields is this word. */
static bool holds(struct v8_heap *heap, uint64_t object, uint64_t word)
{
    uint64_t first, second;
    return v8_is_object(object) && v8_field(heap, object, 8, &first) &&
           v8_field(heap, object, 16, &second) && (first == word || second == word);
}

/*
 * A SharedFunctionInfo has its bytecodes itself, in an InterpreterData, or in its baseline code,
 * which again has them itself or in an InterpreterData (src/objects/shared-function-info.h).
 */
static bool leads_to(struct v8_heap *heap, uint64_t shared, uint64_t bytecodes)
{
    uint64_t data, of_code;
    if (!v8_field(heap, shared, heap->layout.shared_data, &data))
        return false;
    if (data == bytecodes || holds(heap, data, bytecodes))
        return true;
    return v8_type(heap, data) == heap->layout.code &&
           v8_field(heap, data, heap->layout.code_deoptimization, &of_code) &&
           (of_code == bytecodes || holds(heap, of_code, bytecodes));
}

static bool is_js_function(struct v8_heap *heap, uint64_t object)
{
    uint16_t type = v8_type(heap, object);
    return type != V8_NO_TYPE && type >= heap->layout.js_function.first &&
           type <= heap->layout.js_function.last;
}

static bool is_shared_of(struct v8_heap *heap, uint64_t shared, uint64_t bytecodes)
{
    return v8_is_object(shared) && v8_type(heap, shared) == heap->layout.shared_function_info &&
           leads_to(heap, shared, bytecodes);
}

static bool learn_from_shared(struct v8 *v8, struct v8_bytecodes *bytecodes, uint64_t shared)
{
    return is_shared_of(&v8->heap, shared, bytecodes->array) &&
           v8_function_read(&v8->heap, v8->scripts, &v8->profile->strings, shared,
                            &bytecodes->function);
}

/*
 * Where an object is now that the collector moves it: the old one has its new address, without a
 * tag, in place of its map (src/objects/objects.h, MapWord).
 */
static uint64_t follow_move(struct v8_heap *heap, uint64_t object)
{
    uint64_t word;
    return v8_is_object(object) && v8_field(heap, object, 0, &word) && !(word & V8_TAG_MASK) &&
                   v8_is_object(word + V8_HEAP_OBJECT_TAG)
               ? word + V8_HEAP_OBJECT_TAG
               : object;
}

static bool shared_of_function(struct v8_heap *heap, uint64_t function, uint64_t *ret_shared)
{
    function = follow_move(heap, function);
    return is_js_function(heap, function) &&
           v8_field(heap, function, heap->layout.function_shared, ret_shared);
}

bool v8_frame_shared(struct v8_view *view, size_t index, uint64_t *ret_shared)
{
    struct v8_heap *heap = &view->v8->heap;
    uint64_t function;
    return v8_frame_word(view, index, heap->layout.frame_function, &function) &&
           shared_of_function(heap, function, ret_shared);
}

/*
 * Functions that were called a few times have a FeedbackVector, which is old and does not move, and
 * knows its SharedFunctionInfo (src/objects/feedback-vector.tq). It stands in frames of baseline
 * code, and of the interpreter from 12.4 on, in one of the slots below the BytecodeArray.
 */
static bool shared_of_feedback(struct v8_view *view, size_t index, uint64_t array,
                               uint64_t *ret_shared)
{
    enum { SLOTS = 2, FIRST_FIELD = 8, FIELDS = 5 };
    struct v8_heap *heap = &view->v8->heap;
    for (int slot = 1; slot <= SLOTS; slot++) {
        uint64_t vector, words[FIELDS];
        if (!v8_frame_word(view, index, heap->layout.frame_bytecode_array - 8 * slot, &vector) ||
            !v8_is_object(vector) ||
            !v8_read(heap, vector - V8_HEAP_OBJECT_TAG + FIRST_FIELD, words, sizeof words))
            continue;
        for (size_t i = 0; i < FIELDS; i++) {
            if (is_shared_of(heap, words[i], array)) {
                *ret_shared = words[i];
                return true;
            }
        }
    }
    return false;
}

/*
 * What has run once or twice has no feedback. But functions of its script were met, mostly, and the
 * script knows all of its functions.
 */
static bool learn_from_script(struct v8 *v8, struct v8_bytecodes *bytecodes)
{
    uint64_t now_ns = v8->now_ns, shared;
    for (size_t i = 0; i < V8_RECENT_SCRIPTS; i++) {
        struct v8_recent_script *recent = &v8->recent[(v8->last_recent - i) % V8_RECENT_SCRIPTS];
        if (!recent->script || now_ns - recent->searched_ns < SEARCH_APART_NS)
            continue;
        if (v8_script_find(&v8->heap, recent->script, bytecodes->array, &shared) &&
            learn_from_shared(v8, bytecodes, shared))
            return true;
        recent->searched_ns = now_ns;
    }
    return false;
}

static void remember_script(struct v8 *v8, uint64_t script)
{
    for (size_t i = 0; i < V8_RECENT_SCRIPTS; i++)
        if (v8->recent[i].script == script)
            return;
    v8->recent[++v8->last_recent % V8_RECENT_SCRIPTS] = (struct v8_recent_script){.script = script};
}

/* By the function in the frame as it is now: that in the sample may have moved. */
static bool learn_from_frame(struct v8_view *view, size_t index, struct v8_bytecodes *bytecodes)
{
    struct v8 *v8 = view->v8;
    const struct v8_layout *layout = &v8->heap.layout;
    uint64_t fp = view->frames[index].fp, function, shared, now;
    return v8_word(&v8->heap, fp + (uint64_t)(int64_t)layout->frame_bytecode_array, &now) &&
           now == bytecodes->array &&
           v8_word(&v8->heap, fp + (uint64_t)(int64_t)layout->frame_function, &function) &&
           shared_of_function(&v8->heap, function, &shared) &&
           learn_from_shared(v8, bytecodes, shared);
}

/* The next sample may find by its frame alone what this one does not: that is tried each time. */
static bool learn_function(struct v8_view *view, size_t index, struct v8_bytecodes *bytecodes)
{
    struct v8_entry *entry = &bytecodes->entry;
    uint64_t shared;
    if (v8_frame_shared(view, index, &shared) && learn_from_shared(view->v8, bytecodes, shared))
        return true;
    if (learn_from_frame(view, index, bytecodes))
        return true;
    if (v8_missed_lately(entry->missed_ns, view->v8->now_ns))
        return false;
    entry->missed_ns = view->v8->now_ns;
    if (shared_of_feedback(view, index, bytecodes->array, &shared) &&
        learn_from_shared(view->v8, bytecodes, shared))
        return true;
    return learn_from_script(view->v8, bytecodes);
}

/* Whether the sample saw these bytecodes where they are now, or other ones that were there before.
 */
static bool frame_has(struct v8_view *view, size_t index, const struct v8_bytecodes *bytecodes)
{
    uint64_t shared;
    return v8_was_there(view->v8, &bytecodes->entry) ||
           (v8_frame_shared(view, index, &shared) &&
            is_shared_of(&view->v8->heap, shared, bytecodes->array)) ||
           shared_of_feedback(view, index, bytecodes->array, &shared);
}

struct v8_bytecodes *v8_learn_bytecodes(struct v8_view *view, size_t index, uint64_t array)
{
    struct v8 *v8 = view->v8;
    struct v8_bytecodes *bytecodes = v8_cache_bytecodes(&v8->cache, array);
    struct v8_entry *entry = &bytecodes->entry;
    /* Those of baseline code are not among what was proven for the stack. */
    v8_cache_prove(&v8->heap.memory, &entry, 1, v8->sampled_ns, v8->now_ns);
    if (entry->known)
        return frame_has(view, index, bytecodes) ? bytecodes : NULL;
    uint64_t missed_ns = entry->missed_ns;
    v8_cache_renew(&v8->cache, entry);
    entry->missed_ns = missed_ns;
    entry->identity_address = array - V8_HEAP_OBJECT_TAG;
    entry->identity_size = HEADER_BYTES;
    entry->since_ns = entry->proven_ns = v8->now_ns;
    entry->known =
        v8_type(&v8->heap, array) == v8->heap.layout.bytecode_array &&
        remote_read(&v8->heap.memory, entry->identity_address, entry->identity, HEADER_BYTES) &&
        learn_function(view, index, bytecodes);
    if (!entry->known)
        return NULL;
    entry->missed_ns = 0;
    remember_script(v8, bytecodes->function.script);
    return frame_has(view, index, bytecodes) ? bytecodes : NULL;
}
