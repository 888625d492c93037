/*
 * Preloaded in front of the C library's allocator: counts the octets of the heap that are taken
 * and not yet given back, the allocator's own word per block included, and the number of requests.
 * The measured program finds heap_octets and heap_requests by name. One thread only.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <malloc.h>
#include <stdlib.h>

extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);
extern void __libc_free(void *);

size_t heap_octets;
size_t heap_requests;

static size_t taken(void *block)
{
    return block ? malloc_usable_size(block) + sizeof(size_t) : 0;
}

static void *given(void *block)
{
    heap_octets += taken(block);
    heap_requests++;
    return block;
}

void *malloc(size_t size)
{
    return given(__libc_malloc(size));
}

void *calloc(size_t count, size_t size)
{
    return given(__libc_calloc(count, size));
}

void free(void *block)
{
    heap_octets -= taken(block);
    __libc_free(block);
}

void *realloc(void *block, size_t size)
{
    size_t old = taken(block);
    void *other = __libc_realloc(block, size);

    if (other != NULL || size == 0)
        heap_octets -= old;
    return given(other);
}

void *memalign(size_t alignment, size_t size)
{
    return given(__libc_memalign(alignment, size));
}

void *aligned_alloc(size_t alignment, size_t size)
{
    return memalign(alignment, size);
}

int posix_memalign(void **block, size_t alignment, size_t size)
{
    void *other = memalign(alignment, size);

    if (other == NULL)
        return ENOMEM;
    *block = other;
    return 0;
}
