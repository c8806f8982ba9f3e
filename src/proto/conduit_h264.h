
/*
 * Copyright (C) Conduit for nginx authors
 */


#ifndef _CONDUIT_H264_H_INCLUDED_
#define _CONDUIT_H264_H_INCLUDED_


#include "conduit.h"
#include "conduit_blob.h"


/*
 * A small H.264 encoder (ITU-T H.264, constrained baseline): every 4x4 block
 * of a plane is one flat value, carried by the DC coefficients of Intra16x16
 * macroblocks; what has not changed since the picture before is skipped.
 * That is enough for pictures without fine texture, needs no motion search
 * and no transform of pixels, and plays everywhere.
 */


typedef struct {
    uint32_t    width;                       /* of what is shown, even */
    uint32_t    height;
    uint32_t    mb_width;
    uint32_t    mb_height;
    uint32_t    frame_num;
    uint32_t    idr;

    /* what the decoder has: 4x4 and 2x2 values per macroblock */
    u_char     *luma;
    u_char     *cb;
    u_char     *cr;
} conduit_h264_t;


/*
 * A picture to encode: planes of mb_width * 4 by mb_height * 4 luma values
 * and half as many chroma values each way.
 */

typedef struct {
    const u_char  *luma;
    const u_char  *cb;
    const u_char  *cr;
} conduit_h264_frame_t;


/*
 * width and height in pixels, 1 .. 8192; odd ones are raised by one.
 *
 * CONDUIT_OK
 * CONDUIT_ERROR  bad size or no memory, nothing is to be freed
 */
int conduit_h264_create(conduit_h264_t *h, uint32_t width, uint32_t height);

void conduit_h264_free(conduit_h264_t *h);


/* level_idc (table A-1) that holds this size at fps pictures a second */
u_char conduit_h264_level(const conduit_h264_t *h, uint32_t fps);


/*
 * Append one NAL unit each, without start code or length: the parameter sets,
 * and a coded picture, an IDR one if key is set (the first has to be).
 *
 * CONDUIT_OK
 * CONDUIT_DECLINED, CONDUIT_ERROR  as conduit_blob_append() said
 */
int conduit_h264_sps(const conduit_h264_t *h, conduit_blob_t *out,
    u_char level);
int conduit_h264_pps(conduit_blob_t *out);
int conduit_h264_picture(conduit_h264_t *h, conduit_blob_t *out,
    const conduit_h264_frame_t *frame, int key);


#endif /* _CONDUIT_H264_H_INCLUDED_ */
