
/*
 * Copyright (C) Conduit for nginx authors
 */


#ifndef _TAP_H_INCLUDED_
#define _TAP_H_INCLUDED_


/*
 * TAP for unit programs:
 *
 *     ok(a == b, "numbers agree");
 *     is_num(conduit_f(), CONDUIT_OK, "f() succeeds");
 *     is_str((char *) got, "expected", "text");
 *     is_mem(p, len, "bytes", 5, "counted bytes");
 *     return done_testing();
 *
 * The description is a printf() format.  Each check returns its outcome.
 */


#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>


static int  tap_count;
static int  tap_failed;


__attribute__((format(printf, 1, 2), unused))
static void
diag(const char *fmt, ...)
{
    va_list  args;

    fputs("# ", stderr);

    va_start(args, fmt);
    vfprintf(stderr, fmt, args);
    va_end(args);

    fputc('\n', stderr);
}


static int
tap_result(int good, const char *file, int line, const char *fmt, va_list args)
{
    tap_count++;

    printf("%sok %d - ", good ? "" : "not ", tap_count);
    vprintf(fmt, args);
    putchar('\n');
    fflush(stdout);

    if (!good) {
        tap_failed++;
        diag("  failed at %s line %d", file, line);
    }

    return good;
}


__attribute__((format(printf, 4, 5), unused))
static int
tap_ok(int good, const char *file, int line, const char *fmt, ...)
{
    va_list  args;

    va_start(args, fmt);
    good = tap_result(good, file, line, fmt, args);
    va_end(args);

    return good;
}


__attribute__((format(printf, 5, 6), unused))
static int
tap_is_num(long long got, long long expected, const char *file, int line,
    const char *fmt, ...)
{
    int      good;
    va_list  args;

    va_start(args, fmt);
    good = tap_result(got == expected, file, line, fmt, args);
    va_end(args);

    if (!good) {
        diag("  got %lld, expected %lld", got, expected);
    }

    return good;
}


__attribute__((format(printf, 7, 8), unused))
static int
tap_is_mem(const void *got, size_t len, const void *expected, size_t size,
    const char *file, int line, const char *fmt, ...)
{
    int      good;
    va_list  args;

    good = len == size && (len == 0 || memcmp(got, expected, len) == 0);

    va_start(args, fmt);
    good = tap_result(good, file, line, fmt, args);
    va_end(args);

    if (!good) {
        diag("  got %zu: \"%.*s\"", len, (int) len, (const char *) got);
        diag("  expected %zu: \"%.*s\"", size, (int) size,
             (const char *) expected);
    }

    return good;
}


__attribute__((unused))
static int
done_testing(void)
{
    printf("1..%d\n", tap_count);

    return tap_failed ? 1 : 0;
}


#define ok(good, ...)                                                         \
    tap_ok((good) ? 1 : 0, __FILE__, __LINE__, __VA_ARGS__)

#define is_num(got, expected, ...)                                            \
    tap_is_num((long long) (got), (long long) (expected), __FILE__, __LINE__, \
               __VA_ARGS__)

#define is_mem(got, len, expected, size, ...)                                 \
    tap_is_mem(got, len, expected, size, __FILE__, __LINE__, __VA_ARGS__)

#define is_str(got, expected, ...)                                            \
    tap_is_mem(got, strlen(got), expected, strlen(expected), __FILE__,        \
               __LINE__, __VA_ARGS__)


#endif /* _TAP_H_INCLUDED_ */
