
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <stdlib.h>

#include "conduit_clip.h"
#include "conduit_h264.h"
#include "conduit_mp4.h"
#include "conduit_scene.h"


/* 4x4 blocks in all pictures of a clip: some seconds of work */
#define CONDUIT_CLIP_WORK  200000000

/* seconds from one picture that can be jumped to, to the next */
#define CONDUIT_CLIP_GOP   5


typedef struct {
    conduit_scene_t       scene;
    conduit_h264_t        h264;
    conduit_mp4_t         mp4;
    conduit_h264_frame_t  frame;

    u_char               *luma;
    u_char               *cb;
    u_char               *cr;
    u_char               *rows;              /* two of the scene, in RGB */
} conduit_clip_work_t;


static int conduit_clip_create(conduit_clip_work_t *w, const u_char *prompt,
    size_t len, int64_t seed, const conduit_clip_t *clip);
static uint32_t conduit_clip_fps(const conduit_h264_t *h264,
    const conduit_clip_t *clip);
static void conduit_clip_free(conduit_clip_work_t *w);
static int conduit_clip_write(conduit_clip_work_t *w, conduit_blob_t *blob);
static int conduit_clip_pictures(conduit_clip_work_t *w);
static int conduit_clip_picture(conduit_clip_work_t *w, uint32_t n);
static void conduit_clip_draw(conduit_clip_work_t *w);
static void conduit_clip_chroma(const conduit_clip_work_t *w, u_char *cb,
    u_char *cr);


int
conduit_clip_render(conduit_blob_t *blob, const u_char *prompt, size_t len,
    int64_t seed, const conduit_clip_t *clip)
{
    int                  rc;
    conduit_clip_work_t  w;

    if (clip->duration < 1 || clip->duration > CONDUIT_CLIP_DURATION_MAX
        || clip->fps < 1 || clip->fps > CONDUIT_CLIP_FPS_MAX)
    {
        return CONDUIT_ERROR;
    }

    memset(&w, 0, sizeof(conduit_clip_work_t));
    conduit_blob_init(&w.mp4.samples, blob->max);

    rc = conduit_clip_create(&w, prompt, len, seed, clip);

    if (rc == CONDUIT_OK) {
        rc = conduit_clip_write(&w, blob);
    }

    conduit_clip_free(&w);

    return rc;
}


/* what was made is freed by the caller, also after a failure */

static int
conduit_clip_create(conduit_clip_work_t *w, const u_char *prompt, size_t len,
    int64_t seed, const conduit_clip_t *clip)
{
    size_t           mbs;
    conduit_h264_t  *h;

    h = &w->h264;

    if (conduit_h264_create(h, clip->width, clip->height) != CONDUIT_OK) {
        return CONDUIT_ERROR;
    }

    if (conduit_scene_create(&w->scene, prompt, len, seed, h->mb_width * 4,
                             h->mb_height * 4)
        != CONDUIT_OK)
    {
        return CONDUIT_ERROR;
    }

    w->mp4.width = h->width;
    w->mp4.height = h->height;
    w->mp4.fps = conduit_clip_fps(h, clip);
    w->mp4.gop = w->mp4.fps * CONDUIT_CLIP_GOP;
    w->mp4.n = w->mp4.fps * clip->duration;

    w->mp4.sizes = malloc(sizeof(uint32_t) * w->mp4.n);
    if (w->mp4.sizes == NULL) {
        return CONDUIT_ERROR;
    }

    mbs = (size_t) h->mb_width * h->mb_height;

    w->luma = malloc(mbs * 24 + (size_t) h->mb_width * 24);
    if (w->luma == NULL) {
        return CONDUIT_ERROR;
    }

    w->cb = w->luma + mbs * 16;
    w->cr = w->cb + mbs * 4;
    w->rows = w->cr + mbs * 4;

    w->frame.luma = w->luma;
    w->frame.cb = w->cb;
    w->frame.cr = w->cr;

    return CONDUIT_OK;
}


static uint32_t
conduit_clip_fps(const conduit_h264_t *h264, const conduit_clip_t *clip)
{
    uint32_t  fps;

    fps = CONDUIT_CLIP_WORK / (h264->mb_width * h264->mb_height * 16)
          / clip->duration;

    if (fps < 1) {
        fps = 1;
    }

    return fps < clip->fps ? fps : clip->fps;
}


