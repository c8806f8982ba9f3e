
/*
 * Copyright (C) Conduit for nginx authors
 */


/*
 * Runs a fuzz target over its corpus without libFuzzer: one TAP line for each
 * file in CORPUS.  The target itself traps on what it finds wrong.
 */


#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>


#define REPLAY_MAX  (1024 * 1024)


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


static int
replay_file(const char *path)
{
    FILE     *f;
    size_t    size;
    uint8_t  *data, *exact;

    f = fopen(path, "rb");
    if (f == NULL) {
        return 0;
    }

    data = malloc(REPLAY_MAX);
    if (data == NULL) {
        fclose(f);
        return 0;
    }

    size = fread(data, 1, REPLAY_MAX, f);
    fclose(f);

    /* a buffer of exactly that size lets the sanitizer see overreads */

    exact = malloc(size ? size : 1);

    if (exact) {
        memcpy(exact, data, size);
        LLVMFuzzerTestOneInput(exact, size);
    }

    free(exact);
    free(data);

    return exact != NULL;
}


int
main(void)
{
    int             n, failed;
    DIR            *dir;
    char            path[4096];
    struct dirent  *entry;

    dir = opendir(CORPUS);
    if (dir == NULL) {
        printf("1..1\nnot ok 1 - %s can be read\n", CORPUS);
        return 1;
    }

    n = 0;
    failed = 0;

    while ((entry = readdir(dir)) != NULL) {

        if (entry->d_name[0] == '.') {
            continue;
        }

        snprintf(path, sizeof(path), "%s/%s", CORPUS, entry->d_name);

        if (replay_file(path)) {
            printf("ok %d - %s\n", ++n, entry->d_name);

        } else {
            printf("not ok %d - %s\n", ++n, entry->d_name);
            failed = 1;
        }

        fflush(stdout);
    }

    closedir(dir);

    if (n == 0) {
        printf("not ok %d - %s has files\n", ++n, CORPUS);
        failed = 1;
    }

    printf("1..%d\n", n);

    return failed;
}
