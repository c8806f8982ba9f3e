
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <stdlib.h>

#include "conduit_cavlc.h"
#include "conduit_h264.h"


#define CONDUIT_H264_SIZE_MAX    8192

#define CONDUIT_H264_PROFILE     66
#define CONDUIT_H264_CONSTRAINT  0xc0

/* nal_ref_idc and nal_unit_type */
#define CONDUIT_H264_NAL_SPS     0x67
#define CONDUIT_H264_NAL_PPS     0x68
#define CONDUIT_H264_NAL_IDR     0x65
#define CONDUIT_H264_NAL_P       0x41

/*
 * At this quantiser a luma DC coefficient of the 4x4 Hadamard transform
 * counts half, a chroma one of the 2x2 transform counts one: with f the
 * transform of the coefficients, the value added to the prediction is
 * (f + 1) >> 1 and f.
 */
#define CONDUIT_H264_QP          22

/* a macroblock that differs less from the picture before is skipped */
#define CONDUIT_H264_SKIP        3

#define CONDUIT_H264_VERTICAL    0
#define CONDUIT_H264_HORIZONTAL  1
#define CONDUIT_H264_DC          2


typedef struct {
    conduit_cavlc_t              cv;
    const conduit_h264_frame_t  *frame;
    uint32_t                     x;          /* of the macroblock */
    uint32_t                     y;
    uint32_t                     skipped;
    int                          key;
} conduit_h264_slice_t;


static void conduit_h264_crop(const conduit_h264_t *h, conduit_cavlc_t *cv);
static void conduit_h264_header(conduit_h264_t *h,
    conduit_h264_slice_t *slice);
static int conduit_h264_same(const conduit_h264_t *h,
    const conduit_h264_slice_t *slice);
static int conduit_h264_near(const u_char *a, const u_char *b, size_t stride,
    uint32_t n);
static void conduit_h264_macroblock(conduit_h264_t *h,
    conduit_h264_slice_t *slice);
static uint32_t conduit_h264_mode(const conduit_h264_t *h,
    const conduit_h264_slice_t *slice);
static void conduit_h264_predict(const u_char *p, size_t stride, uint32_t n,
    uint32_t mode, int32_t *pred);
static void conduit_h264_luma(const u_char *want, u_char *have, size_t stride,
    uint32_t mode, int32_t coeff[16]);
static int conduit_h264_chroma(const u_char *want, u_char *have,
    size_t stride, uint32_t mode, int32_t coeff[4]);
static void conduit_h264_hadamard(int32_t m[16]);
static void conduit_h264_hadamard2(int32_t m[4]);
static int32_t conduit_h264_round(int32_t n, int32_t by);
static u_char conduit_h264_clip(int32_t n);


/* figure 8-8, frame macroblocks */

static const u_char  conduit_h264_zigzag[16] = {
    0, 1, 4, 8, 5, 2, 3, 6, 9, 12, 13, 10, 7, 11, 14, 15
};


int
conduit_h264_create(conduit_h264_t *h, uint32_t width, uint32_t height)
{
    size_t  mbs;

    if (width < 1 || width > CONDUIT_H264_SIZE_MAX
        || height < 1 || height > CONDUIT_H264_SIZE_MAX)
    {
        return CONDUIT_ERROR;
    }

    h->width = (width + 1) & ~1u;
    h->height = (height + 1) & ~1u;
    h->mb_width = (h->width + 15) / 16;
    h->mb_height = (h->height + 15) / 16;
    h->frame_num = 0;
    h->idr = 0;

    mbs = (size_t) h->mb_width * h->mb_height;

    h->luma = calloc(mbs, 24);
    if (h->luma == NULL) {
        return CONDUIT_ERROR;
    }

    h->cb = h->luma + mbs * 16;
    h->cr = h->cb + mbs * 4;

    return CONDUIT_OK;
}


void
conduit_h264_free(conduit_h264_t *h)
{
    free(h->luma);
    h->luma = NULL;
}


