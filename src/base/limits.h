#ifndef NPXC_BASE_LIMITS_H
#define NPXC_BASE_LIMITS_H

#include <stddef.h>
#include <stdint.h>

/*
 * Every ceiling in one place, each with its unit and its reason. Reaching one is an ordinary error. A buffer that a
 * remote party (a server, a package, a runtime's CLI, a configuration file) can drive has its ceiling here.
 */

#define KIB ((size_t)1024)
#define MIB (1024 * KIB)

/* bytes: a configuration file. A thousand tools with path arguments stay below 100 KiB. */
#define LIMIT_CONFIG_BYTES (1 * MIB)

/* entries: of one list or table in a configuration file; argument lists are built from some of them. */
#define LIMIT_CONFIG_ENTRIES 4096

/* directories of HOME that one package keeps: each is opened, and mounted by its descriptor where that is possible. */
#define LIMIT_HOME_DIRECTORIES 32

/* entries and levels: of one kept tree, looked at to say how much it takes. */
#define LIMIT_KEPT_ENTRIES 200000
#define LIMIT_KEPT_DEPTH 256

/* bytes: name and value of an environment variable together. Linux takes none of 128 KiB or more. */
#define LIMIT_VARIABLE_BYTES (127 * KIB)

/* levels: nesting of JSON in configuration and runtime output; cJSON recurses. */
#define LIMIT_JSON_DEPTH 64

/* bytes: a package.json or an npm lock file (the largest lock seen is 1.6 MiB). */
#define LIMIT_PACKAGE_JSON_BYTES (64 * MIB)

/* bytes: an npm configuration file or a CA bundle (Debian's is 220 KiB), and one value with its variables expanded. */
#define LIMIT_NPMRC_BYTES (4 * MIB)
#define LIMIT_NPMRC_VALUE_BYTES (64 * KIB)

/* bytes: what is kept of one stream of a CLI or of npm; the rest is read and thrown away. */
#define LIMIT_CLI_OUTPUT_BYTES (8 * MIB)

/* bytes: one MCP message that `npxc try` reads as a client. The TypeScript SDK stops at 10 MiB. */
#define LIMIT_TRY_MESSAGE_BYTES (16 * MIB)

/* bytes: a relay buffer of one direction when bytes are copied; also the pipe size that is asked for. */
#define LIMIT_RELAY_BYTES (1 * MIB)

/* levels: nesting of a message that npxc has to understand. Real ones stay below 20; what is deeper passes without a
 * look.
 */
#define LIMIT_MESSAGE_DEPTH 256

/* bytes: a message that a decision hangs on and that is therefore held whole; longer ones only stream through. */
#define LIMIT_MESSAGE_BYTES (64 * MIB)

/* strings: of one message that name files. A call with as many would need as many files. */
#define LIMIT_MESSAGE_PATHS 65536

/* tools whose schemas are kept; subschemas and bytes of one that are read; bytes that are gone over for one list (parts
 * are read once for each level above them), and what a part counts for beside its own; bytes that all that was learned
 * may take. Of 46 real servers the most tools are 61, the largest schema has 100 parts and 13 KiB. */
#define LIMIT_SCHEMA_TOOLS 2048
#define LIMIT_SCHEMA_PARTS 16384
#define LIMIT_SCHEMA_BYTES (1 * MIB)
#define LIMIT_SCHEMA_WORK_BYTES (256 * MIB)
#define LIMIT_SCHEMA_PART_BYTES (1 * KIB)
#define LIMIT_SCHEMA_KEPT_BYTES (8 * MIB)

/*
 * What calls may make visible. bytes of one file; bytes of all copies of a session together (copies that
 * share their blocks count in full); entries of one directory tree; files and directories of a session; levels of a
 * tree. A project with its node_modules has some 50,000 entries: such a thing is mounted, not copied for each change.
 */
#define LIMIT_PUBLISH_FILE_BYTES ((uint64_t)1024 * MIB)
#define LIMIT_PUBLISH_TOTAL_BYTES ((uint64_t)4096 * MIB)
#define LIMIT_PUBLISH_TREE_ENTRIES 20000
#define LIMIT_PUBLISH_ENTRIES 200000
#define LIMIT_PUBLISH_DEPTH 64

/* bytes: what a server with outputs may have written into its working directory, published copies counted too. It is
 * looked at every LIMIT_OUTPUT_LOOK_MS milliseconds, and the session ends when it is more. */
#define LIMIT_OUTPUT_TOTAL_BYTES ((uint64_t)4096 * MIB)
#define LIMIT_OUTPUT_LOOK_MS 500

