/*
 * V8's Heap holds a pointer to each of its spaces, whose classes are known by their vtables: so
 * they are found by looking for such pointers where the Heap lies in the isolate, all of which must
 * name the same Heap. What each space has committed and what its objects take are words of it; but
 * of the new space, where it is the full pages, and the last up to the top of the area that is
 * being allocated from.
 *
 * Reading it all is two system calls, and the process runs on: what can't be true together (more
 * used than committed) is thrown away.
 */
#include "symbolize/node_heap.h"

#include <string.h>

enum {
    SPACE_HEAP = 8,
    SPACE_COMMITTED = 24,
    SPACE_BYTES = 288,
    NEW_SPACE_BYTES = 1024,
    SEMI_BYTES = 208,
    PAGE_BYTES = 256 * 1024,
    SYSTEM_PAGE = 4096,
    ALLOCATOR_TOTAL = 16, /* node::NodeArrayBufferAllocator::total_mem_usage_ */
    WINDOW_BYTES = 16 * 1024,
    AREA_BYTES_MIN = PAGE_BYTES / 2
};

#define HEAP_BYTES_MAX ((uint64_t)1 << 42)

/* Offsets; of spaces unless said otherwise. */
struct node_heap_layout {
    int major, minor;
    uint16_t paged_area; /* bytes for objects in a page */
    uint16_t paged_size; /* used, without what is left of the area that is allocated from */
    uint16_t large_size, large_objects;
    uint16_t semi_capacity; /* of a half: its pages up to the one in use */
    uint16_t area_pointer;  /* of the new space, to {start, top, limit}; 0: see the next one */
    uint16_t new_area;      /* in the isolate, where the space has none */
    uint16_t external;      /* in the Heap */
    uint16_t collections;   /* in the Heap: the count of mark-compacts */
    uint32_t heap;          /* in the isolate, within some KiB */
    uint32_t allocator;     /* in the isolate, within some KiB */
};

static const struct node_heap_layout layouts[] = {
    {.major = 10,
     .minor = 2,
     .paged_area = 248,
     .paged_size = 272,
     .large_size = 200,
     .large_objects = 216,
     .semi_capacity = 200,
     .area_pointer = 200,
     .external = 0x128,
     .collections = 0x268,
     .heap = 0xc638,
     .allocator = 0xea78},
    {.major = 11,
     .minor = 3,
     .paged_area = 128,
     .paged_size = 152,
     .large_size = 80,
     .large_objects = 96,
     .semi_capacity = 80,
     .area_pointer = 80,
     .external = 0x128,
     .collections = 0x240,
     .heap = 0xd2c0,
     .allocator = 0xf6b0},
    {.major = 12,
     .minor = 4,
     .paged_area = 88,
     .paged_size = 112,
     .large_size = 80,
     .large_objects = 96,
     .semi_capacity = 80,
     .new_area = 0xc0,
     .external = 0x90,
     .collections = 0x1b0,
     .heap = 0xdea0,
     .allocator = 0x10138},
    {.major = 13,
     .minor = 6,
     .paged_area = 96,
     .paged_size = 120,
     .large_size = 88,
     .large_objects = 104,
     .semi_capacity = 88,
     .new_area = 0xc8,
     .external = 0x98,
     .collections = 0x238,
     .heap = 0xeff0,
     .allocator = 0x11068},
};

struct area { /* V8's LinearAllocationArea */
    uint64_t start, top, limit;
};

struct heap_image {
    uint8_t spaces[NODE_SPACES][SPACE_BYTES];
    struct area area; /* of the new space; empty: none */
    uint8_t semi[2][SEMI_BYTES];
    uint64_t external;
    uint64_t allocator[ALLOCATOR_TOTAL / 8 + 1];
};

static uint64_t word_at(const uint8_t *bytes, size_t offset)
{
    uint64_t word;
    memcpy(&word, bytes + offset, sizeof word);
    return word;
}

static bool is_pointer(uint64_t address)
{
    return address > 4096 && address < (uint64_t)1 << 47 && !(address & 7);
}