u_char
conduit_h264_level(const conduit_h264_t *h, uint32_t fps)
{
    size_t    i;
    uint32_t  mbs;

    static const struct {
        u_char    level;
        uint32_t  frame;                     /* MaxFS */
        uint32_t  second;                    /* MaxMBPS */
    } levels[] = {
        { 30, 1620, 40500 },
        { 31, 3600, 108000 },
        { 32, 5120, 216000 },
        { 40, 8192, 245760 },
        { 42, 8704, 522240 },
        { 50, 22080, 589824 },
        { 51, 36864, 983040 },
        { 52, 36864, 2073600 },
        { 60, 139264, 4177920 },
        { 61, 139264, 8355840 }
    };

    mbs = h->mb_width * h->mb_height;

    for (i = 0; i < sizeof(levels) / sizeof(levels[0]); i++) {

        /* a side is at most the root of eight times MaxFS */

        if (mbs <= levels[i].frame && mbs * fps <= levels[i].second
            && h->mb_width * h->mb_width <= levels[i].frame * 8
            && h->mb_height * h->mb_height <= levels[i].frame * 8)
        {
            return levels[i].level;
        }
    }

    return 62;
}


int
conduit_h264_sps(const conduit_h264_t *h, conduit_blob_t *out, u_char level)
{
    conduit_cavlc_t  cv;

    conduit_cavlc_start(&cv, out, CONDUIT_H264_NAL_SPS);

    conduit_cavlc_put(&cv, 8, CONDUIT_H264_PROFILE);
    conduit_cavlc_put(&cv, 8, CONDUIT_H264_CONSTRAINT);
    conduit_cavlc_put(&cv, 8, level);
    conduit_cavlc_ue(&cv, 0);                /* seq_parameter_set_id */
    conduit_cavlc_ue(&cv, 0);                /* 4 bits of frame_num */
    conduit_cavlc_ue(&cv, 2);                /* output in decoding order */
    conduit_cavlc_ue(&cv, 1);                /* one reference picture */
    conduit_cavlc_put(&cv, 1, 0);            /* no gaps in frame_num */
    conduit_cavlc_ue(&cv, h->mb_width - 1);
    conduit_cavlc_ue(&cv, h->mb_height - 1);
    conduit_cavlc_put(&cv, 1, 1);            /* frame_mbs_only_flag */
    conduit_cavlc_put(&cv, 1, 1);            /* direct_8x8_inference_flag */

    conduit_h264_crop(h, &cv);

    conduit_cavlc_put(&cv, 1, 1);            /* VUI */
    conduit_cavlc_put(&cv, 1, 0);            /* no aspect ratio */
    conduit_cavlc_put(&cv, 1, 0);            /* no overscan */
    conduit_cavlc_put(&cv, 1, 1);            /* video signal type: */
    conduit_cavlc_put(&cv, 3, 5);            /* format unspecified, */
    conduit_cavlc_put(&cv, 1, 0);            /* limited range, */
    conduit_cavlc_put(&cv, 1, 1);            /* BT.709: primaries, */
    conduit_cavlc_put(&cv, 8, 1);
    conduit_cavlc_put(&cv, 8, 1);            /* transfer, */
    conduit_cavlc_put(&cv, 8, 1);            /* matrix */
    conduit_cavlc_put(&cv, 6, 0);            /* nothing else */

    return conduit_cavlc_end(&cv);
}


/* in units of two pixels, off the right and the bottom */

static void
conduit_h264_crop(const conduit_h264_t *h, conduit_cavlc_t *cv)
{
    uint32_t  right, bottom;

    right = (h->mb_width * 16 - h->width) / 2;
    bottom = (h->mb_height * 16 - h->height) / 2;

    if (right == 0 && bottom == 0) {
        conduit_cavlc_put(cv, 1, 0);
        return;
    }

    conduit_cavlc_put(cv, 1, 1);
    conduit_cavlc_ue(cv, 0);
    conduit_cavlc_ue(cv, right);
    conduit_cavlc_ue(cv, 0);
    conduit_cavlc_ue(cv, bottom);
}


