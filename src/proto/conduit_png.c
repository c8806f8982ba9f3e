
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <stdlib.h>
#include <zlib.h>

#include "conduit_png.h"
#include "conduit_scene.h"


#define CONDUIT_PNG_STEP      16384

/* filter type 2, "up": what is left of smooth rows is nearly nothing */
#define CONDUIT_PNG_UP        2

#define CONDUIT_PNG_TRUECOLOR 2


static int conduit_png_header(conduit_blob_t *blob, uint32_t width,
    uint32_t height);
static int conduit_png_rows(conduit_blob_t *blob,
    const conduit_scene_t *scene);
static int conduit_png_feed(conduit_blob_t *blob,
    const conduit_scene_t *scene, z_stream *z, u_char *work);
static void conduit_png_filter(u_char *out, const u_char *row,
    const u_char *above, size_t len);
static int conduit_png_deflate(conduit_blob_t *blob, z_stream *z, int flush);
static int conduit_png_open(conduit_blob_t *blob, const char *type,
    size_t *chunk);
static int conduit_png_close(conduit_blob_t *blob, size_t chunk);
static void conduit_png_put32(u_char *p, uint32_t n);


int
conduit_png_render(conduit_blob_t *blob, const u_char *prompt, size_t len,
    int64_t seed, uint32_t width, uint32_t height)
{
    int              rc;
    size_t           chunk;
    conduit_scene_t  scene;

    if (conduit_scene_create(&scene, prompt, len, seed, width, height)
        != CONDUIT_OK)
    {
        return CONDUIT_ERROR;
    }

    rc = conduit_png_header(blob, width, height);

    if (rc == CONDUIT_OK) {
        rc = conduit_png_open(blob, "IDAT", &chunk);
    }

    if (rc == CONDUIT_OK) {
        rc = conduit_png_rows(blob, &scene);
    }

    conduit_scene_free(&scene);

    if (rc == CONDUIT_OK) {
        rc = conduit_png_close(blob, chunk);
    }

    if (rc == CONDUIT_OK) {
        rc = conduit_png_open(blob, "IEND", &chunk);
    }

    if (rc == CONDUIT_OK) {
        rc = conduit_png_close(blob, chunk);
    }

    return rc;
}


static int
conduit_png_header(conduit_blob_t *blob, uint32_t width, uint32_t height)
{
    int     rc;
    size_t  chunk;
    u_char  ihdr[13];

    conduit_png_put32(ihdr, width);
    conduit_png_put32(ihdr + 4, height);

    ihdr[8] = 8;
    ihdr[9] = CONDUIT_PNG_TRUECOLOR;
    ihdr[10] = 0;
    ihdr[11] = 0;
    ihdr[12] = 0;

    rc = conduit_blob_append(blob, "\x89PNG\r\n\x1a\n", 8);

    if (rc == CONDUIT_OK) {
        rc = conduit_png_open(blob, "IHDR", &chunk);
    }

    if (rc == CONDUIT_OK) {
        rc = conduit_blob_append(blob, ihdr, sizeof(ihdr));
    }

    if (rc == CONDUIT_OK) {
        rc = conduit_png_close(blob, chunk);
    }

    return rc;
}


static int
conduit_png_rows(conduit_blob_t *blob, const conduit_scene_t *scene)
{
    int       rc;
    u_char   *work;
    z_stream  z;

    /* two rows and a filtered one with its type byte */

    work = calloc(scene->width * 9 + 1, 1);
    if (work == NULL) {
        return CONDUIT_ERROR;
    }

    memset(&z, 0, sizeof(z_stream));

    if (deflateInit(&z, 6) != Z_OK) {
        free(work);
        return CONDUIT_ERROR;
    }

    rc = conduit_png_feed(blob, scene, &z, work);

    (void) deflateEnd(&z);
    free(work);

    return rc;
}


static int
conduit_png_feed(conduit_blob_t *blob, const conduit_scene_t *scene,
    z_stream *z, u_char *work)
{
    int       rc;
    size_t    len;
    u_char   *row, *above, *out, *swap;
    uint32_t  y;

    len = (size_t) scene->width * 3;

    above = work;
    row = work + len;
    out = row + len;

    for (y = 0; y < scene->height; y++) {
        conduit_scene_row(scene, y, row);
        conduit_png_filter(out, row, above, len);

        z->next_in = out;
        z->avail_in = (uInt) len + 1;

        rc = conduit_png_deflate(blob, z, Z_NO_FLUSH);

        if (rc != CONDUIT_OK) {
            return rc;
        }

        swap = above;
        above = row;
        row = swap;
    }

    return conduit_png_deflate(blob, z, Z_FINISH);
}


static void
conduit_png_filter(u_char *out, const u_char *row, const u_char *above,
    size_t len)
{
    size_t  i;

    *out++ = CONDUIT_PNG_UP;

    for (i = 0; i < len; i++) {
        out[i] = (u_char) (row[i] - above[i]);
    }
}


static int
conduit_png_deflate(conduit_blob_t *blob, z_stream *z, int flush)
{
    int     rc;
    size_t  room;

    for ( ;; ) {
        room = blob->max - blob->len;

        if (room > CONDUIT_PNG_STEP) {
            room = CONDUIT_PNG_STEP;
        }

        if (room == 0) {
            return CONDUIT_DECLINED;
        }

        rc = conduit_blob_reserve(blob, room);

        if (rc != CONDUIT_OK) {
            return rc;
        }

        z->next_out = blob->data + blob->len;
        z->avail_out = (uInt) room;

        rc = deflate(z, flush);

        blob->len += room - z->avail_out;

        if (rc == Z_STREAM_END) {
            return CONDUIT_OK;
        }

        if (rc == Z_STREAM_ERROR) {
            return CONDUIT_ERROR;
        }

        /* output room left: all the input has been taken */

        if (flush == Z_NO_FLUSH && z->avail_out) {
            return CONDUIT_OK;
        }
    }
}


/* the length of a chunk is filled in when it is closed */

static int
conduit_png_open(conduit_blob_t *blob, const char *type, size_t *chunk)
{
    u_char  head[8];

    *chunk = blob->len;

    memset(head, 0, 4);
    memcpy(head + 4, type, 4);

    return conduit_blob_append(blob, head, sizeof(head));
}


static int
conduit_png_close(conduit_blob_t *blob, size_t chunk)
{
    uLong    crc;
    u_char   tail[4];
    size_t   len;
    u_char  *p;

    p = blob->data + chunk;
    len = blob->len - chunk - 8;

    if (len > INT32_MAX) {
        return CONDUIT_DECLINED;
    }

    conduit_png_put32(p, (uint32_t) len);

    crc = crc32(0, p + 4, (uInt) len + 4);
    conduit_png_put32(tail, (uint32_t) crc);

    return conduit_blob_append(blob, tail, sizeof(tail));
}


static void
conduit_png_put32(u_char *p, uint32_t n)
{
    p[0] = (u_char) (n >> 24);
    p[1] = (u_char) (n >> 16);
    p[2] = (u_char) (n >> 8);
    p[3] = (u_char) n;
}