static const struct node_heap_layout *
find_layout(struct remote_memory *memory, const struct node_symbols *symbols, struct error *err)
{
    int32_t major = 0, minor = 0;
    if (!symbols->major || !symbols->minor ||
        !remote_read(memory, symbols->major, &major, sizeof major) ||
        !remote_read(memory, symbols->minor, &minor, sizeof minor)) {
        error_set(err, ERROR_UNSUPPORTED, "V8's version is not known");
        return NULL;
    }
    for (size_t i = 0; i < sizeof layouts / sizeof *layouts; i++)
        if (layouts[i].major == major && layouts[i].minor == minor)
            return &layouts[i];
    error_set(err, ERROR_UNSUPPORTED, "the heap's layout in V8 %d.%d is not known", major, minor);
    return NULL;
}

static const struct node_space_class *find_class(const struct node_symbols *symbols,
                                                 uint64_t vtable)
{
    for (size_t i = 0; vtable && i < NODE_SPACE_CLASSES; i++)
        if (symbols->spaces[i].vtable == vtable)
            return &symbols->spaces[i];
    return NULL;
}

/* A pointer out of the isolate: to a space of its heap, and to none known yet? */
static int add_space(struct node_heap *heap, const struct node_symbols *symbols, uint64_t address,
                     struct error *err)
{
    uint64_t head[2];
    for (size_t i = 0; i < heap->space_count; i++)
        if (heap->spaces[i].address == address)
            return 0;
    if (!is_pointer(address) || !remote_read(heap->memory, address, head, sizeof head))
        return 0;
    const struct node_space_class *class = find_class(symbols, head[0]);
    if (!class || class->kind == NODE_SPACE_READ_ONLY)
        return 0;
    if (class->kind == NODE_SPACE_OTHER)
        return error_set(err, ERROR_UNSUPPORTED, "its heap has spaces of another kind");
    if (!heap->heap)
        heap->heap = head[1];
    if (head[1] != heap->heap || heap->space_count == NODE_SPACES)
        return error_set(err, ERROR_FORMAT, "its heap has no known layout");
    heap->spaces[heap->space_count++] =
        (struct node_space){address, head[0], class->kind, class->old};
    return 0;
}

static int find_spaces(struct node_heap *heap, const struct node_symbols *symbols,
                       struct error *err)
{
    uint64_t words[WINDOW_BYTES / 8];
    uint64_t from = heap->isolate + heap->layout->heap - WINDOW_BYTES / 2;
    if (!remote_read(heap->memory, from, words, sizeof words))
        return error_set(err, ERROR_FORMAT, "its isolate can't be read");
    for (size_t i = 0; i < WINDOW_BYTES / 8; i++)
        if (add_space(heap, symbols, words[i], err))
            return -1;
    if (heap->heap < from || heap->heap >= from + WINDOW_BYTES)
        return error_set(err, ERROR_FORMAT, "its heap is not found");
    return 0;
}

static int find_halves(struct node_heap *heap, const struct node_symbols *symbols,
                       struct error *err)
{
    uint64_t words[NEW_SPACE_BYTES / 8];
    size_t new_spaces = 0, old_spaces = 0, halves = 0;
    for (size_t i = 0; i < heap->space_count; i++) {
        const struct node_space *space = &heap->spaces[i];
        old_spaces += space->old;
        if (space->kind != NODE_SPACE_NEW || new_spaces++)
            continue;
        if (!remote_read(heap->memory, space->address, words, sizeof words))
            break;
        for (size_t j = 2; j + 1 < NEW_SPACE_BYTES / 8 && halves < 2; j++)
            if (words[j] == symbols->semi_space_vtable && words[j + 1] == heap->heap)
                heap->semi[halves++] = space->address + j * 8;
    }
    if (new_spaces != 1 || old_spaces != 1 || halves != 2)
        return error_set(err, ERROR_FORMAT, "its heap has not all its spaces");
    return 0;
}

