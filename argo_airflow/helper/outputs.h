/* Copies what the command left behind out of the container's own file system. */
#ifndef ARGO_AIRFLOW_OUTPUTS_H
#define ARGO_AIRFLOW_OUTPUTS_H

#include <stdbool.h>
#include <stddef.h>

struct output {
    const char *name;   /* where it goes: a path relative to the outputs folder */
    const char *path;   /* what is copied: a path, or a glob, of this container */
    bool tar;           /* true: always as <name>.tar; false: a file as it is, anything else as <name>.tar */
};

/* Write all of `data`; 0 or -1 with errno. */
int write_all(int fd, const void *data, size_t size);

/* Write a small file so that a reader sees all of it or nothing; 0 or -1 with errno. */
int write_file(const char *path, const char *text);

/* Save one output under `folder`. A path that does not exist leaves no file; a failure leaves <name>.error. */
void save_output(const char *folder, const struct output *output);

#endif
