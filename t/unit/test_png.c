
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <stdlib.h>
#include <unistd.h>
#include <zlib.h>

#include "conduit_png.h"
#include "conduit_scene.h"
#include "tap.h"


static int render(conduit_blob_t *blob, const char *prompt, int64_t seed,
    uint32_t width, uint32_t height);
static uint32_t get32(const u_char *p);
static int chunks(const conduit_blob_t *blob, uLong *crc);
static int pixels(const conduit_blob_t *blob, const char *prompt,
    uint32_t width, uint32_t height);
static void test_sizes(void);
static void test_same(void);
static void test_cap(void);
static void test_decoder(void);


int
main(void)
{
    test_sizes();
    test_same();
    test_cap();
    test_decoder();

    return done_testing();
}


static int
render(conduit_blob_t *blob, const char *prompt, int64_t seed,
    uint32_t width, uint32_t height)
{
    conduit_blob_init(blob, 64 * 1024 * 1024);

    return conduit_png_render(blob, (const u_char *) prompt, strlen(prompt),
                              seed, width, height);
}


static uint32_t
get32(const u_char *p)
{
    return (uint32_t) p[0] << 24 | p[1] << 16 | p[2] << 8 | p[3];
}


/* walks all chunks, checks their sums; the number of chunks or 0 */

static int
chunks(const conduit_blob_t *blob, uLong *crc)
{
    int            n;
    size_t         left;
    uint32_t       len;
    const u_char  *p;

    if (blob->len < 8 || memcmp(blob->data, "\x89PNG\r\n\x1a\n", 8) != 0) {
        return 0;
    }

    p = blob->data + 8;
    left = blob->len - 8;

    for (n = 0; left; n++) {

        if (left < 12) {
            return 0;
        }

        len = get32(p);

        if (len > left - 12) {
            return 0;
        }

        *crc = crc32(0, p + 4, len + 4);

        if (*crc != get32(p + 8 + len)) {
            return 0;
        }

        p += 12 + len;
        left -= 12 + len;
    }

    return memcmp(p - 8, "IEND", 4) == 0 ? n : 0;
}


/* undoes the filter and compares with the scene */

static int
pixels(const conduit_blob_t *blob, const char *prompt, uint32_t width,
    uint32_t height)
{
    int              same;
    uLongf           len;
    size_t           stride, x;
    u_char          *raw, *row, *want;
    uint32_t         y;
    conduit_scene_t  scene;

    stride = (size_t) width * 3 + 1;
    len = stride * height + 1;
    raw = malloc(len);
    want = malloc(stride);
    same = 0;

    if (raw == NULL || want == NULL
        || conduit_scene_create(&scene, (const u_char *) prompt,
                                strlen(prompt), 0, width, height)
           != CONDUIT_OK)
    {
        goto done;
    }

    same = uncompress(raw, &len, blob->data + 41, get32(blob->data + 33))
           == Z_OK
           && len == stride * height;

    for (y = 0; same && y < height; y++) {
        row = raw + y * stride;
        same = row[0] == 2;

        for (x = 1; y && x < stride; x++) {
            row[x] = (u_char) (row[x] + (row - stride)[x]);
        }

        conduit_scene_row(&scene, y, want);
        same = same && memcmp(row + 1, want, stride - 1) == 0;
    }

    conduit_scene_free(&scene);

done:

    free(raw);
    free(want);

    return same;
}


