#include "fuzz.h"

#include "base/limits.h"
#include "base/str.h"
#include "config/config.h"
#include "config/policy.h"
#include "config/spec.h"

static void check_memory(uint64_t bytes)
{
	REQUIRE(bytes >= 64 * MIB && bytes <= (uint64_t)16 * MIB * MIB);
}

static void check_network(const char *word)
{
	struct npxc_error err = { 0 };
	enum policy_kind kind;

	if (word != NULL) {
		REQUIRE(policy_parse_network(word, &kind, &err));
		REQUIRE(word[0] != '-');
	}
}

static void check_inside(const char *path)
{
	REQUIRE(path[0] == '/' && path[1] != '\0' && strstr(path, "/../") == NULL && strstr(path, "//") == NULL);
	REQUIRE(!str_ends(path, "/..") && !str_path_within(path, "/proc") && !str_path_within(path, "/sys") &&
	        !str_path_within(path, "/dev"));
}

static void check_config(const struct config *config)
{
	struct npxc_error err = { 0 };

	REQUIRE(value_check_runtime(config->defaults.runtime, &err));
	REQUIRE(config->defaults.node == 0 || (config->defaults.node >= 10 && config->defaults.node <= 99));
	REQUIRE(config->defaults.node_image[0] != '-' && config->defaults.node_image[0] != '\0');
	REQUIRE(config->defaults.container_cli[0] != '-' && config->defaults.container_cli[0] != '\0');
	check_network(config->defaults.network);
	check_memory(config->defaults.memory_bytes);
	REQUIRE(config->defaults.cpu_millis >= 10 && config->defaults.cpu_millis <= 512000);
	REQUIRE(config->strategy_count <= CONFIG_STRATEGIES_MAX);
	for (size_t i = 0; i < config->heuristic.uri_prefix.count; i++)
		REQUIRE(strchr(config->heuristic.uri_prefix.v[i], ':') != NULL);
}

static void check_package(const struct config_package *package)
{
	struct npxc_error err = { 0 };

	REQUIRE(package->package == NULL || spec_check_name(package->package, &err));
	REQUIRE(package->version == NULL || (package->version[0] != '\0' && package->version[0] != '-'));
	for (size_t i = 0; i < package->env_count; i++)
		REQUIRE(value_check_variable(package->env[i].name, &err) && package->env[i].value != NULL);
	for (size_t i = 0; i < package->env_passthrough.count; i++)
		REQUIRE(value_check_variable(package->env_passthrough.v[i], &err));
	check_network(package->network_mode);
	check_network(package->runtime_network);
	for (size_t i = 0; i < package->storage_writable.count; i++)
		check_inside(package->storage_writable.v[i]);
	for (size_t i = 0; i < package->mount_count; i++) {
		REQUIRE(package->mounts[i].host[0] == '/' || str_starts(package->mounts[i].host, "~/"));
		if (package->mounts[i].container != NULL)
			check_inside(package->mounts[i].container);
		else
			REQUIRE(strcmp(package->mounts[i].host, "/") != 0);
	}
	if (package->runtime_memory != 0)
		check_memory(package->runtime_memory);
	REQUIRE(package->runtime_cpus == 0 || (package->runtime_cpus >= 10 && package->runtime_cpus <= 512000));
}

/* The same bytes as both kinds of file, and as the values that flags take. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *bytes = size > 0 ? (const char *)data : "";
	char *text = str_dup_n(bytes, size);
	struct npxc_error err = { 0 };
	struct config config;
	struct config_package package;
	struct config_mount mount;
	uint64_t memory;
	unsigned millis;

	if (config_parse(bytes, size, "f", &config, &err)) {
		check_config(&config);
		config_done(&config);
	} else {
		require_refusal(&err, ERROR_CONFIG);
	}
	if (config_parse_package(bytes, size, "f", &package, &err)) {
		check_package(&package);
		config_package_done(&package);
	} else {
		require_refusal(&err, ERROR_CONFIG);
	}
	if (value_parse_memory(text, &memory, &err))
		check_memory(memory);
	else
		require_refusal(&err, ERROR_CONFIG);
	if (value_parse_cpus(text, &millis, &err))
		REQUIRE(millis >= 10 && millis <= 512000);
	else
		require_refusal(&err, ERROR_CONFIG);
	if (value_parse_mount(text, &mount, &err)) {
		REQUIRE(mount.host[0] != '\0');
		if (mount.container != NULL)
			check_inside(mount.container);
		free(mount.host);
		free(mount.container);
	} else {
		require_refusal(&err, ERROR_CONFIG);
	}
	free(text);
	return 0;
}
