
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <stdio.h>
#include <stdlib.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <jansson.h>

#include "conduit_jwe.h"
#include "jwe_open.h"
#include "tap.h"


static void test_keys(void);
static void test_header(void);
static void test_curves(void);
static void test_sizes(void);
static void test_random(void);
static size_t encrypt(u_char *dst, const conduit_jwk_t *jwk, const char *text,
    size_t len, u_char first);


/* RFC 7517, appendix A.1, whose private half is in A.2 */

#define X  "\"x\":\"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4\""
#define Y  "\"y\":\"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM\""
#define D  "870MB6gfuTJ4HtUnUvYMyJpr5eUZNP4Bk43bVdj3eAE"
#define EC "\"kty\":\"EC\",\"crv\":\"P-256\""

static const char  *rfc = "{" EC "," X "," Y ",\"use\":\"enc\",\"kid\":\"1\"}";


int
main(void)
{
    test_keys();
    test_header();
    test_curves();
    test_sizes();
    test_random();

    return done_testing();
}


static void
test_keys(void)
{
    size_t          i;
    char           *text;
    const char     *why;
    conduit_jwk_t   jwk;

    static const struct {
        const char  *text;
        const char  *why;         /* NULL: taken */
    } keys[] = {
        { "{" EC "," X "," Y "}", NULL },
        { " {" EC "," X "," Y ",\"alg\":\"ECDH-ES+A256KW\"}\n", NULL },
        { "{" EC "," X "," Y ",\"kid\":\"a \\\"key\\\" \\u20ac\"}", NULL },
        { "{" EC "," X "," Y ",\"ext\":true,\"key_ops\":[]}", NULL },
        { "", "JSON object" }, { "{", "JSON object" },
        { "[]", "JSON object" }, { "\"a\"", "JSON object" },
        { "null", "JSON object" },
        { "{" EC "," X "," Y ",\"use\":\"enc\",\"use\":\"enc\"}", "JSON obj" },
        { "{}", "\"kty\" of \"EC\"" },
        { "{\"kty\":\"RSA\"}", "\"kty\" of \"EC\"" },
        { "{\"kty\":1}", "\"kty\" of \"EC\"" },
        { "{\"kty\":\"oct\",\"k\":\"AA\"}", "public half only" },
        { "{" EC "," X "," Y ",\"d\":\"" D "\"}", "public half only" },
        { "{" EC "," X "," Y ",\"use\":\"sig\"}", "\"use\" of \"enc\"" },
        { "{" EC "," X "," Y ",\"use\":null}", "\"use\" of \"enc\"" },
        { "{" EC "," X "," Y ",\"alg\":\"ECDH-ES\"}", "ECDH-ES+A256KW" },
        { "{" EC "," X "," Y ",\"alg\":\"ES256\"}", "ECDH-ES+A256KW" },
        { "{\"kty\":\"EC\"," X "," Y "}", "\"P-256\", \"P-384\" or" },
        { "{\"kty\":\"EC\",\"crv\":\"secp256k1\"," X "," Y "}", "\"P-256\"" },
        { "{\"kty\":\"EC\",\"crv\":\"P-384\"," X "," Y "}", "\"x\" and \"y\"" },
        { "{" EC "," X "}", "\"x\" and \"y\"" },
        { "{" EC "," X ",\"y\":7}", "\"x\" and \"y\"" },
        { "{" EC "," X ",\"y\":\"\"}", "\"x\" and \"y\"" },
        { "{" EC ",\"x\":\"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4=\"," Y
          "}", "\"x\" and \"y\"" },
        { "{" EC ",\"x\":\"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D+\"," Y
          "}", "\"x\" and \"y\"" },
        { "{" EC ",\"x\":\"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D5\"," Y
          "}", "\"x\" and \"y\"" },
        { "{" EC ",\"x\":\"NKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4\"," Y
          "}", "lies on its curve" },
        { "{" EC ",\"x\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\","
          "\"y\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"}",
          "lies on its curve" },
        { "{" EC ",\"x\":\"_____________________________________________w\","
          "\"y\":\"_____________________________________________w\"}",
          "\"x\" and \"y\"" },
        { "{" EC ",\"x\":\"__________________________________________8\","
          "\"y\":\"__________________________________________8\"}",
          "lies on its curve" },
        { "{" EC "," X "," Y ",\"kid\":7}", "\"kid\"" }
    };

    for (i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        why = NULL;

        is_num(conduit_jwk_parse(&jwk, (const u_char *) keys[i].text,
                                 strlen(keys[i].text), &why),
               keys[i].why ? CONDUIT_ERROR : CONDUIT_OK, "key %zu: %s", i,
               keys[i].text);

        if (keys[i].why) {
            ok(why && strstr(why, keys[i].why), "%s", why ? why : "no reason");
            is_num(jwk.curve, 0, "nothing of it is left");
        }
    }

    text = malloc(CONDUIT_JWK_TEXT_MAX + 1);

    if (text) {
        memset(text, ' ', CONDUIT_JWK_TEXT_MAX + 1);
        memcpy(text, rfc, strlen(rfc));
        is_num(conduit_jwk_parse(&jwk, (u_char *) text, CONDUIT_JWK_TEXT_MAX,
                                 &why),
               CONDUIT_OK, "64 KB are taken");
        is_num(conduit_jwk_parse(&jwk, (u_char *) text,
                                 CONDUIT_JWK_TEXT_MAX + 1, &why),
               CONDUIT_ERROR, "more are not");
        free(text);
    }
}