/* bytes: a file of the working directory that an argument names is copied, so that one that an editor replaces is seen
 * anew; a larger one is mounted. */
#define LIMIT_ARGUMENT_COPY_BYTES ((uint64_t)64 * MIB)

/* words, bytes: paths that client and server have named in a session, and who was first. A search of a large project
 * gives some 10,000 of 100 bytes; a server that says more is filling memory. */
#define LIMIT_MENTIONED_WORDS 262144
#define LIMIT_MENTIONED_BYTES (32 * MIB)

/* directories: of the host that are watched for one session. A user has 8,192 watches on small systems, all programs
 * together. */
#define LIMIT_WATCHES 2048

/* milliseconds: a file whose last change is no older may be changed again with the same time stamp. The second for file
 * systems that keep whole seconds (FAT: two). */
#define LIMIT_STAMP_MS 50
#define LIMIT_COARSE_STAMP_MS 2500

/* entries: sockets and FIFOs found in one mounted tree that are masked; more of them and the mount is refused. */
#define LIMIT_SOCKET_MASKS 256

/* mounts: of one sandbox that are bound by descriptor. Each takes one of npxc's and one of bubblewrap's, of which an
 * ordinary user has 1,024; what is more is compared from inside. */
#define LIMIT_MOUNT_DESCRIPTORS 128

/* trees, bytes: what is remembered of trees that servers could write to; a path has at most 4 KiB, escaped six times
 * that.
 */
#define LIMIT_WRITTEN_TREES 1024
#define LIMIT_WRITTEN_BYTES (32 * MIB)

/*
 * What the host would execute in a tree that is mounted writable: files looked at; names found, each of which is a
 * mount or two; directories that are kept from being renamed because such a name lies in them; bytes of the list while
 * a session runs; milliseconds that its end may take for the second look, and a janitor's.
 */
#define LIMIT_GUARD_SCAN_ENTRIES 1000000
#define LIMIT_GUARD_NAMES 256
#define LIMIT_GUARD_PINS 512
#define LIMIT_GUARD_FILE_BYTES (8 * MIB)
#define LIMIT_GUARD_END_MS 500
#define LIMIT_GUARD_JANITOR_MS 3000

/* entries: of an installed tree, which install scripts make as large as they like. A project with its node_modules has
 * some 50,000. */
#define LIMIT_STORE_ENTRIES 2000000

/* bytes on disk: what is kept of what npm has fetched. The packages of some 50 servers take 0.6 GiB of it. */
#define LIMIT_STORE_CACHE_BYTES (1024 * MIB)

/* names: of one of the store's own directories (keys, versions, unfinished installations). */
#define LIMIT_STORE_NAMES 100000

/* files: libraries of its own that a Node loads (conda's loads some ten). */
#define LIMIT_NODE_LIBRARIES 64

/* files: of /usr that are hidden because credentials may be in them; each takes a descriptor. As many as npxc knows. */
#define LIMIT_SYSTEM_MASKS 80

/* bytes: the empty directory that is laid over one of the system's; one page holds it. */
#define LIMIT_TMPFS_HIDDEN_BYTES (4 * KIB)

/* bytes: a `.git` file and what it leads to: one path each. */
#define LIMIT_GIT_FILE_BYTES (8 * KIB)

/* directories: that a package's directory and the links in it show beside it. A monorepo of 100 packages links each. */
#define LIMIT_LINKED_DIRECTORIES 256

/* entries: of a package's directory that is searched for native add-ons. More count as if it had some. */
#define LIMIT_LINKED_SCAN_ENTRIES 300000

/* files: what the fingerprint of a local package directory looks at. */
#define LIMIT_FINGERPRINT_FILES 100000

/* files, bytes: what is searched for process.env reads; entries that it looks at to find these; names that are kept of
 * one package, which then stand in its record. */
#define LIMIT_ENV_NAMES 1000
#define LIMIT_ENV_SCAN_FILES 5000
#define LIMIT_ENV_SCAN_ENTRIES 100000
#define LIMIT_ENV_SCAN_BYTES (64 * MIB)

/* milliseconds: a question to a runtime's CLI (version, status, inspect, remove). */
#define LIMIT_CLI_MS 20000

/* bytes: the directories in which programs were found */
#define LIMIT_SEARCH_BYTES (16 * KIB)

/* milliseconds: an installation, download and scripts together. It goes on when those that wait for it have gone, and
 * what it has fetched by then is not fetched again. */
#define LIMIT_INSTALL_MS (10 * 60 * 1000)

/* bytes: a line that an installation says of itself (see LINE_SIZE of base/log.c, escaped), and what is read with it */
#define LIMIT_PROGRESS_LINE_BYTES (32 * KIB)

