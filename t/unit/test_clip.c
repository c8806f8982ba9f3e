
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <stdlib.h>
#include <unistd.h>

#include "conduit_clip.h"
#include "conduit_h264.h"
#include "conduit_media.h"
#include "conduit_mp4.h"
#include "conduit_scene.h"
#include "tap.h"


#define PICTURES  12


static int render(conduit_blob_t *blob, const char *prompt, int64_t seed,
    uint32_t width, uint32_t height, uint32_t duration, uint32_t fps);
static uint32_t get32(const u_char *p);
static const u_char *box(const u_char *p, size_t len, const char *type,
    size_t *size);
static int save(const conduit_blob_t *blob, char *name);
static uint32_t noise(uint32_t *state);
static void draw(u_char *plane, const conduit_h264_t *h, uint32_t n,
    uint32_t *state);
static int encode(conduit_h264_t *h, conduit_mp4_t *mp4,
    conduit_blob_t *pixels);
static void pixel(const conduit_h264_t *h, conduit_blob_t *pixels);
static void test_boxes(void);
static void test_levels(void);
static void test_same(void);
static void test_limits(void);
static void test_player(void);
static void test_pixels(uint32_t width, uint32_t height);


int
main(void)
{
    test_boxes();
    test_levels();
    test_same();
    test_limits();

    if (system("command -v ffmpeg >/dev/null 2>&1") != 0
        || system("command -v ffprobe >/dev/null 2>&1") != 0)
    {
        ok(1, "ffmpeg plays it # SKIP no ffmpeg here");
        return done_testing();
    }

    test_player();
    test_pixels(64, 48);
    test_pixels(33, 17);
    test_pixels(200, 16);

    return done_testing();
}


static int
render(conduit_blob_t *blob, const char *prompt, int64_t seed,
    uint32_t width, uint32_t height, uint32_t duration, uint32_t fps)
{
    conduit_clip_t  clip;

    clip.width = width;
    clip.height = height;
    clip.duration = duration;
    clip.fps = fps;

    conduit_blob_init(blob, 64 * 1024 * 1024);

    return conduit_clip_render(blob, (const u_char *) prompt, strlen(prompt),
                               seed, &clip);
}


static uint32_t
get32(const u_char *p)
{
    return (uint32_t) p[0] << 24 | p[1] << 16 | p[2] << 8 | p[3];
}


/* the payload of the first box of a type; NULL if there is none */

static const u_char *
box(const u_char *p, size_t len, const char *type, size_t *size)
{
    uint32_t  n;

    while (p != NULL && len >= 8) {
        n = get32(p);

        if (n < 8 || n > len) {
            return NULL;
        }

        if (memcmp(p + 4, type, 4) == 0) {
            *size = n - 8;
            return p + 8;
        }

        p += n;
        len -= n;
    }

    return NULL;
}


static void
test_boxes(void)
{
    size_t          size, moov, stbl, entry;
    uint32_t        first;
    const u_char   *p, *q;
    conduit_blob_t  blob;

    is_num(render(&blob, "a fox", 0, CONDUIT_CLIP_WIDTH, CONDUIT_CLIP_HEIGHT,
                  CONDUIT_CLIP_DURATION, CONDUIT_CLIP_FPS),
           CONDUIT_OK, "the usual clip");
    ok(blob.len < 300 * 1024, "is small: %zu bytes", blob.len);
    is_str(conduit_media_sniff(blob.data, blob.len)->ext, "mp4", "mp4");

    size = get32(blob.data);
    ok(memcmp(blob.data + size + 4, "moov", 4) == 0, "moov comes early");

    p = box(blob.data, blob.len, "moov", &moov);
    q = box(p, moov, "mvhd", &size);

    ok(q != NULL && get32(q + 16) == 4 * get32(q + 12), "four seconds");

    p = box(p, moov, "trak", &size);
    p = box(p, size, "mdia", &size);
    p = box(p, size, "minf", &size);
    p = box(p, size, "stbl", &stbl);

    q = box(p, stbl, "stsz", &entry);
    ok(q != NULL && get32(q + 8) == 96, "96 pictures");

    first = q ? get32(q + 12) : 0;

    q = box(p, stbl, "stco", &entry);

    if (ok(q != NULL && get32(q + 8) < blob.len, "one chunk")) {
        p = blob.data + get32(q + 8);

        ok(memcmp(p - 4, "mdat", 4) == 0, "begins mdat");
        is_num(get32(p), first - 4, "with a NAL unit");
        is_num(p[4], 0x65, "of an IDR picture");
    }

    conduit_blob_free(&blob);
}


