
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/obj_mac.h>

#include "conduit_json.h"
#include "conduit_jwe_key.h"
#include "conduit_media.h"


typedef struct {
    const char  *name;
    int          nid;
    size_t       size;
} conduit_curve_t;


/* all that one computation needs, freed at once */

typedef struct {
    EC_GROUP    *group;
    BN_CTX      *ctx;
    BIGNUM      *x;
    BIGNUM      *y;
    EC_POINT    *point;
} conduit_curve_work_t;


static int conduit_jwk_read(conduit_jwk_t *jwk, json_t *json,
    const char **why);
static int conduit_jwk_public(json_t *json, const char **why);
static int conduit_jwk_point(conduit_jwk_t *jwk, json_t *json,
    const char **why);
static int conduit_jwk_kid(conduit_jwk_t *jwk, json_t *json, const char **why);
static int conduit_jwk_coordinate(u_char *dst, size_t size, json_t *value);
static int conduit_jwk_is(json_t *json, const char *name, const char *value);
static int conduit_curve_begin(conduit_curve_work_t *w,
    const conduit_jwk_t *jwk);
static void conduit_curve_end(conduit_curve_work_t *w);
static int conduit_curve_multiply(conduit_curve_work_t *w, u_char *x,
    u_char *y, size_t size, const EC_POINT *point, const BIGNUM *scalar);
static BIGNUM *conduit_curve_scalar(conduit_curve_work_t *w,
    const u_char *seed, size_t len);


static const conduit_curve_t  conduit_curves[] = {
    { "P-256", NID_X9_62_prime256v1, 32 },
    { "P-384", NID_secp384r1, 48 },
    { "P-521", NID_secp521r1, 66 }
};

#define CONDUIT_CURVES  (sizeof(conduit_curves) / sizeof(conduit_curves[0]))


int
conduit_jwk_parse(conduit_jwk_t *jwk, const u_char *p, size_t len,
    const char **why)
{
    int                    rc;
    json_t                *json;
    conduit_json_error_t   err;

    memset(jwk, 0, sizeof(conduit_jwk_t));

    if (len > CONDUIT_JWK_TEXT_MAX) {
        *why = "must not be longer than 64 KB";
        return CONDUIT_ERROR;
    }

    json = conduit_json_parse(p, len, &err);

    if (json == NULL || !json_is_object(json)) {
        json_decref(json);
        *why = "must be a JSON object";
        return CONDUIT_ERROR;
    }

    rc = conduit_jwk_read(jwk, json, why);

    json_decref(json);

    if (rc != CONDUIT_OK) {
        memset(jwk, 0, sizeof(conduit_jwk_t));
    }

    return rc;
}


static int
conduit_jwk_read(conduit_jwk_t *jwk, json_t *json, const char **why)
{
    unsigned     i;
    const char  *curve;

    if (conduit_jwk_public(json, why) != CONDUIT_OK) {
        return CONDUIT_ERROR;
    }

    curve = json_string_value(json_object_get(json, "crv"));

    for (i = 0; curve && i < CONDUIT_CURVES; i++) {
        if (strcmp(curve, conduit_curves[i].name) == 0) {
            jwk->curve = i + 1;
            jwk->size = conduit_curves[i].size;
            break;
        }
    }

    if (jwk->curve == 0) {
        *why = "must have a \"crv\" of \"P-256\", \"P-384\" or \"P-521\"";
        return CONDUIT_ERROR;
    }

    if (conduit_jwk_point(jwk, json, why) != CONDUIT_OK) {
        return CONDUIT_ERROR;
    }

    return conduit_jwk_kid(jwk, json, why);
}


