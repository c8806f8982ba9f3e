
/*
 * Copyright (C) Conduit for nginx authors
 */


#ifndef _CONDUIT_JWE_KEY_H_INCLUDED_
#define _CONDUIT_JWE_KEY_H_INCLUDED_


/* Between the files of JWE: what knows curves, and what knows the format. */


#include "conduit_jwe.h"


/* 8 bytes more than the largest order, so that no residue stands out */

#define CONDUIT_JWK_SEED  74


/* an ephemeral public key, and the x of what both sides can compute */

typedef struct {
    size_t  size;                        /* of a coordinate */
    u_char  x[CONDUIT_JWK_COORD_MAX];
    u_char  y[CONDUIT_JWK_COORD_MAX];
    u_char  secret[CONDUIT_JWK_COORD_MAX];
} conduit_jwe_agreed_t;


/* the "crv" of a key */
const char *conduit_jwk_curve(const conduit_jwk_t *jwk);

/*
 * Makes an ephemeral key from CONDUIT_JWK_SEED random bytes and agrees with
 * the public one (RFC 7518, 4.6; NIST SP 800-56A, 6.2.2.2).  Returns
 * CONDUIT_OK or CONDUIT_ERROR.
 */
int conduit_jwe_agree(conduit_jwe_agreed_t *agreed, const conduit_jwk_t *jwk,
    const u_char *seed);


#endif /* _CONDUIT_JWE_KEY_H_INCLUDED_ */