int
conduit_h264_pps(conduit_blob_t *out)
{
    conduit_cavlc_t  cv;

    conduit_cavlc_start(&cv, out, CONDUIT_H264_NAL_PPS);

    conduit_cavlc_ue(&cv, 0);                /* pic_parameter_set_id */
    conduit_cavlc_ue(&cv, 0);                /* seq_parameter_set_id */
    conduit_cavlc_put(&cv, 1, 0);            /* CAVLC */
    conduit_cavlc_put(&cv, 1, 0);            /* no delta_pic_order_cnt */
    conduit_cavlc_ue(&cv, 0);                /* one slice group */
    conduit_cavlc_ue(&cv, 0);                /* one reference in list 0 */
    conduit_cavlc_ue(&cv, 0);
    conduit_cavlc_put(&cv, 1, 0);            /* no weighted prediction */
    conduit_cavlc_put(&cv, 2, 0);
    conduit_cavlc_se(&cv, CONDUIT_H264_QP - 26);
    conduit_cavlc_se(&cv, 0);                /* pic_init_qs */
    conduit_cavlc_se(&cv, 0);                /* chroma_qp_index_offset */
    conduit_cavlc_put(&cv, 1, 1);            /* deblocking is in the slice */
    conduit_cavlc_put(&cv, 1, 0);            /* unconstrained intra */
    conduit_cavlc_put(&cv, 1, 0);            /* no redundant pictures */

    return conduit_cavlc_end(&cv);
}


int
conduit_h264_picture(conduit_h264_t *h, conduit_blob_t *out,
    const conduit_h264_frame_t *frame, int key)
{
    conduit_h264_slice_t  slice;

    slice.frame = frame;
    slice.key = key;
    slice.skipped = 0;

    conduit_cavlc_start(&slice.cv, out, key ? CONDUIT_H264_NAL_IDR
                                            : CONDUIT_H264_NAL_P);
    conduit_h264_header(h, &slice);

    for (slice.y = 0; slice.y < h->mb_height; slice.y++) {

        for (slice.x = 0; slice.x < h->mb_width; slice.x++) {

            if (!key && conduit_h264_same(h, &slice)) {
                slice.skipped++;
                continue;
            }

            if (!key) {
                conduit_cavlc_ue(&slice.cv, slice.skipped);
                slice.skipped = 0;
            }

            conduit_h264_macroblock(h, &slice);
        }
    }

    if (slice.skipped) {
        conduit_cavlc_ue(&slice.cv, slice.skipped);
    }

    return conduit_cavlc_end(&slice.cv);
}


static void
conduit_h264_header(conduit_h264_t *h, conduit_h264_slice_t *slice)
{
    conduit_cavlc_t  *cv;

    cv = &slice->cv;

    h->frame_num = slice->key ? 0 : (h->frame_num + 1) & 15;

    conduit_cavlc_ue(cv, 0);                 /* first_mb_in_slice */
    conduit_cavlc_ue(cv, slice->key ? 7 : 5);
    conduit_cavlc_ue(cv, 0);                 /* pic_parameter_set_id */
    conduit_cavlc_put(cv, 4, h->frame_num);

    if (slice->key) {
        conduit_cavlc_ue(cv, h->idr & 1);    /* differs from the last one's */
        conduit_cavlc_put(cv, 2, 0);         /* reference marking */
        h->idr++;

    } else {
        conduit_cavlc_put(cv, 1, 0);         /* no override of references */
        conduit_cavlc_put(cv, 1, 0);         /* list 0 as it is */
        conduit_cavlc_put(cv, 1, 0);         /* sliding window */
    }

    conduit_cavlc_se(cv, 0);                 /* slice_qp_delta */

    /*
     * no deblocking: it would leave blocks that are not flat, which the
     * prediction of the next ones relies on
     */

    conduit_cavlc_ue(cv, 1);
}