/* milliseconds: after the client closed stdin, a server that neither ends nor writes anything is told to end. */
#define LIMIT_DRAIN_QUIET_MS 10000
/* milliseconds: the same while requests of the client have no answer. Without npxc it would be for ever. */
#define LIMIT_DRAIN_OWED_MS 60000

/* milliseconds: between "told to end" and SIGKILL. Clients send SIGKILL 2 s after their SIGTERM. */
#define LIMIT_GRACE_MS 1000

/* milliseconds: a killed process group must be gone by then; it is a kernel matter and normally takes 3 to 6 ms. */
#define LIMIT_KILL_VERIFY_MS 5000

/* milliseconds: one removal of a container; podman's takes 0.15 s. Cut off, it is tried again. */
#define LIMIT_REMOVE_MS 5000

/* milliseconds: a container CLI ends by itself once its container has been removed; later it is killed. Long, because
 * one that is killed while it starts a container leaves processes behind that no removal finds. */
#define LIMIT_CONTAINER_END_MS 10000
/* milliseconds: a process of npxc's own, to end by itself after the launcher's death before it is killed */
#define LIMIT_PROCESS_END_MS 1000

/* milliseconds: from the first signal to npxc's exit. Clients send SIGKILL after 2 s; the janitor goes on. */
#define LIMIT_SIGNAL_MS 1800

/* milliseconds: of these, what is left to the exit when a server's last words are not waited for any more. */
#define LIMIT_LAST_WORDS_MS 200

/* milliseconds: without a signal, how long npxc waits at its end: the removals of a container and five deletes of a
 * network, each with its own limit. */
#define LIMIT_TEARDOWN_MS 60000

/* milliseconds: one guest of `npxc doctor --probe`, from its start to its end; its connections give up after 3 s.
 * bytes: the file that keeps what was seen. */
#define LIMIT_PROBE_MS 60000
#define LIMIT_PROBE_FILE_BYTES (64 * KIB)

/* bytes, entries: one frame to the janitor (a path, or a container's removal command), and what it holds. */
#define LIMIT_JANITOR_FRAME_BYTES (16 * KIB)
#define LIMIT_JANITOR_ENTRIES 256

/* bytes: a lease. A session writes some 2 KiB; what it holds at once is bounded by the two above. */
#define LIMIT_LEASE_BYTES (4 * MIB)

/* milliseconds: a sweep, in all, for janitors of sessions whose launcher has ended. What was killed a moment ago holds
 * its lock until the kernel has come to it. */
#define LIMIT_SWEEP_WAIT_MS 2000

/* milliseconds: `npxc stop` waits for a launcher that was told to end (it promises LIMIT_SIGNAL_MS) before SIGKILL, and
 * then for its janitor, which has a container and five deletes of a network to go through. */
#define LIMIT_STOP_MS 3000
#define LIMIT_STOP_JANITOR_MS 30000

/* milliseconds: the janitor's answer to a message that needs no waiting; later, and it counts as gone. */
#define LIMIT_JANITOR_ANSWER_MS 10000

/* bytes: the tmpfs mounts of a sandbox. Without a size each may take half of the machine's memory. */
#define LIMIT_TMPFS_TMP_BYTES (512 * MIB)
#define LIMIT_TMPFS_RUN_BYTES (16 * MIB)
#define LIMIT_TMPFS_HOME_BYTES (512 * MIB)
#define LIMIT_TMPFS_SHM_BYTES (64 * MIB)

/* words: of bubblewrap's command line and its --args together (MAX_ARGS in its source). */
#define LIMIT_BWRAP_WORDS 9000

/* descriptors that a process of a sandbox may have open, however high the limit outside is. Servers raise their soft
 * limit to this (Node does at its start); the most that any asks for by itself is MongoDB's 64,000. */
#define LIMIT_SANDBOX_FILES 65536
/* One part in so many: of the inotify instances and watches, queued signals and bytes of message queues that one user
 * may have, for the processes of one sandbox together. And inotify instances that it may have in any case. */
#define LIMIT_SANDBOX_SHARE 4
#define LIMIT_SANDBOX_INOTIFY_LEAST 8

/* processes and threads in a sandbox. Below 10 Node hangs. */
#define LIMIT_SANDBOX_PIDS 512

/* hosts: the registries and proxies of npm's configuration that an installation reaches. Scopes may share one
 * host, which then counts once. */
#define LIMIT_REACH_ENTRIES 64

/* targets: what an installation was refused, each once; the others are counted. Hostile scripts choose them. */
#define LIMIT_REFUSED_TARGETS 32

