#include "base/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void set_text(struct npxc_error *err, const char *fmt, va_list args) NPXC_PRINTF(2, 0);

static void set_text(struct npxc_error *err, const char *fmt, va_list args)
{
	char text[ERROR_MESSAGE_SIZE]; /* the arguments may point into err->message */

	if (vsnprintf(text, sizeof(text), fmt, args) < 0)
		text[0] = '\0';
	memcpy(err->message, text, sizeof(text));
}

static void append(struct npxc_error *err, const char *text)
{
	size_t used = strlen(err->message);

	snprintf(err->message + used, sizeof(err->message) - used, "%s", text);
}

bool error_set(struct npxc_error *err, enum npxc_error_kind kind, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	set_text(err, fmt, args);
	va_end(args);
	err->kind = kind;
	err->sys_errno = 0;
	return false;
}

bool error_set_errno(struct npxc_error *err, enum npxc_error_kind kind, const char *fmt, ...)
{
	int saved = errno;
	va_list args;

	va_start(args, fmt);
	set_text(err, fmt, args);
	va_end(args);
	append(err, ": ");
	append(err, strerror(saved));
	err->kind = kind;
	err->sys_errno = saved;
	return false;
}

bool error_prefix(struct npxc_error *err, const char *fmt, ...)
{
	char rest[ERROR_MESSAGE_SIZE];
	va_list args;

	memcpy(rest, err->message, sizeof(rest));
	va_start(args, fmt);
	set_text(err, fmt, args);
	va_end(args);
	append(err, ": ");
	append(err, rest);
	return false;
}

struct kind_names {
	const char *text;
	const char *word;
};

static struct kind_names kind_names(enum npxc_error_kind kind)
{
	switch (kind) {
	case ERROR_CONFIG:
		return (struct kind_names){ "configuration error", "config" };
	case ERROR_RUNTIME_UNAVAILABLE:
		return (struct kind_names){ "runtime not available", "runtime_unavailable" };
	case ERROR_INSTALL:
		return (struct kind_names){ "install failed", "install" };
	case ERROR_RUNTIME:
		return (struct kind_names){ "runtime error", "runtime" };
	case ERROR_JSON:
		return (struct kind_names){ "JSON error", "json" };
	case ERROR_PATH_OUT_OF_SCOPE:
		return (struct kind_names){ "path out of scope", "path_out_of_scope" };
	case ERROR_PATH_NOT_FOUND:
		return (struct kind_names){ "path not found", "path_not_found" };
	case ERROR_IO:
		return (struct kind_names){ "system error", "io" };
	case ERROR_NONE:
		break;
	}
	return (struct kind_names){ "no error", "none" };
}

const char *error_kind_text(enum npxc_error_kind kind)
{
	return kind_names(kind).text;
}

const char *error_kind_word(enum npxc_error_kind kind)
{
	return kind_names(kind).word;
}
