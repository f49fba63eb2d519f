/* The first process of the user's container: runs the command and leaves on the shared folder what the wait
 * container needs. One static program, so that it runs in any image: no shell, no libc, non-root, read-only root.
 *
 *   wrapper --state DIR --outputs DIR [--capture] [--copy NAME PATH]... [--tar NAME PATH]... -- COMMAND [ARG]...
 *
 * In the state folder it leaves
 *   lock      locked (flock) as long as this process lives, and not empty once it is; the kernel lets go of it
 *             however we end, so the wait container notices an OOM kill without asking anyone
 *   stdout    with --capture: the last CAPTURE bytes of standard output, as a ring (see struct ring)
 *   message   why the command could not be started
 *   exitcode  the command's exit code, written last, after the outputs
 *
 * Exits with the command's code, 128+n if signal n ended it, 64 if it could not be started (Argo: emissary).
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "outputs.h"

enum {
    CAPTURE = 262144 + 1, /* Argo keeps 256 KiB after taking off one newline (Argo: executor.go:929-968) */
    DRAIN_MS = 2000,      /* how long children that outlive the command may go on writing to its stdout */
    CANNOT_RUN = 64
};

struct options {
    const char *state, *outputs;
    bool capture;
    struct output *list;
    int count;
    char **command;
};

/* A file of bounded size: 8 bytes, little endian, with the number of bytes written so far, then the ring itself. */
struct ring {
    int fd;
    uint64_t total;
};

struct child {
    pid_t pid;
    int out;  /* our end of its stdout, -1 if not captured or at its end */
    int code; /* -1 while it runs */
};

static void state_path(char *buffer, const struct options *options, const char *name) {
    snprintf(buffer, PATH_MAX, "%s/%s", options->state, name);
}

static void record(const struct options *options, const char *name, const char *text) {
    char path[PATH_MAX];
    state_path(path, options, name);
    if (write_file(path, text)) fprintf(stderr, "argo: cannot write %s: %s\n", path, strerror(errno));
}

/* Say why the command does not run: in the container's log, in its status and for the wait container. */
static int cannot_run(const struct options *options, const char *message) {
    fprintf(stderr, "argo: %s\n", message);
    int fd = open("/dev/termination-log", O_WRONLY | O_TRUNC | O_CLOEXEC);
    if (fd >= 0) {
        (void)write_all(fd, message, strlen(message));
        close(fd);
    }
    if (options->state) {
        record(options, "message", message);
        record(options, "exitcode", "64\n");
    }
    return CANNOT_RUN;
}

static bool parse(struct options *options, int argc, char **argv) {
    options->list = calloc((size_t)argc, sizeof *options->list);
    if (!options->list) return false;
    for (int i = 1; i < argc; i++) {
        const char *word = argv[i];
        if (!strcmp(word, "--")) {
            options->command = argv + i + 1;
            return options->state && options->outputs && options->command[0];
        }
        bool tar = !strcmp(word, "--tar");
        if (!strcmp(word, "--capture")) options->capture = true;
        else if (!strcmp(word, "--state") && i + 1 < argc) options->state = argv[++i];
        else if (!strcmp(word, "--outputs") && i + 1 < argc) options->outputs = argv[++i];
        else if ((tar || !strcmp(word, "--copy")) && i + 2 < argc) {
            options->list[options->count++] = (struct output){.name = argv[i + 1], .path = argv[i + 2], .tar = tar};
            i += 2;
        } else return false;
    }
    return false;
}

/* Lock first, then write: who sees a byte in the file knows that the lock was taken. Held until we end. */
static bool take_lock(const struct options *options) {
    char path[PATH_MAX];
    state_path(path, options, "lock");
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    return fd >= 0 && !flock(fd, LOCK_EX) && !write_all(fd, "1", 1);
}

static bool ring_open(struct ring *ring, const struct options *options) {
    char path[PATH_MAX];
    state_path(path, options, "stdout");
    ring->fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    return ring->fd >= 0;
}

static void ring_write(struct ring *ring, const char *data, size_t size) {
    while (size) {
        size_t at = ring->total % CAPTURE, part = size < CAPTURE - at ? size : CAPTURE - at;
        if (pwrite(ring->fd, data, part, (off_t)(8 + at)) != (ssize_t)part) return;
        ring->total += part;
        data += part;
        size -= part;
    }
    unsigned char head[8];
    for (int i = 0; i < 8; i++) head[i] = (unsigned char)(ring->total >> (8 * i));
    (void)!pwrite(ring->fd, head, sizeof head, 0);
}

