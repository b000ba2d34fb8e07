/* mallocs: counts what a program asks its allocator for. Built as a shared object and preloaded (LD_PRELOAD).
 *
 * The counts stand in the file that MALLOC_COUNTS names, so that they can be read while the program runs, and are
 * those of all its threads and children together: five numbers of 64 bits, calls of malloc (calloc and the aligned
 * ones too), realloc, free, bytes asked for by malloc, and by realloc.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);
extern void __libc_free(void *);

struct counts { _Atomic uint64_t mallocs, reallocs, frees, malloc_bytes, realloc_bytes; };

static struct counts nowhere, *counts = &nowhere;

static void one(_Atomic uint64_t *calls, _Atomic uint64_t *bytes, size_t n)
{
	atomic_fetch_add_explicit(calls, 1, memory_order_relaxed);
	if (bytes) atomic_fetch_add_explicit(bytes, n, memory_order_relaxed);
}

__attribute__((constructor)) static void begin(void)
{
	const char *path = getenv("MALLOC_COUNTS");
	int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
	if (fd < 0) return;
	void *map = mmap(NULL, sizeof *counts, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (map != MAP_FAILED) counts = map;
	close(fd);
}

void *malloc(size_t n)
{
	one(&counts->mallocs, &counts->malloc_bytes, n);
	return __libc_malloc(n);
}

void *calloc(size_t k, size_t n)
{
	one(&counts->mallocs, &counts->malloc_bytes, k * n);
	return __libc_calloc(k, n);
}

void *realloc(void *p, size_t n)
{
	one(&counts->reallocs, &counts->realloc_bytes, n);
	return __libc_realloc(p, n);
}

void *memalign(size_t a, size_t n)
{
	one(&counts->mallocs, &counts->malloc_bytes, n);
	return __libc_memalign(a, n);
}

void *aligned_alloc(size_t a, size_t n) { return memalign(a, n); }

int posix_memalign(void **p, size_t a, size_t n)
{
	void *got = memalign(a, n);
	if (!got) return ENOMEM;
	*p = got;
	return 0;
}

void free(void *p)
{
	if (p) one(&counts->frees, NULL, 0);
	__libc_free(p);
}