static void
conduit_clip_free(conduit_clip_work_t *w)
{
    conduit_blob_free(&w->mp4.samples);
    conduit_scene_free(&w->scene);
    conduit_h264_free(&w->h264);

    free(w->mp4.sizes);
    free(w->luma);
}


static int
conduit_clip_write(conduit_clip_work_t *w, conduit_blob_t *blob)
{
    int             rc;
    conduit_blob_t  sets;

    conduit_blob_init(&sets, 1024);

    rc = conduit_h264_sps(&w->h264, &sets,
                          conduit_h264_level(&w->h264, w->mp4.fps));

    w->mp4.sps.len = sets.len;

    if (rc == CONDUIT_OK) {
        rc = conduit_h264_pps(&sets);
    }

    if (rc == CONDUIT_OK) {
        w->mp4.sps.data = sets.data;
        w->mp4.pps.data = sets.data + w->mp4.sps.len;
        w->mp4.pps.len = sets.len - w->mp4.sps.len;

        rc = conduit_clip_pictures(w);
    }

    if (rc == CONDUIT_OK) {
        rc = conduit_mp4_write(&w->mp4, blob);
    }

    conduit_blob_free(&sets);

    return rc;
}


static int
conduit_clip_pictures(conduit_clip_work_t *w)
{
    int       rc;
    uint32_t  n;

    for (n = 0; n < w->mp4.n; n++) {
        rc = conduit_clip_picture(w, n);

        if (rc != CONDUIT_OK) {
            return rc;
        }
    }

    return CONDUIT_OK;
}


static int
conduit_clip_picture(conduit_clip_work_t *w, uint32_t n)
{
    int              rc;
    size_t           at, len;
    u_char          *p;
    conduit_blob_t  *samples;

    samples = &w->mp4.samples;
    at = samples->len;

    conduit_scene_phase(&w->scene,
                        (uint32_t) ((uint64_t) n * CONDUIT_SCENE_PHASE
                                    / w->mp4.n));
    conduit_clip_draw(w);

    rc = conduit_blob_append(samples, "\0\0\0", 4);

    if (rc == CONDUIT_OK) {
        rc = conduit_h264_picture(&w->h264, samples, &w->frame,
                                  n % w->mp4.gop == 0);
    }

    if (rc != CONDUIT_OK) {
        return rc;
    }

    len = samples->len - at;
    w->mp4.sizes[n] = (uint32_t) len;

    p = samples->data + at;
    len -= 4;

    p[0] = (u_char) (len >> 24);
    p[1] = (u_char) (len >> 16);
    p[2] = (u_char) (len >> 8);
    p[3] = (u_char) len;

    return CONDUIT_OK;
}


/* BT.709, limited range, in 1/256 */

static void
conduit_clip_draw(conduit_clip_work_t *w)
{
    u_char    *rgb, *luma;
    size_t     chroma;
    uint32_t   x, y, width;

    width = w->scene.width;
    luma = w->luma;

    for (y = 0; y < w->scene.height; y++) {
        rgb = w->rows + (y & 1) * width * 3;
        conduit_scene_row(&w->scene, y, rgb);

        for (x = 0; x < width; x++, rgb += 3) {
            *luma++ = (u_char) (16 + ((47 * rgb[0] + 157 * rgb[1]
                                       + 16 * rgb[2] + 128) >> 8));
        }

        if (y & 1) {
            chroma = (size_t) (y / 2) * (width / 2);
            conduit_clip_chroma(w, w->cb + chroma, w->cr + chroma);
        }
    }
}


/* the mean of two by two */

static void
conduit_clip_chroma(const conduit_clip_work_t *w, u_char *cb, u_char *cr)
{
    int32_t        r, g, b;
    uint32_t       x, width;
    const u_char  *p, *q;

    width = w->scene.width;
    p = w->rows;
    q = w->rows + width * 3;

    for (x = 0; x < width; x += 2, p += 6, q += 6) {
        r = p[0] + p[3] + q[0] + q[3];
        g = p[1] + p[4] + q[1] + q[4];
        b = p[2] + p[5] + q[2] + q[5];

        /* 128 and a half, moved up so that the shift rounds towards it */

        *cb++ = (u_char) ((112 * b - 26 * r - 86 * g + 131584) >> 10);
        *cr++ = (u_char) ((112 * r - 102 * g - 10 * b + 131584) >> 10);
    }
}