/* Another embedder's allocator is not known, and its array buffers are not told. */
static void find_allocator(struct node_heap *heap, const struct node_symbols *symbols)
{
    uint64_t words[WINDOW_BYTES / 8], head;
    uint64_t from = heap->isolate + heap->layout->allocator - WINDOW_BYTES / 2;
    if (!symbols->allocator_vtable || !remote_read(heap->memory, from, words, sizeof words))
        return;
    /* The first look is where it is in Node.js's own builds. */
    size_t middle = WINDOW_BYTES / 16;
    for (size_t i = 0; i < WINDOW_BYTES / 8; i++) {
        uint64_t address = words[(i + middle) % (WINDOW_BYTES / 8)];
        if (is_pointer(address) && remote_read(heap->memory, address, &head, sizeof head) &&
            head == symbols->allocator_vtable) {
            heap->allocator = address;
            heap->allocator_vtable = head;
            return;
        }
    }
}

int node_heap_open(struct remote_memory *memory, const struct node_symbols *symbols,
                   uint64_t isolate, struct node_heap *ret_heap, struct error *err)
{
    struct node_heap heap = {
        .memory = memory, .isolate = isolate, .semi_vtable = symbols->semi_space_vtable};
    struct node_heap_figures figures;
    heap.layout = find_layout(memory, symbols, err);
    if (!heap.layout)
        return -1;
    if (!is_pointer(isolate) || !symbols->semi_space_vtable)
        return error_set(err, ERROR_FORMAT, "its heap is not found");
    if (find_spaces(&heap, symbols, err) || find_halves(&heap, symbols, err))
        return -1;
    find_allocator(&heap, symbols);
    for (int tries = 0; !node_heap_read(&heap, &figures); tries++)
        if (tries == 3)
            return error_set(err, ERROR_FORMAT, "the figures of its heap contradict each other");
    *ret_heap = heap;
    return 0;
}

uint32_t node_heap_collections(const struct node_heap *heap)
{
    return heap->layout->collections;
}

/* All but the area, whose address is among it in some versions. */
static bool read_spaces(struct node_heap *heap, struct heap_image *image)
{
    struct memory_read reads[NODE_SPACES + 4];
    size_t count = 0;
    for (size_t i = 0; i < heap->space_count; i++)
        reads[count++] = (struct memory_read){
            .address = heap->spaces[i].address, .into = image->spaces[i], .size = SPACE_BYTES};
    for (size_t i = 0; i < 2; i++)
        reads[count++] = (struct memory_read){
            .address = heap->semi[i], .into = image->semi[i], .size = SEMI_BYTES};
    reads[count++] = (struct memory_read){.address = heap->heap + heap->layout->external,
                                          .into = &image->external,
                                          .size = sizeof image->external};
    if (heap->allocator)
        reads[count++] = (struct memory_read){
            .address = heap->allocator, .into = image->allocator, .size = sizeof image->allocator};
    return remote_read_all(heap->memory, reads, count) == count;
}

static bool read_area(struct node_heap *heap, struct heap_image *image)
{
    uint64_t address = heap->isolate + heap->layout->new_area;
    for (size_t i = 0; heap->layout->area_pointer && i < heap->space_count; i++)
        if (heap->spaces[i].kind == NODE_SPACE_NEW)
            address = word_at(image->spaces[i], heap->layout->area_pointer);
    return is_pointer(address) &&
           remote_read(heap->memory, address, &image->area, sizeof image->area);
}

static bool area_is_sound(const struct area *area)
{
    return area->start <= area->top && area->top <= area->limit &&
           area->limit - area->start <= PAGE_BYTES && area->limit < (uint64_t)1 << 47;
}

/* Whole pages up to the one in use, and that one up to the top. */
static bool used_of_new(const uint8_t *half, const struct node_heap_layout *layout,
                        const struct area *area, uint64_t page_area, uint64_t *ret_used)
{
    uint64_t capacity = word_at(half, layout->semi_capacity);
    if (capacity < PAGE_BYTES || capacity % PAGE_BYTES || capacity > HEAP_BYTES_MAX)
        return false;
    uint64_t full = capacity / PAGE_BYTES - 1, in_last = 0;
    if (area->top) {
        uint64_t in_page = ((area->top - 1) & (PAGE_BYTES - 1)) + 1, head = PAGE_BYTES - page_area;
        if (in_page < head)
            return false;
        in_last = in_page - head;
    }
    *ret_used = full * page_area + in_last;
    return true;
}