/* In the child: become the command, or send errno up the pipe. */
static void become(const struct options *options, int out, int failure, const sigset_t *mask) {
    setpgid(0, 0);
    if (isatty(0)) tcsetpgrp(0, getpid()); /* a group in the background may not read the terminal */
    if (out >= 0) dup2(out, 1);
    sigprocmask(SIG_SETMASK, mask, NULL);
    execvp(options->command[0], options->command);
    int reason = errno;
    (void)!write(failure, &reason, sizeof reason);
    _exit(CANNOT_RUN);
}

/* Start the command in a process group of its own; 0, or the errno of why it cannot be started. */
static int start(struct child *child, const struct options *options, const sigset_t *mask) {
    int out[2] = {-1, -1}, failure[2], reason;
    if (pipe2(failure, O_CLOEXEC) || (options->capture && pipe2(out, O_CLOEXEC))) return errno;
    child->pid = fork();
    if (child->pid < 0) return errno;
    if (child->pid == 0) become(options, out[1], failure[1], mask);
    setpgid(child->pid, child->pid); /* here as well: a signal may come before the child gets to it */
    close(failure[1]);
    if (options->capture) close(out[1]);
    child->out = out[0];
    child->code = -1;
    bool failed = read(failure[0], &reason, sizeof reason) == sizeof reason;
    close(failure[0]);
    if (!failed) return 0;
    waitpid(child->pid, NULL, 0);
    return reason;
}

static void reap(struct child *child) {
    int status;
    pid_t pid;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
        if (pid == child->pid) child->code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void on_signal(int fd, struct child *child) {
    struct signalfd_siginfo info;
    if (read(fd, &info, sizeof info) != sizeof info) return;
    if (info.ssi_signo == SIGCHLD) reap(child);
    else if (info.ssi_signo != SIGPIPE && child->code < 0) kill(-child->pid, (int)info.ssi_signo);
}

static void on_stdout(struct child *child, struct ring *ring) {
    static char buffer[65536];
    ssize_t size = read(child->out, buffer, sizeof buffer);
    if (size < 0 && errno == EINTR) return;
    if (size <= 0) {
        close(child->out);
        child->out = -1;
        return;
    }
    (void)!write_all(1, buffer, (size_t)size); /* nobody reads our log: the command goes on */
    ring_write(ring, buffer, (size_t)size);
}

static long long now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

/* Until the command has ended and its stdout is closed, or DRAIN_MS have passed since its end. */
static void attend(struct child *child, struct ring *ring, int signals) {
    long long deadline = 0;
    while (child->code < 0 || child->out >= 0) {
        int timeout = -1;
        if (child->code >= 0) {
            if (!deadline) deadline = now_ms() + DRAIN_MS;
            long long left = deadline - now_ms();
            if (left <= 0) break;
            timeout = (int)left;
        }
        struct pollfd ready[2] = {{.fd = signals, .events = POLLIN}, {.fd = child->out, .events = POLLIN}};
        if (poll(ready, 2, timeout) <= 0) continue;
        if (ready[0].revents) on_signal(signals, child);
        if (ready[1].revents) on_stdout(child, ring);
    }
    kill(-child->pid, SIGKILL); /* what still runs would change the outputs while they are copied */
}

int main(int argc, char **argv) {
    struct options options = {0};
    struct ring ring = {.fd = -1};
    struct child child = {.out = -1};
    char text[PATH_MAX + 128];
    if (!parse(&options, argc, argv)) {
        options.state = NULL;
        return cannot_run(&options, "wrapper: bad arguments: the helper image and the worker do not fit together");
    }
    mode_t mask = umask(0); /* the wait container may run as another user */
    if (!take_lock(&options) || (options.capture && !ring_open(&ring, &options))) {
        snprintf(text, sizeof text, "wrapper: cannot use %s: %s", options.state, strerror(errno));
        return cannot_run(&options, text);
    }
    sigset_t all, before;
    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, &before);
    int signals = signalfd(-1, &all, SFD_CLOEXEC);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    umask(mask);
    int reason = start(&child, &options, &before);
    umask(0);
    if (reason) {
        const char *name = options.command[0];
        bool unknown = reason == ENOENT && !strchr(name, '/');
        snprintf(text, sizeof text, "exec: \"%.*s\": %s", PATH_MAX, name,
                 unknown ? "executable file not found in $PATH" : strerror(reason));
        return cannot_run(&options, text);
    }
    attend(&child, &ring, signals);
    for (int i = 0; i < options.count; i++) save_output(options.outputs, &options.list[i]);
    snprintf(text, sizeof text, "%d\n", child.code);
    record(&options, "exitcode", text);
    return child.code;
}
