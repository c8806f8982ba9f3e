
/*
 * Copyright (C) Conduit for nginx authors
 */


#include "conduit_mp4.h"


/* a picture lasts so many units of the time scale, fps times as much */
#define CONDUIT_MP4_TICKS  1000

/* 64 boxes deep would do for anything; this file needs eight */
#define CONDUIT_MP4_DEPTH  10


/*
 * A failure of the blob sticks in rc, as the many small writes are looked at
 * together in the end.
 */

typedef struct {
    conduit_blob_t       *out;
    const conduit_mp4_t  *mp4;
    size_t                box[CONDUIT_MP4_DEPTH];
    size_t                offset;            /* of the chunk offset's value */
    uint32_t              depth;
    int                   rc;
} conduit_mp4_writer_t;


static void conduit_mp4_open(conduit_mp4_writer_t *w, const char *type);
static void conduit_mp4_full(conduit_mp4_writer_t *w, const char *type,
    uint32_t flags);
static void conduit_mp4_close(conduit_mp4_writer_t *w);
static void conduit_mp4_bytes(conduit_mp4_writer_t *w, const void *data,
    size_t len);
static void conduit_mp4_zero(conduit_mp4_writer_t *w, size_t len);
static void conduit_mp4_u8(conduit_mp4_writer_t *w, uint32_t n);
static void conduit_mp4_u16(conduit_mp4_writer_t *w, uint32_t n);
static void conduit_mp4_u32(conduit_mp4_writer_t *w, uint32_t n);
static void conduit_mp4_patch(conduit_mp4_writer_t *w, size_t at,
    uint32_t n);
static void conduit_mp4_ftyp(conduit_mp4_writer_t *w);
static void conduit_mp4_moov(conduit_mp4_writer_t *w);
static void conduit_mp4_matrix(conduit_mp4_writer_t *w);
static void conduit_mp4_tkhd(conduit_mp4_writer_t *w);
static void conduit_mp4_mdia(conduit_mp4_writer_t *w);
static void conduit_mp4_minf(conduit_mp4_writer_t *w);
static void conduit_mp4_stbl(conduit_mp4_writer_t *w);
static void conduit_mp4_stsd(conduit_mp4_writer_t *w);
static void conduit_mp4_avcc(conduit_mp4_writer_t *w);
static void conduit_mp4_times(conduit_mp4_writer_t *w);
static void conduit_mp4_places(conduit_mp4_writer_t *w);


int
conduit_mp4_write(const conduit_mp4_t *mp4, conduit_blob_t *out)
{
    conduit_mp4_writer_t  w;

    w.out = out;
    w.mp4 = mp4;
    w.offset = 0;
    w.depth = 0;
    w.rc = CONDUIT_OK;

    conduit_mp4_ftyp(&w);
    conduit_mp4_moov(&w);

    conduit_mp4_open(&w, "mdat");

    if (w.rc == CONDUIT_OK) {
        conduit_mp4_patch(&w, w.offset, (uint32_t) out->len);
    }

    conduit_mp4_bytes(&w, mp4->samples.data, mp4->samples.len);
    conduit_mp4_close(&w);

    return w.rc;
}


/* the size of a box is filled in when it is closed */

static void
conduit_mp4_open(conduit_mp4_writer_t *w, const char *type)
{
    w->box[w->depth++] = w->out->len;

    conduit_mp4_u32(w, 0);
    conduit_mp4_bytes(w, type, 4);
}


static void
conduit_mp4_full(conduit_mp4_writer_t *w, const char *type, uint32_t flags)
{
    conduit_mp4_open(w, type);
    conduit_mp4_u32(w, flags);               /* version 0 */
}


static void
conduit_mp4_close(conduit_mp4_writer_t *w)
{
    size_t  at;

    at = w->box[--w->depth];

    if (w->rc == CONDUIT_OK) {
        conduit_mp4_patch(w, at, (uint32_t) (w->out->len - at));
    }
}


static void
conduit_mp4_bytes(conduit_mp4_writer_t *w, const void *data, size_t len)
{
    if (w->rc == CONDUIT_OK) {
        w->rc = conduit_blob_append(w->out, data, len);
    }
}


static void
conduit_mp4_zero(conduit_mp4_writer_t *w, size_t len)
{
    while (len--) {
        conduit_mp4_bytes(w, "", 1);
    }
}