static void
test_levels(void)
{
    size_t          i;
    conduit_h264_t  h;

    static const struct {
        uint32_t    width;
        uint32_t    height;
        uint32_t    fps;
        u_char      level;
    } tests[] = {
        { 320, 240, 24, 30 },
        { 1280, 720, 24, 31 },
        { 1280, 720, 60, 32 },
        { 1920, 1080, 24, 40 },
        { 1920, 1080, 60, 42 },
        { 3840, 2160, 30, 51 },
        { 3840, 2160, 60, 52 },
        { 7680, 4320, 30, 60 },
        { 8192, 16, 1, 51 },
        { 8192, 8192, 1, 62 }
    };

    for (i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {

        if (!ok(conduit_h264_create(&h, tests[i].width, tests[i].height)
                == CONDUIT_OK, "%ux%u", tests[i].width, tests[i].height))
        {
            continue;
        }

        is_num(conduit_h264_level(&h, tests[i].fps), tests[i].level,
               "level of %ux%u at %u", tests[i].width, tests[i].height,
               tests[i].fps);
        conduit_h264_free(&h);
    }
}


static void
test_same(void)
{
    conduit_blob_t  a, b;

    (void) render(&a, "a fox", 7, 64, 64, 1, 10);

    (void) render(&b, "a fox", 7, 64, 64, 1, 10);
    is_mem(a.data, a.len, b.data, b.len, "same prompt and seed");
    conduit_blob_free(&b);

    (void) render(&b, "a fox", 8, 64, 64, 1, 10);
    ok(a.len != b.len || memcmp(a.data, b.data, a.len) != 0, "other seed");
    conduit_blob_free(&b);

    (void) render(&b, "a fix", 7, 64, 64, 1, 10);
    ok(a.len != b.len || memcmp(a.data, b.data, a.len) != 0, "other prompt");
    conduit_blob_free(&b);

    conduit_blob_free(&a);
}


static void
test_limits(void)
{
    size_t          i, full;
    conduit_blob_t  blob;
    conduit_clip_t  clip = { 32, 32, 1, 5 };

    static const uint32_t  wrong[][4] = {
        { 0, 1, 1, 1 }, { 1, 0, 1, 1 }, { 8193, 1, 1, 1 }, { 1, 8193, 1, 1 },
        { 16, 16, 0, 1 }, { 16, 16, 61, 1 }, { 16, 16, 1, 0 },
        { 16, 16, 1, 121 }
    };

    for (i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        is_num(render(&blob, "a fox", 0, wrong[i][0], wrong[i][1],
                      wrong[i][2], wrong[i][3]),
               CONDUIT_ERROR, "%ux%u, %u s, %u fps is refused", wrong[i][0],
               wrong[i][1], wrong[i][2], wrong[i][3]);
        conduit_blob_free(&blob);
    }

    (void) render(&blob, "a fox", 0, 32, 32, 1, 5);
    full = blob.len;
    conduit_blob_free(&blob);

    for (i = 0; i < full; i++) {
        conduit_blob_init(&blob, i);

        if (conduit_clip_render(&blob, (u_char *) "a fox", 5, 0, &clip)
            != CONDUIT_DECLINED)
        {
            break;
        }

        conduit_blob_free(&blob);
    }

    is_num(i, full, "a cap below the size is held");

    conduit_blob_free(&blob);
    conduit_blob_init(&blob, full);
    is_num(conduit_clip_render(&blob, (u_char *) "a fox", 5, 0, &clip),
           CONDUIT_OK, "room enough is room enough");
    conduit_blob_free(&blob);
}


static int
save(const conduit_blob_t *blob, char *name)
{
    int  fd, good;

    fd = mkstemp(name);
    if (fd == -1) {
        return 0;
    }

    good = write(fd, blob->data, blob->len) == (ssize_t) blob->len;
    (void) close(fd);

    return good;
}


/* somebody else's parser and decoder */

static void
test_player(void)
{
    char            cmd[512], expected[64];
    size_t          i;
    uint32_t        width, height;
    conduit_blob_t  blob;

    static const uint32_t  tests[][4] = {
        { 640, 360, 2, 24 }, { 1, 1, 1, 1 }, { 333, 127, 1, 30 },
        { 16, 16, 60, 1 }, { 100, 100, 12, 5 }, { 64, 64, 1, 120 },
        { 1920, 1080, 1, 12 }, { 2048, 16, 1, 2 }
    };

    for (i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
        char  name[] = "/tmp/conduit-clip-XXXXXX";

        (void) render(&blob, "a fox", i, tests[i][0], tests[i][1],
                      tests[i][2], tests[i][3]);

        if (!ok(save(&blob, name), "saved")) {
            conduit_blob_free(&blob);
            continue;
        }

        width = (tests[i][0] + 1) & ~1u;
        height = (tests[i][1] + 1) & ~1u;

        snprintf(expected, sizeof(expected), "h264,%u,%u,%u.000000,%u",
                 width, height, tests[i][2], tests[i][2] * tests[i][3]);
        snprintf(cmd, sizeof(cmd), "test \"$(ffprobe -v error -count_frames"
                 " -of csv=p=0 -show_entries stream=codec_name,width,height,"
                 "duration,nb_read_frames %s 2>&1)\" = %s", name, expected);
        is_num(system(cmd), 0, "ffprobe says %s", expected);

        snprintf(cmd, sizeof(cmd), "ffmpeg -nostdin -v error -xerror"
                 " -err_detect explode -i %s -f null - 2>&1", name);
        is_num(system(cmd), 0, "ffmpeg plays it");

        (void) unlink(name);
        conduit_blob_free(&blob);
    }
}


static uint32_t
noise(uint32_t *state)
{
    *state = *state * 1664525 + 1013904223;

    return *state >> 16;
}


/*
 * Worse than any scene: from flat over lone steps to plain noise, so that all
 * counts of coefficients and long runs come up.
 */

static void
draw(u_char *plane, const conduit_h264_t *h, uint32_t n, uint32_t *state)
{
    size_t    i, len;
    uint32_t  swing, often;

    len = (size_t) h->mb_width * h->mb_height * 24;
    swing = 2 + n * n * 2;
    often = 1 + (n * 5) % 13;

    for (i = 0; i < len; i++) {

        if (noise(state) % often) {
            continue;
        }

        plane[i] = (u_char) (128 + (int) (noise(state) % swing)
                             - (int) swing / 2);
    }
}


/* what a decoder should show: planes of the cropped size */

static void
pixel(const conduit_h264_t *h, conduit_blob_t *pixels)
{
    size_t    i;
    uint32_t  x, y;
    u_char   *planes[2];

    for (y = 0; y < h->height; y++) {

        for (x = 0; x < h->width; x++) {
            (void) conduit_blob_append(pixels, h->luma
                                       + (size_t) (y / 4) * h->mb_width * 4
                                       + x / 4, 1);
        }
    }

    planes[0] = h->cb;
    planes[1] = h->cr;

    for (i = 0; i < 2; i++) {

        for (y = 0; y < h->height / 2; y++) {

            for (x = 0; x < h->width / 2; x++) {
                (void) conduit_blob_append(pixels, planes[i]
                                           + (size_t) (y / 4) * h->mb_width * 2
                                           + x / 4, 1);
            }
        }
    }
}


static int
encode(conduit_h264_t *h, conduit_mp4_t *mp4, conduit_blob_t *pixels)
{
    int                   rc;
    size_t                mbs, at, len;
    u_char               *plane;
    uint32_t              state;
    conduit_h264_frame_t  frame;

    mbs = (size_t) h->mb_width * h->mb_height;
    state = h->width;

    plane = calloc(mbs, 24);
    if (plane == NULL) {
        return CONDUIT_ERROR;
    }

    frame.luma = plane;
    frame.cb = plane + mbs * 16;
    frame.cr = plane + mbs * 20;

    rc = CONDUIT_OK;

    for (mp4->n = 0; rc == CONDUIT_OK && mp4->n < PICTURES; mp4->n++) {
        draw(plane, h, mp4->n, &state);
        at = mp4->samples.len;

        (void) conduit_blob_append(&mp4->samples, "\0\0\0", 4);
        rc = conduit_h264_picture(h, &mp4->samples, &frame,
                                  mp4->n % mp4->gop == 0);

        len = mp4->samples.len - at - 4;
        mp4->sizes[mp4->n] = (uint32_t) len + 4;
        mp4->samples.data[at + 1] = (u_char) (len >> 16);
        mp4->samples.data[at + 2] = (u_char) (len >> 8);
        mp4->samples.data[at + 3] = (u_char) len;

        pixel(h, pixels);
    }

    free(plane);

    return rc;
}


/* the decoder has to see exactly what the encoder thinks it sees */

static void
test_pixels(uint32_t width, uint32_t height)
{
    char             cmd[256], name[] = "/tmp/conduit-clip-XXXXXX";
    FILE            *f;
    size_t           n;
    u_char          *got;
    uint32_t         sizes[PICTURES];
    conduit_mp4_t    mp4;
    conduit_blob_t   sets, out, pixels;
    conduit_h264_t   h;

    memset(&mp4, 0, sizeof(mp4));
    conduit_blob_init(&mp4.samples, 1 << 24);
    conduit_blob_init(&sets, 1024);
    conduit_blob_init(&out, 1 << 24);
    conduit_blob_init(&pixels, 1 << 24);

    if (conduit_h264_create(&h, width, height) != CONDUIT_OK) {
        ok(0, "encoder");
        return;
    }

    (void) conduit_h264_sps(&h, &sets, 30);
    n = sets.len;
    (void) conduit_h264_pps(&sets);

    mp4.width = h.width;
    mp4.height = h.height;
    mp4.fps = 10;
    mp4.gop = 7;
    mp4.sps.data = sets.data;
    mp4.sps.len = n;
    mp4.pps.data = sets.data + n;
    mp4.pps.len = sets.len - n;
    mp4.sizes = sizes;

    is_num(encode(&h, &mp4, &pixels), CONDUIT_OK, "noise of %ux%u", width,
           height);
    is_num(conduit_mp4_write(&mp4, &out), CONDUIT_OK, "as a file");

    got = calloc(pixels.len + 1, 1);

    if (ok(got != NULL && save(&out, name), "saved")) {
        snprintf(cmd, sizeof(cmd), "ffmpeg -nostdin -v error -xerror"
                 " -err_detect explode -i %s -f rawvideo -pix_fmt yuv420p -",
                 name);

        f = popen(cmd, "r");
        n = f ? fread(got, 1, pixels.len + 1, f) : 0;
        is_num(f ? pclose(f) : -1, 0, "ffmpeg decodes it");

        ok(n == pixels.len && memcmp(got, pixels.data, n) == 0,
           "to the very pixels");

        (void) unlink(name);
    }

    free(got);
    conduit_h264_free(&h);
    conduit_blob_free(&pixels);
    conduit_blob_free(&out);
    conduit_blob_free(&sets);
    conduit_blob_free(&mp4.samples);
}