static int
conduit_jwk_public(json_t *json, const char **why)
{
    if (json_object_get(json, "d") || json_object_get(json, "k")) {
        *why = "must be the public half only, without \"d\" and \"k\"";
        return CONDUIT_ERROR;
    }

    if (conduit_jwk_is(json, "kty", "EC") != 1) {
        *why = "must have a \"kty\" of \"EC\"";
        return CONDUIT_ERROR;
    }

    if (conduit_jwk_is(json, "use", "enc") == 0) {
        *why = "must have a \"use\" of \"enc\", or none";
        return CONDUIT_ERROR;
    }

    if (conduit_jwk_is(json, "alg", "ECDH-ES+A256KW") == 0) {
        *why = "must have an \"alg\" of \"ECDH-ES+A256KW\", or none";
        return CONDUIT_ERROR;
    }

    return CONDUIT_OK;
}


/* 1: the member has this value; 0: it has another; -1: there is none */

static int
conduit_jwk_is(json_t *json, const char *name, const char *value)
{
    json_t      *member;
    const char  *text;

    member = json_object_get(json, name);

    if (member == NULL) {
        return -1;
    }

    text = json_string_value(member);

    return text != NULL && strcmp(text, value) == 0;
}


static int
conduit_jwk_point(conduit_jwk_t *jwk, json_t *json, const char **why)
{
    int                   rc;
    conduit_curve_work_t  w;

    if (conduit_jwk_coordinate(jwk->x, jwk->size, json_object_get(json, "x"))
        != CONDUIT_OK
        || conduit_jwk_coordinate(jwk->y, jwk->size,
                                  json_object_get(json, "y"))
           != CONDUIT_OK)
    {
        *why = "must have \"x\" and \"y\", each the base64url form of all"
               " bytes of a coordinate";
        return CONDUIT_ERROR;
    }

    /* the setter checks the equation; all three curves have cofactor 1 */

    rc = conduit_curve_begin(&w, jwk);
    conduit_curve_end(&w);

    if (rc != CONDUIT_OK) {
        *why = "must have a point that lies on its curve";
    }

    return rc;
}


/* base64url without padding, of exactly size bytes */

static int
conduit_jwk_coordinate(u_char *dst, size_t size, json_t *value)
{
    size_t       i, n, len;
    u_char       text[(CONDUIT_JWK_COORD_MAX + 2) / 3 * 4];
    u_char       bytes[CONDUIT_JWK_COORD_MAX + 3];
    const char  *p;

    len = (size * 4 + 2) / 3;

    if (!json_is_string(value) || json_string_length(value) != len) {
        return CONDUIT_ERROR;
    }

    p = json_string_value(value);

    for (i = 0; i < len; i++) {

        if (p[i] == '+' || p[i] == '/' || p[i] == '=') {
            return CONDUIT_ERROR;
        }

        text[i] = (u_char) ((p[i] == '-') ? '+' : (p[i] == '_') ? '/' : p[i]);
    }

    while (len % 4) {
        text[len++] = '=';
    }

    if (conduit_base64_decode(bytes, &n, text, len) != CONDUIT_OK || n != size)
    {
        return CONDUIT_ERROR;
    }

    memcpy(dst, bytes, size);

    return CONDUIT_OK;
}


static int
conduit_jwk_kid(conduit_jwk_t *jwk, json_t *json, const char **why)
{
    size_t   n;
    u_char  *p;
    json_t  *kid;

    kid = json_object_get(json, "kid");

    if (kid == NULL) {
        return CONDUIT_OK;
    }

    p = (u_char *) json_string_value(kid);
    n = p ? conduit_json_escape(NULL, p, json_string_length(kid)) : 0;

    if (p == NULL || n + 2 > CONDUIT_JWK_KID_MAX) {
        *why = "must have a short string as its \"kid\", or none";
        return CONDUIT_ERROR;
    }

    jwk->kid[0] = '"';
    (void) conduit_json_escape(jwk->kid + 1, p, json_string_length(kid));
    jwk->kid[n + 1] = '"';
    jwk->kid_len = n + 2;

    return CONDUIT_OK;
}


const char *
conduit_jwk_curve(const conduit_jwk_t *jwk)
{
    return conduit_curves[jwk->curve - 1].name;
}


