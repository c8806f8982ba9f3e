
/*
 * Copyright (C) Conduit for nginx authors
 */


#ifndef _CONDUIT_JWE_H_INCLUDED_
#define _CONDUIT_JWE_H_INCLUDED_


#include "conduit.h"


/*
 * Encryption of webhook payloads: JWE (RFC 7516) in its compact form, "alg"
 * ECDH-ES+A256KW (RFC 7518, 4.6) to an elliptic curve key, "enc" A256GCM
 * (5.3).
 */

#define CONDUIT_JWK_COORD_MAX  66        /* bytes, P-521 */
#define CONDUIT_JWK_KID_MAX    256       /* bytes of JSON text */
#define CONDUIT_JWK_TEXT_MAX   65536

/* what is random in one message: ephemeral key, content key, vector */

#define CONDUIT_JWE_RANDOM     (74 + 32 + 12)


/* a public key that was checked: a plain value that may be copied */

typedef struct {
    unsigned  curve;                     /* 0: no key */
    size_t    size;                      /* of a coordinate */
    u_char    x[CONDUIT_JWK_COORD_MAX];
    u_char    y[CONDUIT_JWK_COORD_MAX];
    size_t    kid_len;                   /* 0: none */
    u_char    kid[CONDUIT_JWK_KID_MAX];  /* JSON text, with its quotes */
} conduit_jwk_t;


/*
 * Reads a JSON Web Key (RFC 7517): the public half of an EC key on P-256,
 * P-384 or P-521, whose point lies on the curve.  "use" must be "enc" and
 * "alg" be "ECDH-ES+A256KW", where given; private and symmetric keys are
 * refused.  Returns CONDUIT_OK, or CONDUIT_ERROR with what is wrong in *why, a
 * constant that goes on after "the key".
 */
int conduit_jwk_parse(conduit_jwk_t *jwk, const u_char *p, size_t len,
    const char **why);

/* the most that conduit_jwe_encrypt() writes for a text of len bytes */
size_t conduit_jwe_size(const conduit_jwk_t *jwk, size_t len);

/*
 * Encrypts a text; its content type is application/json.  rnd is
 * CONDUIT_JWE_RANDOM bytes that are used for nothing else.  dst has room for
 * conduit_jwe_size() bytes.  Returns the end, or NULL on lack of memory.
 */
u_char *conduit_jwe_encrypt(u_char *dst, const conduit_jwk_t *jwk,
    const u_char *p, size_t len, const u_char *rnd);


#endif /* _CONDUIT_JWE_H_INCLUDED_ */
