/* Copies outputs: plain files byte by byte, everything else as a tar stream (ustar with GNU long names). */
#define _GNU_SOURCE
#include "outputs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BLOCK = 512, CHUNK = 65536 };

/* A tar stream being written. The two buffers grow and shrink as the walk goes down and up. */
struct tar {
    int fd;
    bool follow;          /* store a link to a file as that file */
    char path[PATH_MAX];  /* where we are in the file system */
    char name[PATH_MAX];  /* what that is called in the stream */
};

int write_all(int fd, const void *data, size_t size) {
    const char *next = data;
    while (size) {
        ssize_t n = write(fd, next, size);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return -1;
        next += n;
        size -= (size_t)n;
    }
    return 0;
}

int write_file(const char *path, const char *text) {
    char temporary[PATH_MAX];
    if (snprintf(temporary, sizeof temporary, "%s.tmp", path) >= (int)sizeof temporary) {
        errno = ENAMETOOLONG;
        return -1;
    }
    int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (fd < 0) return -1;
    int result = write_all(fd, text, strlen(text));
    if (close(fd)) result = -1;
    return result ? result : rename(temporary, path);
}

/* Copy at most `limit` bytes; the number copied, or -1 with errno. */
static long long copy_bytes(int from, int to, long long limit) {
    static char buffer[CHUNK];
    long long done = 0;
    while (done < limit) {
        size_t want = limit - done < CHUNK ? (size_t)(limit - done) : CHUNK;
        ssize_t n = read(from, buffer, want);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0 || (n > 0 && write_all(to, buffer, (size_t)n))) return -1;
        if (n == 0) break;
        done += n;
    }
    return done;
}

static int write_zeros(int fd, long long count) {
    static const char zeros[CHUNK];
    for (; count > 0; count -= CHUNK)
        if (write_all(fd, zeros, count < CHUNK ? (size_t)count : CHUNK)) return -1;
    return 0;
}

static long long padding(long long size) { return (BLOCK - size % BLOCK) % BLOCK; }

/* A number field: octal, or base-256 (GNU) where octal has no room. */
static void put_number(char *field, int width, long long value) {
    if (value < 0) value = 0;
    if (value < 1LL << (3 * (width - 1))) {
        snprintf(field, (size_t)width, "%0*llo", width - 1, (unsigned long long)value);
        return;
    }
    memset(field, 0, (size_t)width);
    for (int i = 0; i < 8 && i < width - 1; i++) field[width - 1 - i] = (char)(value >> (8 * i));
    field[0] = (char)0x80;
}

static int write_header(int fd, const char *name, const char *link, const struct stat *st, char type, long long size) {
    char block[BLOCK] = {0};
    strncpy(block, name, 99);
    put_number(block + 100, 8, st->st_mode & 07777);
    put_number(block + 108, 8, st->st_uid);
    put_number(block + 116, 8, st->st_gid);
    put_number(block + 124, 12, size);
    put_number(block + 136, 12, st->st_mtime);
    memset(block + 148, ' ', 8);
    block[156] = type;
    strncpy(block + 157, link, 99);
    memcpy(block + 257, "ustar  ", 8);
    unsigned sum = 0;
    for (int i = 0; i < BLOCK; i++) sum += (unsigned char)block[i];
    snprintf(block + 148, 7, "%06o", sum);
    return write_all(fd, block, BLOCK);
}

/* GNU: a name or link of more than 99 bytes goes before the entry, as the body of an entry of type L or K. */
static int write_long(int fd, char type, const char *text) {
    long long size = (long long)strlen(text) + 1;
    struct stat none = {0};
    if (size <= 100) return 0;
    if (write_header(fd, "././@LongLink", "", &none, type, size)) return -1;
    return write_all(fd, text, (size_t)size) ? -1 : write_zeros(fd, padding(size));
}

static int write_entry(struct tar *tar, const char *link, const struct stat *st, char type, long long size) {
    if (write_long(tar->fd, 'K', link) || write_long(tar->fd, 'L', tar->name)) return -1;
    return write_header(tar->fd, tar->name, link, st, type, size);
}

