#ifndef NPXC_BASE_ERROR_H
#define NPXC_BASE_ERROR_H

#include <stdbool.h>

/*
 * Errors are caller-owned values. A function that can fail has the shape
 *
 *     bool thing_verb(..., T *ret_x, struct npxc_error *err);
 *
 * and keeps two promises: success never touches `err`, failure never touches `ret_*`.
 * Reporting an error allocates nothing.
 */

#define NPXC_MUST_CHECK __attribute__((warn_unused_result))
#define NPXC_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))

/* Kinds follow the field they come from. Only main.c maps a kind to an exit status. */
enum npxc_error_kind {
	ERROR_NONE = 0,
	ERROR_CONFIG,              /* configuration, arguments, a setting that cannot be honoured */
	ERROR_RUNTIME_UNAVAILABLE, /* the sandbox runtime is missing, too old, down or forbidden */
	ERROR_INSTALL,             /* npm could not install, or the stored package is unusable */
	ERROR_RUNTIME,             /* the runtime ran and failed */
	ERROR_JSON,                /* output that had to be JSON of a known shape was not */
	ERROR_PATH_OUT_OF_SCOPE,   /* a file outside the working directory */
	ERROR_PATH_NOT_FOUND,      /* a file that is not there */
	ERROR_IO,                  /* the operating system refused: files, pipes, memory ceilings */
};

enum { ERROR_MESSAGE_SIZE = 512 };

struct npxc_error {
	enum npxc_error_kind kind;
	int sys_errno; /* 0 when no system call is to blame */
	char message[ERROR_MESSAGE_SIZE];
};

/* Sets kind and message (cut at the message's size) and returns false, so that `return error_set(...)` reads well. */
bool error_set(struct npxc_error *err, enum npxc_error_kind kind, const char *fmt, ...) NPXC_PRINTF(3, 4);

/* As error_set, keeps errno and appends ": " and strerror(errno). */
bool error_set_errno(struct npxc_error *err, enum npxc_error_kind kind, const char *fmt, ...) NPXC_PRINTF(3, 4);

/* Puts "prefix: " before the message that is there; kind and errno stay. Returns false. */
bool error_prefix(struct npxc_error *err, const char *fmt, ...) NPXC_PRINTF(2, 3);

/* The kind in words, as a user reads it: "configuration error", "runtime not available", ... */
const char *error_kind_text(enum npxc_error_kind kind);

/* The kind as one machine-readable word for --json: "config", "runtime_unavailable", ... */
const char *error_kind_word(enum npxc_error_kind kind);

#endif
