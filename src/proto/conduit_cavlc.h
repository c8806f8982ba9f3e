
/*
 * Copyright (C) Conduit for nginx authors
 */


#ifndef _CONDUIT_CAVLC_H_INCLUDED_
#define _CONDUIT_CAVLC_H_INCLUDED_


#include "conduit.h"
#include "conduit_blob.h"


/*
 * Bits of an H.264 NAL unit (ITU-T H.264, 7.3, 9.1, 9.2): fixed length and
 * Exp-Golomb codes, and residual blocks by CAVLC.  Emulation prevention
 * (7.4.1) is done as bytes leave.  A failure of the blob sticks in rc and
 * what is put later goes nowhere, so rc needs to be looked at only once, at
 * the end.
 */

typedef struct {
    conduit_blob_t  *out;
    uint64_t         bits;
    uint32_t         n;                      /* of them not yet written */
    uint32_t         zeros;                  /* zero bytes in a row */
    int              rc;
} conduit_cavlc_t;


/* Begins a NAL unit with its header byte. */
void conduit_cavlc_start(conduit_cavlc_t *cv, conduit_blob_t *out,
    u_char header);

/* The low n bits of value, n 0 .. 32. */
void conduit_cavlc_put(conduit_cavlc_t *cv, uint32_t n, uint32_t value);

/* ue(v) for 0 .. 65534, se(v) for -32767 .. 32767 */
void conduit_cavlc_ue(conduit_cavlc_t *cv, uint32_t value);
void conduit_cavlc_se(conduit_cavlc_t *cv, int32_t value);

/*
 * A residual block in scan order: 16 coefficients with nC = 0, or the 4 of
 * chroma DC (nC = -1).  Levels are -2000 .. 2000.
 */
void conduit_cavlc_block(conduit_cavlc_t *cv, const int32_t *coeff,
    uint32_t max);

/*
 * The stop bit and the rest of the last byte.
 *
 * CONDUIT_OK
 * CONDUIT_DECLINED, CONDUIT_ERROR  as conduit_blob_append() said
 */
int conduit_cavlc_end(conduit_cavlc_t *cv);


#endif /* _CONDUIT_CAVLC_H_INCLUDED_ */
