#ifndef NPXC_BASE_MEM_H
#define NPXC_BASE_MEM_H

#include <stddef.h>

/*
 * Out of memory ends the process with one line on stderr and status 4. That is safe because every buffer that a
 * remote party drives has a ceiling in base/limits.h.
 */

void *mem_alloc(size_t bytes);                             /* zeroed */
void *mem_realloc(void *owned, size_t count, size_t size); /* count * size is checked for overflow */

/* For `mem_cleanup char *x = ...;`: freed at the end of the scope. */
void mem_cleanup_free(void *pointer_to_pointer);
#define mem_cleanup __attribute__((cleanup(mem_cleanup_free)))

/* Hands ownership on: returns *p and leaves NULL there. */
#define MEM_TAKE(p)                             \
	__extension__({                         \
		__typeof__(p) mem_taken_ = (p); \
		(p) = NULL;                     \
		mem_taken_;                     \
	})

#endif
