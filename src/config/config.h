#ifndef NPXC_CONFIG_CONFIG_H
#define NPXC_CONFIG_CONFIG_H

#include "base/error.h"
#include "base/str.h"
#include "config/value.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cJSON;

/*
 * The two kinds of configuration file, JSON with comments: npxc.json and packages/<package key>.json. An
 * unreadable one, an unknown key (with a near miss suggested), a wrong type, a duplicate key or a bad
 * value is ERROR_CONFIG "FILE:LINE: KEY: reason".
 */

/* RW_ALL: with what the host would execute (config/hazard). */
enum config_project { CONFIG_PROJECT_NONE, CONFIG_PROJECT_RO, CONFIG_PROJECT_RW, CONFIG_PROJECT_RW_ALL };

enum config_strategy { CONFIG_STRATEGY_CONFIG, CONFIG_STRATEGY_SCHEMA, CONFIG_STRATEGY_HEURISTIC };
enum { CONFIG_STRATEGIES_MAX = 3 };

struct config {
	char *file; /* owned; the path read or looked for */
	struct {
		char *runtime;         /* one of RUNTIMES_TEXT (config/runtimes.h) */
		unsigned node;         /* a major version, 0: whatever satisfies the package */
		char *node_image;      /* "node:lts-slim" */
		char *container_cli;   /* "container" */
		char *network;         /* NULL: not said, which is none */
		uint64_t memory_bytes; /* 512 MiB */
		unsigned cpu_millis;   /* 1000 = one processor */
		bool mount_writable;   /* mount_mode */
		char *log_level;       /* "warn" */
	} defaults;
	enum config_strategy strategies[CONFIG_STRATEGIES_MAX];
	size_t strategy_count;
	struct {
		bool absolute_prefix;
		bool home_prefix;
		struct strv uri_prefix;
	} heuristic;
	bool refuse_outside;          /* paths.outside: a call that names a file elsewhere is answered, not forwarded */
	struct strv trusted_projects; /* absolute, cleaned: whose .npmrc may name registries of scopes */
	struct strv install_allow;    /* rules: what every installation may reach beside the registry */
};

struct config_variable {
	char *name;
	char *value;
};

struct config_package {
	char *file;        /* owned; the path read or looked for */
	bool present;      /* the file was there */
	char *package;     /* NULL when not said; a name that does not match the file's key is an error */
	char *package_dir; /* NULL, or the directory that the file is for instead: absolute, cleaned
	                      (config/package_dir.h) */
	char *version;     /* NULL, or an exact version, range or tag that a spec without one gets */
	struct config_variable *env;
	size_t env_count;
	struct strv env_passthrough;
	char *network_mode, *network_link; /* NULL: not said */
	struct strv network_allow;
	struct strv install_allow; /* rules: what its installation, scripts included, may reach beside the registry */
	bool storage_persist;
	struct strv storage_writable; /* absolute paths inside */
	struct strv storage_home;     /* relative to HOME; none in another */
	struct config_mount *mounts;
	size_t mount_count;
	/* Owned, NULL or {tool or "*": [names or JSON pointers]}; for mcp/. */
	struct cJSON *path_arguments, *non_path_arguments, *output_arguments;
	bool outputs;      /* any path argument may name a file that the server makes */
	bool stdout_guard; /* what the server writes to stdout and is no message goes to stderr; true when not said */
	enum config_project project;
	bool project_set;
	char *runtime_name;      /* NULL: not said */
	uint64_t runtime_memory; /* bytes, 0: not said */
	unsigned runtime_cpus;   /* millis, 0: not said */
	char *runtime_network;   /* NULL: not said */
};

/* Pure: the text of a file, its name for messages. `text` NULL means an absent file: all defaults. */
bool config_parse(const char *text, size_t length, const char *file, struct config *ret_config,
                  struct npxc_error *err) NPXC_MUST_CHECK;
bool config_parse_package(const char *text, size_t length, const char *file, struct config_package *ret_package,
                          struct npxc_error *err) NPXC_MUST_CHECK;
/* The same for the file of the package `name`, which may not say that it is another's. */
bool config_parse_package_of(const char *text, size_t length, const char *file, const char *name,
                             struct config_package *ret_package, struct npxc_error *err) NPXC_MUST_CHECK;

void config_done(struct config *config);
void config_package_done(struct config_package *package);

#endif