static void
conduit_mp4_u8(conduit_mp4_writer_t *w, uint32_t n)
{
    u_char  byte;

    byte = (u_char) n;
    conduit_mp4_bytes(w, &byte, 1);
}


static void
conduit_mp4_u16(conduit_mp4_writer_t *w, uint32_t n)
{
    conduit_mp4_u8(w, n >> 8);
    conduit_mp4_u8(w, n);
}


static void
conduit_mp4_u32(conduit_mp4_writer_t *w, uint32_t n)
{
    conduit_mp4_u16(w, n >> 16);
    conduit_mp4_u16(w, n);
}


static void
conduit_mp4_patch(conduit_mp4_writer_t *w, size_t at, uint32_t n)
{
    u_char  *p;

    p = w->out->data + at;

    p[0] = (u_char) (n >> 24);
    p[1] = (u_char) (n >> 16);
    p[2] = (u_char) (n >> 8);
    p[3] = (u_char) n;
}


static void
conduit_mp4_ftyp(conduit_mp4_writer_t *w)
{
    conduit_mp4_open(w, "ftyp");
    conduit_mp4_bytes(w, "isom", 4);
    conduit_mp4_u32(w, 512);
    conduit_mp4_bytes(w, "isomiso2avc1mp41", 16);
    conduit_mp4_close(w);
}


static void
conduit_mp4_moov(conduit_mp4_writer_t *w)
{
    conduit_mp4_open(w, "moov");

    conduit_mp4_full(w, "mvhd", 0);
    conduit_mp4_zero(w, 8);                  /* no dates */
    conduit_mp4_u32(w, w->mp4->fps * CONDUIT_MP4_TICKS);
    conduit_mp4_u32(w, w->mp4->n * CONDUIT_MP4_TICKS);
    conduit_mp4_u32(w, 0x00010000);          /* rate 1 */
    conduit_mp4_u16(w, 0x0100);              /* volume 1 */
    conduit_mp4_zero(w, 10);
    conduit_mp4_matrix(w);
    conduit_mp4_zero(w, 24);
    conduit_mp4_u32(w, 2);                   /* next track */
    conduit_mp4_close(w);

    conduit_mp4_open(w, "trak");
    conduit_mp4_tkhd(w);
    conduit_mp4_mdia(w);
    conduit_mp4_close(w);

    conduit_mp4_close(w);
}


static void
conduit_mp4_matrix(conduit_mp4_writer_t *w)
{
    conduit_mp4_u32(w, 0x00010000);
    conduit_mp4_zero(w, 12);
    conduit_mp4_u32(w, 0x00010000);
    conduit_mp4_zero(w, 12);
    conduit_mp4_u32(w, 0x40000000);
}


static void
conduit_mp4_tkhd(conduit_mp4_writer_t *w)
{
    conduit_mp4_full(w, "tkhd", 7);          /* enabled, in movie, preview */
    conduit_mp4_zero(w, 8);
    conduit_mp4_u32(w, 1);                   /* track */
    conduit_mp4_zero(w, 4);
    conduit_mp4_u32(w, w->mp4->n * CONDUIT_MP4_TICKS);
    conduit_mp4_zero(w, 16);                 /* layer 0, silent */
    conduit_mp4_matrix(w);
    conduit_mp4_u32(w, w->mp4->width << 16);
    conduit_mp4_u32(w, w->mp4->height << 16);
    conduit_mp4_close(w);
}


static void
conduit_mp4_mdia(conduit_mp4_writer_t *w)
{
    conduit_mp4_open(w, "mdia");

    conduit_mp4_full(w, "mdhd", 0);
    conduit_mp4_zero(w, 8);
    conduit_mp4_u32(w, w->mp4->fps * CONDUIT_MP4_TICKS);
    conduit_mp4_u32(w, w->mp4->n * CONDUIT_MP4_TICKS);
    conduit_mp4_u16(w, 0x55c4);              /* "und" */
    conduit_mp4_u16(w, 0);
    conduit_mp4_close(w);

    conduit_mp4_full(w, "hdlr", 0);
    conduit_mp4_zero(w, 4);
    conduit_mp4_bytes(w, "vide", 4);
    conduit_mp4_zero(w, 12);
    conduit_mp4_bytes(w, "conduit", sizeof("conduit"));
    conduit_mp4_close(w);

    conduit_mp4_minf(w);

    conduit_mp4_close(w);
}


