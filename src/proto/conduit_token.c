
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "conduit_token.h"
#include "conduit_media.h"


#define CONDUIT_TOKEN_VERSION  2
#define CONDUIT_TOKEN_FIXED    43        /* version, hub, flags, time, ids */
#define CONDUIT_TOKEN_MAC      32
#define CONDUIT_TOKEN_SKEW     5000      /* ms that clocks may differ */


static int conduit_token_sign(u_char *mac, const u_char *p, size_t len,
    const u_char *secret);
static size_t conduit_token_encode(u_char *dst, const u_char *p, size_t len);
static int conduit_token_decode(u_char *buf, size_t *n,
    const conduit_str_t *text);


size_t
conduit_token_write(u_char *dst, const conduit_token_t *token,
    const u_char *secret)
{
    int      i;
    size_t   len;
    u_char  *p, buf[CONDUIT_TOKEN_BUF];

    if (token->key.len == 0 || token->key.len > CONDUIT_TOKEN_KEY_MAX) {
        return 0;
    }

    p = buf;

    *p++ = CONDUIT_TOKEN_VERSION;
    *p++ = token->hub;
    *p++ = token->flags;

    for (i = 56; i >= 0; i -= 8) {
        *p++ = (uint64_t) token->issued >> i & 0xff;
    }

    memcpy(p, token->id, CONDUIT_TOKEN_ID);
    p += CONDUIT_TOKEN_ID;

    memcpy(p, token->from, CONDUIT_TOKEN_ID);
    p += CONDUIT_TOKEN_ID;

    memcpy(p, token->key.data, token->key.len);
    p += token->key.len;

    len = p - buf;

    if (conduit_token_sign(p, buf, len, secret) != CONDUIT_OK) {
        return 0;
    }

    return conduit_token_encode(dst, buf, len + CONDUIT_TOKEN_MAC);
}


int
conduit_token_read(conduit_token_t *token, u_char *buf,
    const conduit_str_t *text, const u_char *secret, int64_t now,
    int64_t max_age)
{
    int       i;
    size_t    len;
    u_char   *p, mac[CONDUIT_TOKEN_MAC];
    uint64_t  issued;

    if (conduit_token_decode(buf, &len, text) != CONDUIT_OK
        || len <= CONDUIT_TOKEN_FIXED + CONDUIT_TOKEN_MAC)
    {
        return CONDUIT_DECLINED;
    }

    len -= CONDUIT_TOKEN_MAC;

    /* nothing is looked at before the signature is known to be good */

    if (conduit_token_sign(mac, buf, len, secret) != CONDUIT_OK
        || CRYPTO_memcmp(mac, buf + len, CONDUIT_TOKEN_MAC) != 0)
    {
        return CONDUIT_DECLINED;
    }

    p = buf;

    if (*p++ != CONDUIT_TOKEN_VERSION) {
        return CONDUIT_DECLINED;
    }

    token->hub = *p++;
    token->flags = *p++;

    for (i = 0, issued = 0; i < 8; i++) {
        issued = issued << 8 | *p++;
    }

    token->issued = issued;

    memcpy(token->id, p, CONDUIT_TOKEN_ID);
    p += CONDUIT_TOKEN_ID;

    memcpy(token->from, p, CONDUIT_TOKEN_ID);
    p += CONDUIT_TOKEN_ID;

    token->key.data = p;
    token->key.len = len - CONDUIT_TOKEN_FIXED;

    if (token->issued > now + CONDUIT_TOKEN_SKEW
        || (max_age && token->issued < now - max_age))
    {
        return CONDUIT_DECLINED;
    }

    return CONDUIT_OK;
}


void
conduit_token_id(u_char *dst, const u_char *id)
{
    (void) conduit_token_encode(dst, id, CONDUIT_TOKEN_ID);
}


int
conduit_token_id_read(u_char *id, const conduit_str_t *text)
{
    size_t  len;
    u_char  buf[CONDUIT_TOKEN_BUF];

    if (text->len != CONDUIT_TOKEN_ID_LEN
        || conduit_token_decode(buf, &len, text) != CONDUIT_OK)
    {
        return CONDUIT_DECLINED;
    }

    memcpy(id, buf, CONDUIT_TOKEN_ID);

    return CONDUIT_OK;
}


static int
conduit_token_sign(u_char *mac, const u_char *p, size_t len,
    const u_char *secret)
{
    if (HMAC(EVP_sha256(), secret, CONDUIT_TOKEN_SECRET, p, len, mac, NULL)
        == NULL)
    {
        return CONDUIT_ERROR;
    }

    return CONDUIT_OK;
}


static size_t
conduit_token_encode(u_char *dst, const u_char *p, size_t len)
{
    size_t  i, n;
    u_char  buf[conduit_base64_encoded_len(CONDUIT_TOKEN_BUF)];

    n = conduit_base64_encode(buf, p, len);

    while (n && buf[n - 1] == '=') {
        n--;
    }

    for (i = 0; i < n; i++) {
        dst[i] = (buf[i] == '+') ? '-' : (buf[i] == '/') ? '_' : buf[i];
    }

    return n;
}


/* one text for each token: neither padding nor the standard alphabet */

static int
conduit_token_decode(u_char *buf, size_t *n, const conduit_str_t *text)
{
    size_t  i, len;
    u_char  ch, copy[CONDUIT_TOKEN_MAX + 2];

    len = text->len;

    if (len > CONDUIT_TOKEN_MAX || len % 4 == 1) {
        return CONDUIT_DECLINED;
    }

    for (i = 0; i < len; i++) {
        ch = text->data[i];

        if (ch == '+' || ch == '/' || ch == '=') {
            return CONDUIT_DECLINED;
        }

        copy[i] = (ch == '-') ? '+' : (ch == '_') ? '/' : ch;
    }

    while (len % 4) {
        copy[len++] = '=';
    }

    return conduit_base64_decode(buf, n, copy, len);
}