static int add_file(struct tar *tar) {
    struct stat st;
    int fd = open(tar->path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return -1;
    int result = fstat(fd, &st) ? -1 : write_entry(tar, "", &st, '0', st.st_size);
    if (!result) {
        /* the size is already in the header: a file that shrinks meanwhile is filled up with zeros */
        long long done = copy_bytes(fd, tar->fd, st.st_size);
        result = done < 0 ? -1 : write_zeros(tar->fd, st.st_size - done + padding(st.st_size));
    }
    close(fd);
    return result;
}

static int add_link(struct tar *tar, const struct stat *st) {
    char target[PATH_MAX];
    ssize_t size = readlink(tar->path, target, sizeof target - 1);
    if (size < 0) return -1;
    target[size] = 0;
    return write_entry(tar, target, st, '2', 0);
}

static int append(char *buffer, const char *separator, const char *text) {
    size_t used = strlen(buffer);
    if (snprintf(buffer + used, PATH_MAX - used, "%s%s", separator, text) < (int)(PATH_MAX - used)) return 0;
    errno = ENAMETOOLONG;
    return -1;
}

static int add(struct tar *tar, bool top);

static int add_folder(struct tar *tar, const struct stat *st) {
    size_t path_size = strlen(tar->path), name_size = strlen(tar->name);
    if (append(tar->name, "/", "") || write_entry(tar, "", st, '5', 0)) return -1;
    DIR *folder = opendir(tar->path);
    if (!folder) return -1;
    struct dirent *entry;
    int result = 0;
    while (!result && (errno = 0, entry = readdir(folder))) {
        if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..")) continue;
        tar->name[name_size] = 0;
        result = append(tar->path, "/", entry->d_name) || append(tar->name, "/", entry->d_name) || add(tar, false);
        if (result) break; /* keep the path: it is the one to name in the message */
        tar->path[path_size] = 0;
    }
    if (!result && errno) result = -1;
    int reason = errno;
    closedir(folder);
    errno = reason;
    return result ? -1 : 0;
}

/* Add what stands at tar->path. A link given by the user is followed (Argo: workflow/common/archive, os.Stat). */
static int add(struct tar *tar, bool top) {
    struct stat st, target;
    if (top ? stat(tar->path, &st) : lstat(tar->path, &st)) return -1;
    if (S_ISLNK(st.st_mode) && tar->follow && !stat(tar->path, &target) && S_ISREG(target.st_mode)) return add_file(tar);
    if (S_ISLNK(st.st_mode)) return add_link(tar, &st);
    if (S_ISREG(st.st_mode)) return add_file(tar);
    if (S_ISDIR(st.st_mode)) return add_folder(tar, &st);
    fprintf(stderr, "argo: not saved, neither file, folder nor link: %s\n", tar->path);
    return 0;
}

static int write_tar(int fd, const struct output *output, glob_t *found, char *culprit) {
    struct tar tar = {.fd = fd, .follow = !output->tar};
    for (size_t i = 0; i < found->gl_pathc; i++) {
        const char *path = found->gl_pathv[i], *slash = strrchr(path, '/');
        struct stat st;
        bool content = !output->tar && found->gl_pathc == 1 && !stat(path, &st) && S_ISDIR(st.st_mode);
        tar.path[0] = tar.name[0] = 0;
        /* a folder that is to be stored as it is has no name of its own in the stream, only its content has */
        if (append(tar.path, "", path) || append(tar.name, "", content ? "." : slash && slash[1] ? slash + 1 : path) ||
            add(&tar, true)) {
            strcpy(culprit, tar.path);
            return -1;
        }
    }
    return write_zeros(fd, 2 * BLOCK);
}

static int write_plain(int fd, const char *path) {
    int from = open(path, O_RDONLY | O_CLOEXEC);
    if (from < 0) return -1;
    int result = copy_bytes(from, fd, LLONG_MAX) < 0 ? -1 : 0;
    close(from);
    return result;
}

/* Write all that was found to `target` by way of a temporary name; 0, or -1 with errno and the path at fault. */
static int store(const char *target, const struct output *output, glob_t *found, char *culprit) {
    struct stat st;
    bool plain = !output->tar && found->gl_pathc == 1 && !stat(found->gl_pathv[0], &st) && S_ISREG(st.st_mode);
    char file[PATH_MAX], temporary[PATH_MAX];
    snprintf(file, sizeof file, "%.*s%s", PATH_MAX - 10, target, plain ? "" : ".tar");
    snprintf(temporary, sizeof temporary, "%.*s.tmp", PATH_MAX - 5, file);
    strcpy(culprit, found->gl_pathv[0]);
    int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (fd < 0) return -1;
    int result = plain ? write_plain(fd, found->gl_pathv[0]) : write_tar(fd, output, found, culprit);
    int reason = errno;
    if (close(fd) && !result) {
        result = -1;
        reason = errno;
    }
    if (!result) return rename(temporary, file);
    unlink(temporary);
    errno = reason;
    return -1;
}

void save_output(const char *folder, const struct output *output) {
    char target[PATH_MAX], path[PATH_MAX], culprit[PATH_MAX], message[PATH_MAX + 256];
    snprintf(target, sizeof target, "%s/%s", folder, output->name);
    snprintf(path, sizeof path, "%s", output->path);
    for (size_t n = strlen(path); n > 1 && path[n - 1] == '/'; n--) path[n - 1] = 0;
    struct stat st;
    char *literal[] = {path, NULL};
    glob_t found = {.gl_pathc = 1, .gl_pathv = literal};
    bool globbed = stat(path, &st) != 0; /* a file whose name happens to look like a glob is that file */
    if (globbed) {
        int reason = errno;
        if (!lstat(path, &st)) return; /* a link to nothing is nothing */
        bool missing = glob(path, 0, NULL, &found) || !found.gl_pathc;
        if (missing && (reason == ENOENT || reason == ENOTDIR)) return;
        if (missing) {
            snprintf(message, sizeof message, "%s: %s", path, strerror(reason));
            goto failed;
        }
    }
    int result = store(target, output, &found, culprit);
    if (result) snprintf(message, sizeof message, "%s: %s", culprit, strerror(errno));
    if (globbed) globfree(&found);
    if (!result) return;
failed:
    fprintf(stderr, "argo: cannot save output: %s\n", message);
    if (strlen(target) + 8 < sizeof target) write_file(strcat(target, ".error"), message);
}