int
conduit_jwe_agree(conduit_jwe_agreed_t *agreed, const conduit_jwk_t *jwk,
    const u_char *seed)
{
    int                    rc;
    BIGNUM                *scalar;
    conduit_curve_work_t   w;

    rc = CONDUIT_ERROR;
    scalar = NULL;

    agreed->size = jwk->size;

    if (conduit_curve_begin(&w, jwk) != CONDUIT_OK) {
        goto done;
    }

    scalar = conduit_curve_scalar(&w, seed, jwk->size + 8);

    if (scalar == NULL
        || conduit_curve_multiply(&w, agreed->x, agreed->y, jwk->size, NULL,
                                  scalar)
           != CONDUIT_OK
        || conduit_curve_multiply(&w, agreed->secret, NULL, jwk->size, w.point,
                                  scalar)
           != CONDUIT_OK)
    {
        goto done;
    }

    rc = CONDUIT_OK;

done:

    BN_clear_free(scalar);
    conduit_curve_end(&w);

    return rc;
}


/* the key's point, which fails if it is not on the curve */

static int
conduit_curve_begin(conduit_curve_work_t *w, const conduit_jwk_t *jwk)
{
    memset(w, 0, sizeof(conduit_curve_work_t));

    w->ctx = BN_CTX_secure_new();
    w->group = EC_GROUP_new_by_curve_name(conduit_curves[jwk->curve - 1].nid);
    w->x = BN_bin2bn(jwk->x, (int) jwk->size, NULL);
    w->y = BN_bin2bn(jwk->y, (int) jwk->size, NULL);

    if (w->ctx == NULL || w->group == NULL || w->x == NULL || w->y == NULL) {
        return CONDUIT_ERROR;
    }

    w->point = EC_POINT_new(w->group);

    if (w->point == NULL
        || EC_POINT_set_affine_coordinates(w->group, w->point, w->x, w->y,
                                           w->ctx)
           != 1)
    {
        return CONDUIT_ERROR;
    }

    return CONDUIT_OK;
}


static void
conduit_curve_end(conduit_curve_work_t *w)
{
    EC_POINT_free(w->point);
    EC_GROUP_free(w->group);
    BN_clear_free(w->x);
    BN_clear_free(w->y);
    BN_CTX_free(w->ctx);
}


/* 1 to order - 1, from more bits than the order has (FIPS 186-4, B.4.1) */

static BIGNUM *
conduit_curve_scalar(conduit_curve_work_t *w, const u_char *seed, size_t len)
{
    BIGNUM  *scalar, *range;

    range = BN_dup(EC_GROUP_get0_order(w->group));
    scalar = BN_bin2bn(seed, (int) len, NULL);

    if (range == NULL || scalar == NULL) {
        goto failed;
    }

    BN_set_flags(scalar, BN_FLG_CONSTTIME);

    if (BN_sub_word(range, 1) != 1
        || BN_mod(scalar, scalar, range, w->ctx) != 1
        || BN_add_word(scalar, 1) != 1)
    {
        goto failed;
    }

    BN_free(range);

    return scalar;

failed:

    BN_free(range);
    BN_clear_free(scalar);

    return NULL;
}


/* without a point: the generator's multiple */

static int
conduit_curve_multiply(conduit_curve_work_t *w, u_char *x, u_char *y,
    size_t size, const EC_POINT *point, const BIGNUM *scalar)
{
    int        rc;
    EC_POINT  *product;

    product = EC_POINT_new(w->group);
    if (product == NULL) {
        return CONDUIT_ERROR;
    }

    rc = (EC_POINT_mul(w->group, product, point ? NULL : scalar, point,
                       point ? scalar : NULL, w->ctx)
          == 1
          && EC_POINT_get_affine_coordinates(w->group, product, w->x, w->y,
                                             w->ctx)
             == 1
          && BN_bn2binpad(w->x, x, (int) size) == (int) size
          && (y == NULL || BN_bn2binpad(w->y, y, (int) size) == (int) size))
         ? CONDUIT_OK : CONDUIT_ERROR;

    EC_POINT_clear_free(product);

    return rc;
}