static void
conduit_mp4_minf(conduit_mp4_writer_t *w)
{
    conduit_mp4_open(w, "minf");

    conduit_mp4_full(w, "vmhd", 1);
    conduit_mp4_zero(w, 8);
    conduit_mp4_close(w);

    conduit_mp4_open(w, "dinf");
    conduit_mp4_full(w, "dref", 0);
    conduit_mp4_u32(w, 1);
    conduit_mp4_full(w, "url ", 1);          /* in this file */
    conduit_mp4_close(w);
    conduit_mp4_close(w);
    conduit_mp4_close(w);

    conduit_mp4_stbl(w);

    conduit_mp4_close(w);
}


static void
conduit_mp4_stbl(conduit_mp4_writer_t *w)
{
    conduit_mp4_open(w, "stbl");
    conduit_mp4_stsd(w);
    conduit_mp4_times(w);
    conduit_mp4_places(w);
    conduit_mp4_close(w);
}


static void
conduit_mp4_stsd(conduit_mp4_writer_t *w)
{
    conduit_mp4_full(w, "stsd", 0);
    conduit_mp4_u32(w, 1);

    conduit_mp4_open(w, "avc1");
    conduit_mp4_zero(w, 6);
    conduit_mp4_u16(w, 1);                   /* data reference */
    conduit_mp4_zero(w, 16);
    conduit_mp4_u16(w, w->mp4->width);
    conduit_mp4_u16(w, w->mp4->height);
    conduit_mp4_u32(w, 0x00480000);          /* 72 dpi */
    conduit_mp4_u32(w, 0x00480000);
    conduit_mp4_zero(w, 4);
    conduit_mp4_u16(w, 1);                   /* frames per sample */
    conduit_mp4_zero(w, 32);                 /* compressor's name */
    conduit_mp4_u16(w, 24);                  /* depth */
    conduit_mp4_u16(w, 0xffff);
    conduit_mp4_avcc(w);
    conduit_mp4_close(w);

    conduit_mp4_close(w);
}


static void
conduit_mp4_avcc(conduit_mp4_writer_t *w)
{
    const conduit_str_t  *sps, *pps;

    sps = &w->mp4->sps;
    pps = &w->mp4->pps;

    conduit_mp4_open(w, "avcC");
    conduit_mp4_u8(w, 1);
    conduit_mp4_bytes(w, sps->data + 1, 3);  /* profile, level */
    conduit_mp4_u8(w, 0xff);                 /* lengths of four bytes */
    conduit_mp4_u8(w, 0xe1);
    conduit_mp4_u16(w, (uint32_t) sps->len);
    conduit_mp4_bytes(w, sps->data, sps->len);
    conduit_mp4_u8(w, 1);
    conduit_mp4_u16(w, (uint32_t) pps->len);
    conduit_mp4_bytes(w, pps->data, pps->len);
    conduit_mp4_close(w);
}


static void
conduit_mp4_times(conduit_mp4_writer_t *w)
{
    uint32_t  i, n;

    n = w->mp4->n;

    conduit_mp4_full(w, "stts", 0);
    conduit_mp4_u32(w, 1);
    conduit_mp4_u32(w, n);
    conduit_mp4_u32(w, CONDUIT_MP4_TICKS);
    conduit_mp4_close(w);

    conduit_mp4_full(w, "stss", 0);
    conduit_mp4_u32(w, (n + w->mp4->gop - 1) / w->mp4->gop);

    for (i = 0; i < n; i += w->mp4->gop) {
        conduit_mp4_u32(w, i + 1);
    }

    conduit_mp4_close(w);
}


static void
conduit_mp4_places(conduit_mp4_writer_t *w)
{
    uint32_t  i, n;

    n = w->mp4->n;

    conduit_mp4_full(w, "stsc", 0);
    conduit_mp4_u32(w, 1);
    conduit_mp4_u32(w, 1);
    conduit_mp4_u32(w, n);                   /* all in one chunk */
    conduit_mp4_u32(w, 1);
    conduit_mp4_close(w);

    conduit_mp4_full(w, "stsz", 0);
    conduit_mp4_u32(w, 0);
    conduit_mp4_u32(w, n);

    for (i = 0; i < n; i++) {
        conduit_mp4_u32(w, w->mp4->sizes[i]);
    }

    conduit_mp4_close(w);

    conduit_mp4_full(w, "stco", 0);
    conduit_mp4_u32(w, 1);
    w->offset = w->out->len;
    conduit_mp4_u32(w, 0);
    conduit_mp4_close(w);
}
