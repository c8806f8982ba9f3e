
/*
 * Copyright (C) Conduit for nginx authors
 */


#ifndef _CONDUIT_SIGNATURE_H_INCLUDED_
#define _CONDUIT_SIGNATURE_H_INCLUDED_


#include "conduit.h"


/*
 * Signatures of webhooks by Standard Webhooks 1.0.0, symmetric ("v1"):
 * HMAC-SHA256 over "ID.TIMESTAMP.BODY", in base64.
 */

#define CONDUIT_SECRET_MIN      24       /* bytes */
#define CONDUIT_SECRET_MAX      64
#define CONDUIT_SECRET_TEXT_MAX 94       /* "whsec_" and 64 bytes in base64 */

/* "v1," and 32 bytes in base64 */

#define CONDUIT_SIGNATURE_LEN   47

/* a list of n signatures, separated by one blank each */

#define conduit_signature_size(n)  ((n) * (CONDUIT_SIGNATURE_LEN + 1))


/*
 * Reads a secret in its text form, "whsec_" and the base64 (RFC 4648, 4; with
 * its padding or without) of 24 to 64 bytes.  secret has room for
 * CONDUIT_SECRET_MAX bytes.  Returns CONDUIT_OK with the number of bytes in
 * *n, or CONDUIT_ERROR.
 */
int conduit_secret_parse(u_char *secret, size_t *n, const u_char *p,
    size_t len);

/*
 * Signs one message with one secret.  id is the webhook-id, which has no dot;
 * timestamp is the second of the attempt; body is what is sent, byte for byte,
 * in one part or more.  Nothing is copied.  dst has room for
 * CONDUIT_SIGNATURE_LEN bytes.  Returns the end, or NULL if the digest cannot
 * be made.
 */
u_char *conduit_signature_write(u_char *dst, const conduit_str_t *secret,
    const conduit_str_t *id, int64_t timestamp, const conduit_str_t *body,
    size_t nbody);


#endif /* _CONDUIT_SIGNATURE_H_INCLUDED_ */
