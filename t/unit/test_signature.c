
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <stdio.h>

#include "conduit_signature.h"
#include "tap.h"


static void test_secrets(void);
static void test_vectors(void);
static void test_lengths(void);
static conduit_str_t text_of(const char *p);


int
main(void)
{
    test_secrets();
    test_vectors();
    test_lengths();

    return done_testing();
}


static conduit_str_t
text_of(const char *p)
{
    conduit_str_t  s;

    s.data = (u_char *) p;
    s.len = strlen(p);

    return s;
}


static void
test_secrets(void)
{
    size_t  i, n;
    u_char  secret[CONDUIT_SECRET_MAX];

    static const struct {
        const char  *text;
        int          rc;
        size_t       n;
    } secrets[] = {
        { "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", CONDUIT_OK, 24 },
        { "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA==", CONDUIT_OK, 25 },
        { "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", CONDUIT_OK, 25 },
        { "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", CONDUIT_OK, 29 },
        { "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
          "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", CONDUIT_ERROR, 0 },
        { "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
          "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", CONDUIT_ERROR, 0 },
        { "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
          "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAA==", CONDUIT_OK, 64 },
        { "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
          "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", CONDUIT_OK, 64 },
        { "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS", CONDUIT_ERROR, 0 },
        { "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw=", CONDUIT_ERROR, 0 },
        { "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", CONDUIT_ERROR, 0 },
        { "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLa_w", CONDUIT_ERROR, 0 },
        { "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLa w", CONDUIT_ERROR, 0 },
        { "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", CONDUIT_ERROR, 0 },
        { "WHSEC_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", CONDUIT_ERROR, 0 },
        { "whsec_", CONDUIT_ERROR, 0 },
        { "whsec", CONDUIT_ERROR, 0 },
        { "", CONDUIT_ERROR, 0 }
    };

    for (i = 0; i < sizeof(secrets) / sizeof(secrets[0]); i++) {
        is_num(conduit_secret_parse(secret, &n,
                                    (const u_char *) secrets[i].text,
                                    strlen(secrets[i].text)),
               secrets[i].rc, "secret \"%s\"", secrets[i].text);

        if (secrets[i].rc == CONDUIT_OK) {
            is_num(n, secrets[i].n, "its length");
        }
    }
}


/* the first is the standard's own, all were made by Python's hmac as well */

static void
test_vectors(void)
{
    size_t         i, k, n;
    u_char         bytes[CONDUIT_SECRET_MAX], buf[CONDUIT_SIGNATURE_LEN + 1];
    u_char        *end, again[CONDUIT_SIGNATURE_LEN];
    conduit_str_t  secret, id, parts[3];

    static const char  *whsec = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    static const struct {
        const char  *id;
        int64_t      timestamp;
        const char  *body;
        const char  *signature;
    } vectors[] = {
        { "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330,
          "{\"test\": 2432232314}",
          "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=" },
        { "msg_2KWPBgLlAfxdpx2AI54pPJ85f4W", 1674087231,
          "{\"type\":\"contact.created\",\"timestamp\":"
          "\"2022-11-03T20:26:10.344522Z\",\"data\":{\"id\":"
          "\"1f81eb52-5198-4599-803e-771906343485\",\"type\":\"contact\","
          "\"first_name\":\"John\",\"last_name\":\"Doe\"}}",
          "v1,R6M7RqgHIqSn59L6iqh2AYIuOCJBkPLSKP58H+CP7gs=" },
        { "whe_0000000000000000000000", 0, "",
          "v1,tzXORwZ8XrNA/nJhxEvgJf6TNlvPDnmfkFmhiEtFzqQ=" }
    };

    is_num(conduit_secret_parse(bytes, &n, (const u_char *) whsec,
                                strlen(whsec)),
           CONDUIT_OK, "the secret of the vectors");

    secret.data = bytes;
    secret.len = n;

    for (i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
        id = text_of(vectors[i].id);
        parts[0] = text_of(vectors[i].body);

        memset(buf, 'X', sizeof(buf));
        end = conduit_signature_write(buf, &secret, &id, vectors[i].timestamp,
                                      parts, 1);

        is_num(end - buf, CONDUIT_SIGNATURE_LEN, "signature %zu: length", i);
        ok(buf[CONDUIT_SIGNATURE_LEN] == 'X', "nothing behind it");

        is_mem(buf, end - buf, vectors[i].signature,
               strlen(vectors[i].signature), "its value");

        /* where the body is cut makes no difference */

        for (k = 0; k <= strlen(vectors[i].body); k += 7) {
            parts[0].data = (u_char *) vectors[i].body;
            parts[0].len = k / 2;
            parts[1].data = parts[0].data + parts[0].len;
            parts[1].len = k - k / 2;
            parts[2].data = parts[1].data + parts[1].len;
            parts[2].len = strlen(vectors[i].body) - k;

            (void) conduit_signature_write(again, &secret, &id,
                                           vectors[i].timestamp, parts, 3);
            is_mem(again, sizeof(again), buf, CONDUIT_SIGNATURE_LEN,
                   "in three parts, cut at %zu", k);
        }
    }
}


/* printf a.1.b | openssl dgst -sha256 -hmac kkk... -binary | base64 */

static void
test_lengths(void)
{
    u_char         key[CONDUIT_SECRET_MAX + 1], buf[CONDUIT_SIGNATURE_LEN];
    conduit_str_t  secret, id, body;

    memset(key, 'k', sizeof(key));

    id = text_of("a");
    body = text_of("b");

    secret.data = key;
    secret.len = sizeof(key);
    ok(conduit_signature_write(buf, &secret, &id, 1, &body, 1) == NULL,
       "no secret is longer than 64 bytes");

    secret.len = CONDUIT_SECRET_MAX;
    ok(conduit_signature_write(buf, &secret, &id, 1, &body, 1) != NULL,
       "64 bytes are taken");

    is_mem(buf, sizeof(buf), "v1,4sNFduVp/rj/T9Md4uQGceYcZE7pbjXTWWFyPdc2o3Q=",
           CONDUIT_SIGNATURE_LEN, "as openssl signs it");
}
