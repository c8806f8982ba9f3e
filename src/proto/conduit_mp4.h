
/*
 * Copyright (C) Conduit for nginx authors
 */


#ifndef _CONDUIT_MP4_H_INCLUDED_
#define _CONDUIT_MP4_H_INCLUDED_


#include "conduit.h"
#include "conduit_blob.h"


/*
 * An ISO base media file (ISO/IEC 14496-12, -14, -15) with one H.264 track:
 * ftyp, then moov, then mdat, so that players can start with the first bytes.
 */

typedef struct {
    uint32_t        width;
    uint32_t        height;
    uint32_t        fps;                     /* 1 .. 120, constant */
    uint32_t        gop;                     /* every gop-th is an IDR */

    /* with nal header, without start code or length */
    conduit_str_t   sps;
    conduit_str_t   pps;

    /* one NAL unit per picture, each behind its length in four bytes */
    conduit_blob_t  samples;
    uint32_t       *sizes;                   /* lengths and all */
    uint32_t        n;
} conduit_mp4_t;


/*
 * Appends the file to out.
 *
 * CONDUIT_OK
 * CONDUIT_DECLINED, CONDUIT_ERROR  as conduit_blob_append() said
 */
int conduit_mp4_write(const conduit_mp4_t *mp4, conduit_blob_t *out);


#endif /* _CONDUIT_MP4_H_INCLUDED_ */
