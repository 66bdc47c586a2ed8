#include "runtime/driver.h"

#define ENTRY(NAME, word) [RUNTIME_##NAME] = &word##_driver,
static const struct runtime_driver *const table[] = { RUNTIMES(ENTRY) };

const size_t runtime_driver_count = sizeof(table) / sizeof(table[0]);

#ifdef __APPLE__
const enum runtime_kind runtime_kind_auto = RUNTIME_APPLE;
#else
const enum runtime_kind runtime_kind_auto = RUNTIME_BWRAP;
#endif

const struct runtime_driver *runtime_driver(enum runtime_kind kind)
{
	return table[kind];
}
