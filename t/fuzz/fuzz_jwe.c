
/*
 * Copyright (C) Conduit for nginx authors
 */


/*
 * JSON Web Keys as they may stand in a file, and messages to a known one,
 * which its owner must be able to open.
 */


#include <stdlib.h>

#include "conduit_jwe.h"
#include "../unit/jwe_open.h"


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fuzz_key(const uint8_t *data, size_t size);
static void fuzz_message(const uint8_t *data, size_t size);


/* RFC 7517, appendix A */

static const char  fuzz_jwk[] =
    "{\"kty\":\"EC\",\"crv\":\"P-256\","
    "\"x\":\"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4\","
    "\"y\":\"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM\"}";

static const char  fuzz_d[] = "870MB6gfuTJ4HtUnUvYMyJpr5eUZNP4Bk43bVdj3eAE";


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_key(data, size);
    fuzz_message(data, size);

    return 0;
}


static void
fuzz_key(const uint8_t *data, size_t size)
{
    u_char         *dst, *end;
    size_t          room;
    json_t         *json;
    const char     *why;
    conduit_jwk_t   jwk;

    static const u_char  rnd[CONDUIT_JWE_RANDOM];

    why = NULL;

    if (conduit_jwk_parse(&jwk, data, size, &why) != CONDUIT_OK) {

        if (why == NULL || jwk.curve != 0) {
            abort();
        }

        return;
    }

    /* whatever was taken can be used, and is not the private half */

    json = json_loadb((const char *) data, size, 0, NULL);

    if (json == NULL || json_object_get(json, "d") != NULL) {
        abort();
    }

    json_decref(json);

    room = conduit_jwe_size(&jwk, size);

    dst = malloc(room);
    if (dst == NULL) {
        return;
    }

    end = conduit_jwe_encrypt(dst, &jwk, data, size, rnd);

    if (end == NULL || (size_t) (end - dst) > room) {
        abort();
    }

    free(dst);
}


static void
fuzz_message(const uint8_t *data, size_t size)
{
    u_char         *dst, *end, *plain, rnd[CONDUIT_JWE_RANDOM];
    size_t          i, room, n;
    const char     *why;
    conduit_jwk_t   jwk;

    if (conduit_jwk_parse(&jwk, (const u_char *) fuzz_jwk, strlen(fuzz_jwk),
                          &why)
        != CONDUIT_OK)
    {
        abort();
    }

    for (i = 0; i < sizeof(rnd); i++) {
        rnd[i] = size ? data[i % size] : 0;
    }

    room = conduit_jwe_size(&jwk, size);

    dst = malloc(room);
    plain = malloc(size + 16);

    if (dst && plain) {
        end = conduit_jwe_encrypt(dst, &jwk, data, size, rnd);

        if (end == NULL || (size_t) (end - dst) > room) {
            abort();
        }

        n = jwe_open(plain, dst, (size_t) (end - dst), fuzz_d);

        if (n != size || memcmp(plain, data, size) != 0) {
            abort();
        }
    }

    free(plain);
    free(dst);
}