static int
conduit_h264_same(const conduit_h264_t *h, const conduit_h264_slice_t *slice)
{
    size_t  luma, chroma, stride;

    stride = (size_t) h->mb_width * 4;
    luma = slice->y * 4 * stride + slice->x * 4;
    chroma = slice->y * stride + slice->x * 2;

    return conduit_h264_near(slice->frame->luma + luma, h->luma + luma,
                             stride, 4)
           && conduit_h264_near(slice->frame->cb + chroma, h->cb + chroma,
                                stride / 2, 2)
           && conduit_h264_near(slice->frame->cr + chroma, h->cr + chroma,
                                stride / 2, 2);
}


static int
conduit_h264_near(const u_char *a, const u_char *b, size_t stride, uint32_t n)
{
    uint32_t  i, j;

    for (i = 0; i < n; i++, a += stride, b += stride) {

        for (j = 0; j < n; j++) {

            if (abs(a[j] - b[j]) >= CONDUIT_H264_SKIP) {
                return 0;
            }
        }
    }

    return 1;
}


static void
conduit_h264_macroblock(conduit_h264_t *h, conduit_h264_slice_t *slice)
{
    int               chroma;
    size_t            at, half, stride;
    int32_t           luma[16], cb[4], cr[4];
    uint32_t          mode;
    conduit_cavlc_t  *cv;

    cv = &slice->cv;
    mode = conduit_h264_mode(h, slice);

    stride = (size_t) h->mb_width * 4;
    at = slice->y * 4 * stride + slice->x * 4;
    half = slice->y * stride + slice->x * 2;

    conduit_h264_luma(slice->frame->luma + at, h->luma + at, stride, mode,
                      luma);

    chroma = conduit_h264_chroma(slice->frame->cb + half, h->cb + half,
                                 stride / 2, mode, cb);
    chroma |= conduit_h264_chroma(slice->frame->cr + half, h->cr + half,
                                  stride / 2, mode, cr);

    /* I_16x16_<mode>_<chroma>_0, tables 7-11 and 7-13 */

    conduit_cavlc_ue(cv, (slice->key ? 1 : 6) + mode + (chroma ? 4 : 0));

    /* intra_chroma_pred_mode numbers the same three otherwise */

    conduit_cavlc_ue(cv, 2 - mode);
    conduit_cavlc_se(cv, 0);                 /* mb_qp_delta */

    conduit_cavlc_block(cv, luma, 16);

    if (chroma) {
        conduit_cavlc_block(cv, cb, 4);
        conduit_cavlc_block(cv, cr, 4);
    }
}


/* the neighbour that predicts luma better; DC without any is 128 */

static uint32_t
conduit_h264_mode(const conduit_h264_t *h, const conduit_h264_slice_t *slice)
{
    size_t         stride;
    int32_t        left, above;
    uint32_t       i, j;
    const u_char  *want, *have;

    if (slice->x == 0) {
        return slice->y == 0 ? CONDUIT_H264_DC : CONDUIT_H264_VERTICAL;
    }

    if (slice->y == 0) {
        return CONDUIT_H264_HORIZONTAL;
    }

    stride = (size_t) h->mb_width * 4;
    want = slice->frame->luma + slice->y * 4 * stride + slice->x * 4;
    have = h->luma + slice->y * 4 * stride + slice->x * 4;

    left = 0;
    above = 0;

    for (i = 0; i < 4; i++) {

        for (j = 0; j < 4; j++) {
            left += abs(want[i * stride + j] - *(have + i * stride - 1));
            above += abs(want[i * stride + j] - *(have + j - stride));
        }
    }

    return left <= above ? CONDUIT_H264_HORIZONTAL : CONDUIT_H264_VERTICAL;
}


/* the n values that predict the rows, or the columns, of n x n blocks */

