#ifndef NPXC_CONFIG_RUNTIMES_H
#define NPXC_CONFIG_RUNTIMES_H

/*
 * The runtimes, one row each: RUNTIME_<NAME> is its kind (runtime/driver.h), `word` its word in the configuration and
 * on the command line, and `<word>_driver` what npxc knows about it (a file of its own in runtime/). A new one is a row
 * here and that file; what lists runtimes is made from these rows, and tests/unit/test_runtime.c holds the schemas
 * against them.
 */
#define RUNTIMES(ROW)       \
	ROW(BWRAP, bwrap)   \
	ROW(APPLE, apple)   \
	ROW(PODMAN, podman) \
	ROW(DOCKER, docker)

/* Strings for an array. */
#define RUNTIMES_WORD(NAME, word) #word,

#define RUNTIMES_ROW_TEXT(NAME, word) ", " #word
/* All words, for messages and help: "auto, bwrap, apple, ..."; auto is this machine's own. */
#define RUNTIMES_TEXT "auto" RUNTIMES(RUNTIMES_ROW_TEXT)

#endif