/* processes and threads while a package is installed: compilers run there. */
#define LIMIT_INSTALL_PIDS 4096

/* names: of one session that get an address inside. Each takes some 100 bytes; a server that asks for more is walking
 * through the names of a wildcard. */
#define LIMIT_EGRESS_NAMES 16384

/* bytes: what is held of a client of the egress process before the flow is decided: a ClientHello (real ones stay below
 * 2 KiB, with post-quantum keys) or the head of an HTTP request (Node takes 16 KiB). */
#define LIMIT_EGRESS_HELLO_BYTES (16 * KIB)
#define LIMIT_EGRESS_HEAD_BYTES (16 * KIB)

/* bytes: the head of a CONNECT request to the egress process; its host has at most 253. */
#define LIMIT_EGRESS_CONNECT_BYTES (2 * KIB)

/*
 * What one session may have open to the outside at once: flows (the limit of open files may allow fewer; two
 * descriptors each), and flows of UDP. Apple's relay of a socket takes some 100.
 */
#define LIMIT_EGRESS_FLOWS 4096
#define LIMIT_EGRESS_UDP_FLOWS 256
/* bytes: of one direction of a flow that wait for a receiver who does not take them. Then the sender waits. */
#define LIMIT_EGRESS_PENDING_BYTES (64 * KIB)
/* milliseconds: from a flow's beginning (links that begin with a request), or from its first byte, to the end of the
 * head that decides; to a connection; until an idle flow of UDP is forgotten, and one that was a question and its
 * answer. */
#define LIMIT_EGRESS_HEAD_MS 5000
#define LIMIT_EGRESS_DIAL_MS 10000
/* Addresses of one name that are tried, and milliseconds from one attempt to the next (RFC 8305, section 5). */
#define LIMIT_EGRESS_ATTEMPTS 8
#define LIMIT_EGRESS_ATTEMPT_MS 250
#define LIMIT_EGRESS_UDP_IDLE_MS 120000
#define LIMIT_EGRESS_UDP_ANSWERED_MS 10000
/* Names being looked up, by so many threads, with stacks of so many bytes (glibc's resolver takes some 20 KiB); answers
 * that are kept, and for how many milliseconds. */
#define LIMIT_EGRESS_QUESTIONS 256
#define LIMIT_EGRESS_THREADS 8
#define LIMIT_EGRESS_STACK_BYTES (256 * KIB)
#define LIMIT_EGRESS_RESOLVED 32
#define LIMIT_EGRESS_RESOLVED_MS 5000
/* Other records than addresses: bytes of an answer (the longest sets of TXT records that are seen take some 4 KiB);
 * questions of one session that wait at once; names that SRV records made reachable in one session. */
#define LIMIT_EGRESS_RECORDS_BYTES (16 * KIB)
#define LIMIT_EGRESS_RECORDS_QUESTIONS 128
#define LIMIT_EGRESS_GRANTS 256
/* milliseconds: how old the list of this machine's own addresses may be when one is judged. */
#define LIMIT_EGRESS_OWN_MS 1000
/* milliseconds: how long a port of this machine that was closed may be taken for closed. */
#define LIMIT_EGRESS_ALIAS_MS 200
/* ports that rules may name on a link that listens on each of them. */
#define LIMIT_EGRESS_PORTS 64
/* bytes, lines: what the egress process may tell the launcher about one refusal, and how many in one session. */
#define LIMIT_EGRESS_NOTE_BYTES 1024
#define LIMIT_EGRESS_NOTES 256

/* The audit log. bytes of a line (a host of 253 bytes, escaped, is in it four times at most), of a file before it is
 * rotated (one older one is kept), files of all sessions. */
#define LIMIT_AUDIT_LINE_BYTES (16 * KIB)
#define LIMIT_AUDIT_FILE_BYTES (4 * MIB)
#define LIMIT_AUDIT_FILES 256
/* lines that `npxc log` sorts and joins at once. */
#define LIMIT_LOG_ROWS 100000
/* milliseconds: from one attempt to write to the next, when the disk is full or a file cannot be opened. */
#define LIMIT_AUDIT_RETRY_MS 1000

/* Denials: how many different ones are remembered so that repeats are only counted, and for how many milliseconds; how
 * many are written at once, and per second after that. A guest can make 20,000 different ones in a second. */
#define LIMIT_AUDIT_REPEATS 128
#define LIMIT_AUDIT_REPEAT_MS 10000
#define LIMIT_AUDIT_BURST 500
#define LIMIT_AUDIT_RATE 50

/* The user that a sandbox runs as when npxc was started by root: reserved in Debian's policy, owned by nobody. */
#define SANDBOX_DROP_UID 65533

#endif