static size_t
encrypt(u_char *dst, const conduit_jwk_t *jwk, const char *text, size_t len,
    u_char first)
{
    int      i;
    u_char   rnd[CONDUIT_JWE_RANDOM], *end;

    for (i = 0; i < CONDUIT_JWE_RANDOM; i++) {
        rnd[i] = (u_char) (first + 7 * i);
    }

    end = conduit_jwe_encrypt(dst, jwk, (const u_char *) text, len, rnd);

    return end ? (size_t) (end - dst) : 0;
}


static void
test_header(void)
{
    size_t          n, len;
    u_char          dst[2048], header[1024], plain[256];
    const char     *why;
    conduit_jwk_t   jwk;

    static const char  *payload = "{\"task_id\":\"x\",\"status\":\"failed\"}";
    static const char  *begin = "{\"alg\":\"ECDH-ES+A256KW\","
        "\"enc\":\"A256GCM\",\"cty\":\"application/json\",\"kid\":\"1\","
        "\"epk\":{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"";

    (void) conduit_jwk_parse(&jwk, (const u_char *) rfc, strlen(rfc), &why);

    n = encrypt(dst, &jwk, payload, strlen(payload), 1);

    ok(n > 0 && n <= conduit_jwe_size(&jwk, strlen(payload)),
       "%zu bytes of at most %zu", n, conduit_jwe_size(&jwk,
                                                       strlen(payload)));

    len = jwe_part(header, dst, n, 0);
    is_mem(header, strlen(begin), begin, strlen(begin),
           "the members of the header, in their order");
    is_mem(header + len - 3, 3, "\"}}", 3, "and its end");

    len = jwe_open(plain, dst, n, D);
    is_mem(plain, len, payload, strlen(payload), "it can be opened");

    dst[n - 1] ^= 1;
    is_num(jwe_open(plain, dst, n, D), 0, "a changed tag cannot");
    dst[n - 1] ^= 1;
    dst[3] ^= 1;
    is_num(jwe_open(plain, dst, n, D), 0, "nor a changed header");

    jwk.kid_len = 0;
    n = encrypt(dst, &jwk, payload, strlen(payload), 1);
    len = jwe_part(header, dst, n, 0);
    header[len] = '\0';
    ok(strstr((char *) header, "kid") == NULL, "no kid of a key without one");
    len = jwe_open(plain, dst, n, D);
    is_mem(plain, len, payload, strlen(payload), "it can be opened");
}


static void
test_curves(void)
{
    size_t          i, n, len;
    char            d[128], text[512];
    u_char          dst[2048], plain[256];
    const char     *why;
    conduit_jwk_t   jwk;

    static const char  *curves[] = { "P-256", "P-384", "P-521" };

    for (i = 0; i < sizeof(curves) / sizeof(curves[0]); i++) {

        if (!ok(jwe_generate(text, sizeof(text), d, curves[i]),
                "a key on %s", curves[i]))
        {
            continue;
        }

        is_num(conduit_jwk_parse(&jwk, (u_char *) text, strlen(text), &why),
               CONDUIT_OK, "it is taken: %s", text);

        n = encrypt(dst, &jwk, "payload", 7, (u_char) i);
        ok(n > 0 && n <= conduit_jwe_size(&jwk, 7), "it encrypts");

        len = jwe_open(plain, dst, n, d);
        is_mem(plain, len, "payload", 7, "and its owner can read it");
    }
}


static void
test_sizes(void)
{
    size_t          i, n, len, wrong;
    char           *text;
    u_char         *dst, *plain;
    const char     *why;
    conduit_jwk_t   jwk;

    static const size_t  sizes[] = {
        0, 1, 2, 3, 4, 15, 16, 17, 20000, 262144
    };

    (void) conduit_jwk_parse(&jwk, (const u_char *) rfc, strlen(rfc), &why);

    wrong = 0;

    for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        len = sizes[i];

        text = malloc(len + 1);
        plain = malloc(len + 16);
        dst = malloc(conduit_jwe_size(&jwk, len));

        if (text == NULL || plain == NULL || dst == NULL) {
            wrong++;
            free(text);
            free(plain);
            free(dst);
            continue;
        }

        memset(text, 'x', len);

        n = encrypt(dst, &jwk, text, len, 3);

        wrong += n == 0 || n > conduit_jwe_size(&jwk, len);
        wrong += jwe_open(plain, dst, n, D) != len;
        wrong += memcmp(plain, text, len) != 0;

        free(text);
        free(plain);
        free(dst);
    }

    is_num(wrong, 0, "texts of all sizes fit in what is told");
}


/* what is random decides about everything, and nothing else does */

static void
test_random(void)
{
    size_t          n, m;
    u_char          a[1024], b[1024], rnd[CONDUIT_JWE_RANDOM], *end;
    u_char          plain[64];
    const char     *why;
    conduit_jwk_t   jwk;

    (void) conduit_jwk_parse(&jwk, (const u_char *) rfc, strlen(rfc), &why);

    n = encrypt(a, &jwk, "text", 4, 1);
    m = encrypt(b, &jwk, "text", 4, 1);
    is_mem(a, n, b, m, "the same twice");

    m = encrypt(b, &jwk, "text", 4, 2);
    ok(n != m || memcmp(a, b, n) != 0, "and another one");

    /* the border cases of what a scalar is made from */

    memset(rnd, 0, sizeof(rnd));
    end = conduit_jwe_encrypt(a, &jwk, (const u_char *) "text", 4, rnd);
    ok(end && jwe_open(plain, a, (size_t) (end - a), D) == 4, "all zeros");

    memset(rnd, 0xff, sizeof(rnd));
    end = conduit_jwe_encrypt(a, &jwk, (const u_char *) "text", 4, rnd);
    ok(end && jwe_open(plain, a, (size_t) (end - a), D) == 4, "all ones");
}