static bool add_space_figures(const struct node_heap *heap, const struct heap_image *image,
                              size_t index, uint64_t page_area, struct node_heap_figures *figures)
{
    const struct node_heap_layout *layout = heap->layout;
    const struct node_space *space = &heap->spaces[index];
    const uint8_t *bytes = image->spaces[index];
    uint64_t committed = word_at(bytes, SPACE_COMMITTED), used, size;
    if (word_at(bytes, 0) != space->vtable || word_at(bytes, SPACE_HEAP) != heap->heap)
        return false;
    switch (space->kind) {
    case NODE_SPACE_NEW:
        committed = word_at(image->semi[0], SPACE_COMMITTED);
        if (!used_of_new(image->semi[0], layout, &image->area, page_area, &used))
            return false;
        size = used;
        break;
    case NODE_SPACE_PAGED:
        size = used = word_at(bytes, layout->paged_size);
        break;
    default:
        used = word_at(bytes, layout->large_objects);
        size = word_at(bytes, layout->large_size);
    }
    if (used > size || size > committed)
        return false;
    if (space->kind == NODE_SPACE_NEW)
        committed += word_at(image->semi[1], SPACE_COMMITTED);
    figures->total += committed;
    figures->used += used;
    return committed <= HEAP_BYTES_MAX && !(committed % SYSTEM_PAGE);
}

static uint64_t area_of_pages(const struct node_heap *heap, const struct heap_image *image)
{
    for (size_t i = 0; i < heap->space_count; i++)
        if (heap->spaces[i].old)
            return word_at(image->spaces[i], heap->layout->paged_area);
    return 0;
}

bool node_heap_read(struct node_heap *heap, struct node_heap_figures *ret_figures)
{
    struct heap_image image;
    struct node_heap_figures figures = {0};
    if (!read_spaces(heap, &image) || !read_area(heap, &image) || !area_is_sound(&image.area))
        return false;
    uint64_t page_area = area_of_pages(heap, &image);
    if (page_area < AREA_BYTES_MIN || page_area > PAGE_BYTES)
        return false;
    for (size_t i = 0; i < 2; i++)
        if (word_at(image.semi[i], 0) != heap->semi_vtable ||
            word_at(image.semi[i], SPACE_HEAP) != heap->heap ||
            word_at(image.semi[i], SPACE_COMMITTED) > HEAP_BYTES_MAX)
            return false;
    for (size_t i = 0; i < heap->space_count; i++)
        if (!add_space_figures(heap, &image, i, page_area, &figures))
            return false;
    figures.external = image.external;
    if (figures.used > figures.total || figures.external > HEAP_BYTES_MAX)
        return false;
    if (heap->allocator && image.allocator[0] == heap->allocator_vtable) {
        figures.array_buffers = image.allocator[ALLOCATOR_TOTAL / 8];
        figures.has_array_buffers = figures.array_buffers <= HEAP_BYTES_MAX;
    }
    *ret_figures = figures;
    return true;
}

/* "START-END PERMISSIONS OFFSET DEVICE INODE", and nothing behind it if anonymous. */
static uint64_t mapped_of_line(const char *line, size_t length)
{
    char text[128], permissions[5];
    unsigned long long start, end, offset, inode;
    unsigned major, minor;
    if (length >= sizeof text)
        return 0;
    memcpy(text, line, length);
    text[length] = '\0';
    int consumed = 0;
    if (sscanf(text, "%llx-%llx %4s %llx %x:%x %llu %n", &start, &end, permissions, &offset, &major,
               &minor, &inode, &consumed) < 7)
        return 0;
    bool anonymous = !inode && consumed && (size_t)consumed == length;
    return anonymous && permissions[1] == 'w' && permissions[3] == 'p' && start < end &&
                   start % PAGE_BYTES == 0 && start < 0x7f0000000000
               ? end - start
               : 0;
}

uint64_t node_heap_mapped(const char *maps, size_t length)
{
    uint64_t bytes = 0;
    for (size_t at = 0; at < length;) {
        const char *end = memchr(maps + at, '\n', length - at);
        size_t line = end ? (size_t)(end - (maps + at)) : length - at;
        bytes += mapped_of_line(maps + at, line);
        at += line + 1;
    }
    return bytes;
}