static void
conduit_h264_predict(const u_char *p, size_t stride, uint32_t n,
    uint32_t mode, int32_t *pred)
{
    uint32_t  i;

    for (i = 0; i < n; i++) {

        switch (mode) {

        case CONDUIT_H264_HORIZONTAL:
            pred[i] = *(p + i * stride - 1);
            break;

        case CONDUIT_H264_VERTICAL:
            pred[i] = *(p + i - stride);
            break;

        default:
            pred[i] = 128;
        }
    }
}


static void
conduit_h264_luma(const u_char *want, u_char *have, size_t stride,
    uint32_t mode, int32_t coeff[16])
{
    int32_t   m[16], pred[4], base;
    uint32_t  i, j;

    conduit_h264_predict(have, stride, 4, mode, pred);

    for (i = 0; i < 16; i++) {
        base = pred[mode == CONDUIT_H264_VERTICAL ? i & 3 : i >> 2];
        m[i] = want[(i >> 2) * stride + (i & 3)] - base;
    }

    conduit_h264_hadamard(m);

    for (i = 0; i < 16; i++) {
        m[i] = conduit_h264_round(m[i], 8);
    }

    for (i = 0; i < 16; i++) {
        coeff[i] = m[conduit_h264_zigzag[i]];
    }

    /* and what a decoder makes of it */

    conduit_h264_hadamard(m);

    for (i = 0; i < 4; i++) {

        for (j = 0; j < 4; j++) {
            base = pred[mode == CONDUIT_H264_VERTICAL ? j : i];
            have[i * stride + j] =
                          conduit_h264_clip(base + ((m[i * 4 + j] + 1) >> 1));
        }
    }
}


/* are there coefficients other than zero? */

static int
conduit_h264_chroma(const u_char *want, u_char *have, size_t stride,
    uint32_t mode, int32_t coeff[4])
{
    int32_t   m[4], pred[2], base;
    uint32_t  i, j;

    conduit_h264_predict(have, stride, 2, mode, pred);

    for (i = 0; i < 4; i++) {
        base = pred[mode == CONDUIT_H264_VERTICAL ? i & 1 : i >> 1];
        m[i] = want[(i >> 1) * stride + (i & 1)] - base;
    }

    conduit_h264_hadamard2(m);

    for (i = 0; i < 4; i++) {
        m[i] = conduit_h264_round(m[i], 4);
        coeff[i] = m[i];
    }

    conduit_h264_hadamard2(m);

    for (i = 0; i < 2; i++) {

        for (j = 0; j < 2; j++) {
            base = pred[mode == CONDUIT_H264_VERTICAL ? j : i];
            have[i * stride + j] = conduit_h264_clip(base + m[i * 2 + j]);
        }
    }

    return coeff[0] || coeff[1] || coeff[2] || coeff[3];
}


/* rows, then columns; the matrix is its own inverse but for a factor of 4 */

static void
conduit_h264_hadamard(int32_t m[16])
{
    int32_t   a, b, c, d, *p;
    uint32_t  i, step;

    for (i = 0; i < 8; i++) {
        p = i < 4 ? m + i * 4 : m + i - 4;
        step = i < 4 ? 1 : 4;

        a = p[0] + p[step];
        b = p[0] - p[step];
        c = p[2 * step] + p[3 * step];
        d = p[2 * step] - p[3 * step];

        p[0] = a + c;
        p[step] = a - c;
        p[2 * step] = b - d;
        p[3 * step] = b + d;
    }
}


static void
conduit_h264_hadamard2(int32_t m[4])
{
    int32_t  a, b, c, d;

    a = m[0] + m[1];
    b = m[0] - m[1];
    c = m[2] + m[3];
    d = m[2] - m[3];

    m[0] = a + c;
    m[1] = b + d;
    m[2] = a - c;
    m[3] = b - d;
}


static int32_t
conduit_h264_round(int32_t n, int32_t by)
{
    return n < 0 ? -((-n + by / 2) / by) : (n + by / 2) / by;
}


static u_char
conduit_h264_clip(int32_t n)
{
    return (u_char) (n < 0 ? 0 : n > 255 ? 255 : n);
}