static void
test_sizes(void)
{
    uLong           crc;
    size_t          i;
    conduit_blob_t  blob;

    static const uint32_t  sizes[][2] = {
        { 1, 1 }, { 1, 8192 }, { 8192, 1 }, { 2, 3 }, { 17, 5 },
        { 512, 512 }, { 1024, 1024 }, { 1792, 1024 }, { 333, 777 }
    };

    static const uint32_t  wrong[][2] = {
        { 0, 1 }, { 1, 0 }, { 8193, 1 }, { 1, 8193 },
        { 0xffffffff, 0xffffffff }
    };

    for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        is_num(render(&blob, "a fox", 0, sizes[i][0], sizes[i][1]),
               CONDUIT_OK, "%ux%u", sizes[i][0], sizes[i][1]);
        is_num(chunks(&blob, &crc), 3, "three sound chunks");
        ok(blob.len > 24 && get32(blob.data + 16) == sizes[i][0]
           && get32(blob.data + 20) == sizes[i][1], "that size");
        ok(pixels(&blob, "a fox", sizes[i][0], sizes[i][1]),
           "the pixels of the scene");

        conduit_blob_free(&blob);
    }

    for (i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        is_num(render(&blob, "a fox", 0, wrong[i][0], wrong[i][1]),
               CONDUIT_ERROR, "%ux%u is refused", wrong[i][0], wrong[i][1]);
        conduit_blob_free(&blob);
    }

    is_num(render(&blob, "a fox", 0, CONDUIT_PNG_WIDTH, CONDUIT_PNG_HEIGHT),
           CONDUIT_OK, "the usual size");
    ok(blob.len < 150 * 1024, "is small: %zu bytes", blob.len);
    conduit_blob_free(&blob);
}


static void
test_same(void)
{
    conduit_blob_t  a, b;

    (void) render(&a, "a fox", 7, 64, 64);

    (void) render(&b, "a fox", 7, 64, 64);
    is_mem(a.data, a.len, b.data, b.len, "same prompt and seed");
    conduit_blob_free(&b);

    (void) render(&b, "a fox", 8, 64, 64);
    ok(a.len != b.len || memcmp(a.data, b.data, a.len) != 0, "other seed");
    conduit_blob_free(&b);

    (void) render(&b, "a fox", 7 + ((int64_t) 1 << 32), 64, 64);
    ok(a.len != b.len || memcmp(a.data, b.data, a.len) != 0,
       "other seed in its upper half");
    conduit_blob_free(&b);

    (void) render(&b, "a fix", 7, 64, 64);
    ok(a.len != b.len || memcmp(a.data, b.data, a.len) != 0, "other prompt");
    conduit_blob_free(&b);

    conduit_blob_free(&a);
}


static void
test_cap(void)
{
    size_t          i, full;
    conduit_blob_t  blob;

    (void) render(&blob, "a fox", 0, 32, 32);
    full = blob.len;
    conduit_blob_free(&blob);

    for (i = 0; i < full; i++) {
        conduit_blob_init(&blob, i);

        if (conduit_png_render(&blob, (u_char *) "a fox", 5, 0, 32, 32)
            != CONDUIT_DECLINED)
        {
            break;
        }

        conduit_blob_free(&blob);
    }

    is_num(i, full, "a cap below the size is held");

    conduit_blob_free(&blob);
    conduit_blob_init(&blob, full + 1);
    is_num(conduit_png_render(&blob, (u_char *) "a fox", 5, 0, 32, 32),
           CONDUIT_OK, "room enough is room enough");
    conduit_blob_free(&blob);
}


/* somebody else's decoder, where there is one */

static void
test_decoder(void)
{
    int             fd, rc;
    char            name[] = "/tmp/conduit-png-XXXXXX";
    char            cmd[256];
    conduit_blob_t  blob;

    if (system("command -v ffmpeg >/dev/null 2>&1") != 0) {
        ok(1, "ffmpeg decodes it # SKIP no ffmpeg here");
        return;
    }

    fd = mkstemp(name);

    if (!ok(fd != -1, "temporary file")) {
        return;
    }

    (void) render(&blob, "a fox", 0, 640, 480);

    ok(write(fd, blob.data, blob.len) == (ssize_t) blob.len, "written");
    (void) close(fd);

    snprintf(cmd, sizeof(cmd), "ffmpeg -nostdin -v error -xerror"
             " -err_detect explode -f png_pipe -i %s -f null - 2>&1", name);
    rc = system(cmd);
    is_num(rc, 0, "ffmpeg decodes it");

    (void) unlink(name);
    conduit_blob_free(&blob);
}
