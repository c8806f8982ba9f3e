
/*
 * Copyright (C) Conduit for nginx authors
 */


#include "conduit_media.h"

#include <strings.h>


#define CONDUIT_BASE64_BAD  0xff
#define CONDUIT_HEX_LEN     (CONDUIT_MEDIA_RANDOM * 2)


static size_t conduit_media_hex(u_char *name, const u_char *rnd,
    const char *ext);
static int conduit_media_is_mp4(const u_char *data, size_t len);
static int conduit_media_is_webm(const u_char *data, size_t len);
static int conduit_base64_quad(u_char *dst, const u_char *src, size_t *n);
static u_char conduit_base64_value(u_char ch);


enum {
    conduit_media_png = 0,
    conduit_media_jpg,
    conduit_media_webp,
    conduit_media_gif,
    conduit_media_mp4,
    conduit_media_webm,
    conduit_media_bin,
    conduit_media_last
};


static const conduit_media_type_t  conduit_media_types[] = {
    { "png", "image/png" },
    { "jpg", "image/jpeg" },
    { "webp", "image/webp" },
    { "gif", "image/gif" },
    { "mp4", "video/mp4" },
    { "webm", "video/webm" },
    { "bin", "application/octet-stream" }
};


/* brands of ISO media files that are no video */

static const char  *conduit_media_brands[] = {
    "avif", "avis", "heic", "heix", "heim", "heis", "hevc", "hevx", "mif1",
    "mif2", "msf1", "jpeg", "jpgs", "jxl ", "crx ", "M4A ", "M4B ", "M4P ",
    NULL
};


const conduit_media_type_t *
conduit_media_sniff(const u_char *data, size_t len)
{
    int  n;

    n = conduit_media_bin;

    if (len >= 8 && memcmp(data, "\x89PNG\r\n\x1a\n", 8) == 0) {
        n = conduit_media_png;

    } else if (len >= 3 && memcmp(data, "\xff\xd8\xff", 3) == 0) {
        n = conduit_media_jpg;

    } else if (len >= 12 && memcmp(data, "RIFF", 4) == 0
               && memcmp(data + 8, "WEBP", 4) == 0)
    {
        n = conduit_media_webp;

    } else if (len >= 6 && (memcmp(data, "GIF87a", 6) == 0
                            || memcmp(data, "GIF89a", 6) == 0))
    {
        n = conduit_media_gif;

    } else if (conduit_media_is_mp4(data, len)) {
        n = conduit_media_mp4;

    } else if (conduit_media_is_webm(data, len)) {
        n = conduit_media_webm;
    }

    return &conduit_media_types[n];
}


static int
conduit_media_is_mp4(const u_char *data, size_t len)
{
    size_t  i;

    if (len < 12 || memcmp(data + 4, "ftyp", 4) != 0) {
        return 0;
    }

    for (i = 0; conduit_media_brands[i] != NULL; i++) {

        if (memcmp(data + 8, conduit_media_brands[i], 4) == 0) {
            return 0;
        }
    }

    return 1;
}


/*
 * EBML, unless its DocType element, 0x4282, says that it is no WebM; the size
 * of that, 4, is a variable length integer, perhaps longer than needed
 */

static int
conduit_media_is_webm(const u_char *data, size_t len)
{
    u_char  mask;
    size_t  i, n;

    if (len < 4 || memcmp(data, "\x1a\x45\xdf\xa3", 4) != 0) {
        return 0;
    }

    if (len > CONDUIT_MEDIA_SNIFF) {
        len = CONDUIT_MEDIA_SNIFF;
    }

    for (i = 4; i + 7 <= len; i++) {

        if (data[i] != 0x42 || data[i + 1] != 0x82) {
            continue;
        }

        n = i + 3;

        for (mask = 0x80; mask && !(data[i + 2] & mask); mask >>= 1) {
            n++;
        }

        return n + 4 <= len && memcmp(data + n, "webm", 4) == 0;
    }

    return 1;
}


size_t
conduit_media_name(u_char *name, const u_char rnd[CONDUIT_MEDIA_RANDOM],
    const conduit_media_type_t *type)
{
    return conduit_media_hex(name, rnd, type->ext);
}


size_t
conduit_media_temp_name(u_char *name, const u_char rnd[CONDUIT_MEDIA_RANDOM])
{
    return conduit_media_hex(name, rnd, "tmp");
}


static size_t
conduit_media_hex(u_char *name, const u_char *rnd, const char *ext)
{
    size_t   i, len;
    u_char  *p;

    static const char  hex[] = "0123456789abcdef";

    p = name;

    for (i = 0; i < CONDUIT_MEDIA_RANDOM; i++) {
        *p++ = hex[rnd[i] >> 4];
        *p++ = hex[rnd[i] & 0xf];
    }

    *p++ = '.';

    len = strlen(ext);
    memcpy(p, ext, len + 1);

    return p + len - name;
}


conduit_media_file_e
conduit_media_classify(const u_char *name, size_t len)
{
    size_t       i;
    const char  *ext;

    if (len < CONDUIT_HEX_LEN + 2 || name[CONDUIT_HEX_LEN] != '.') {
        return CONDUIT_MEDIA_FOREIGN;
    }

    for (i = 0; i < CONDUIT_HEX_LEN; i++) {

        if ((name[i] < '0' || name[i] > '9')
            && (name[i] < 'a' || name[i] > 'f'))
        {
            return CONDUIT_MEDIA_FOREIGN;
        }
    }

    name += CONDUIT_HEX_LEN + 1;
    len -= CONDUIT_HEX_LEN + 1;

    if (len == 3 && memcmp(name, "tmp", 3) == 0) {
        return CONDUIT_MEDIA_TEMP;
    }

    for (i = 0; i < conduit_media_last; i++) {
        ext = conduit_media_types[i].ext;

        if (len == strlen(ext) && memcmp(name, ext, len) == 0) {
            return CONDUIT_MEDIA_RESULT;
        }
    }

    return CONDUIT_MEDIA_FOREIGN;
}


int
conduit_media_expired(conduit_media_file_e file, int64_t mtime, int64_t ttl,
    int64_t now)
{
    switch (file) {

    case CONDUIT_MEDIA_RESULT:
        return conduit_media_left(mtime, ttl, now) == 0;

    case CONDUIT_MEDIA_TEMP:
        return conduit_media_left(mtime, CONDUIT_MEDIA_TEMP_TTL, now) == 0;

    default:
        return 0;
    }
}


int64_t
conduit_media_left(int64_t mtime, int64_t ttl, int64_t now)
{
    int64_t  age;

    age = now > mtime ? now - mtime : 0;

    return age < ttl ? ttl - age : 0;
}


int
conduit_base64_decode(u_char *dst, size_t *n, const u_char *src, size_t len)
{
    int     end;
    size_t  used;

    if (len == 0
        || conduit_base64_decode_part(dst, n, src, len, &used, &end)
           != CONDUIT_OK
        || used != len)
    {
        return CONDUIT_ERROR;
    }

    return CONDUIT_OK;
}


int
conduit_base64_decode_part(u_char *dst, size_t *n, const u_char *src,
    size_t len, size_t *used, int *end)
{
    size_t  i, out, done;

    *end = 0;
    done = 0;

    for (i = 0; i + 4 <= len; i += 4) {

        if (*end || conduit_base64_quad(dst + done, src + i, &out)
                    != CONDUIT_OK)
        {
            return CONDUIT_ERROR;
        }

        if (out != 3) {
            *end = 1;
        }

        done += out;
    }

    if (*end && i != len) {
        return CONDUIT_ERROR;
    }

    *n = done;
    *used = i;

    return CONDUIT_OK;
}


static int
conduit_base64_quad(u_char *dst, const u_char *src, size_t *n)
{
    size_t  i, digits;
    u_char  v[4];

    for (digits = 0; digits < 4 && src[digits] != '='; digits++) {

        v[digits] = conduit_base64_value(src[digits]);

        if (v[digits] == CONDUIT_BASE64_BAD) {
            return CONDUIT_ERROR;
        }
    }

    for (i = digits; i < 4; i++) {

        if (src[i] != '=') {
            return CONDUIT_ERROR;
        }

        v[i] = 0;
    }

    if (digits < 2
        || (digits == 2 && (v[1] & 0xf) != 0)
        || (digits == 3 && (v[2] & 0x3) != 0))
    {
        return CONDUIT_ERROR;
    }

    *n = digits - 1;

    /* dst may be src: it is written only after the four were read */

    dst[0] = (u_char) (v[0] << 2 | v[1] >> 4);

    if (digits > 2) {
        dst[1] = (u_char) (v[1] << 4 | v[2] >> 2);
    }

    if (digits > 3) {
        dst[2] = (u_char) (v[2] << 6 | v[3]);
    }

    return CONDUIT_OK;
}


static u_char
conduit_base64_value(u_char ch)
{
    if (ch >= 'A' && ch <= 'Z') {
        return ch - 'A';
    }

    if (ch >= 'a' && ch <= 'z') {
        return ch - 'a' + 26;
    }

    if (ch >= '0' && ch <= '9') {
        return ch - '0' + 52;
    }

    if (ch == '+') {
        return 62;
    }

    if (ch == '/') {
        return 63;
    }

    return CONDUIT_BASE64_BAD;
}


size_t
conduit_base64_encode(u_char *dst, const u_char *src, size_t len)
{
    u_char  *p;

    static const char  basis[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

    p = dst;

    for ( /* void */ ; len > 2; len -= 3, src += 3) {
        *p++ = basis[src[0] >> 2];
        *p++ = basis[(src[0] & 3) << 4 | src[1] >> 4];
        *p++ = basis[(src[1] & 0xf) << 2 | src[2] >> 6];
        *p++ = basis[src[2] & 0x3f];
    }

    if (len) {
        *p++ = basis[src[0] >> 2];

        if (len == 1) {
            *p++ = basis[(src[0] & 3) << 4];
            *p++ = '=';

        } else {
            *p++ = basis[(src[0] & 3) << 4 | src[1] >> 4];
            *p++ = basis[(src[1] & 0xf) << 2];
        }

        *p++ = '=';
    }

    return p - dst;
}


int
conduit_media_data_url(conduit_str_t *value)
{
    u_char  *p, *last;

    if (value->len < 5 || memcmp(value->data, "data:", 5) != 0) {
        return CONDUIT_OK;
    }

    last = value->data + value->len;

    p = memchr(value->data, ',', value->len);

    if (p == NULL || p - value->data < 12 || memcmp(p - 7, ";base64", 7) != 0)
    {
        return CONDUIT_DECLINED;
    }

    value->data = p + 1;
    value->len = last - value->data;

    return CONDUIT_OK;
}


const char *
conduit_media_ext_type(const u_char *p, size_t len)
{
    size_t  i;

    static const struct {
        const char  *ext;
        const char  *type;
    } types[] = {
        { "png", "image/png" },
        { "jpg", "image/jpeg" },
        { "jpeg", "image/jpeg" },
        { "webp", "image/webp" },
        { "gif", "image/gif" },
        { "avif", "image/avif" },
        { "svg", "image/svg+xml" },
        { "mp4", "video/mp4" },
        { "webm", "video/webm" },
        { "mov", "video/quicktime" }
    };

    for (i = 0; i < sizeof(types) / sizeof(types[0]); i++) {

        if (len == strlen(types[i].ext)
            && strncasecmp((const char *) p, types[i].ext, len) == 0)
        {
            return types[i].type;
        }
    }

    return NULL;
}


const char *
conduit_media_url_type(const u_char *p, size_t len)
{
    size_t  i, n;

    for (n = 0; n < len; n++) {
        if (p[n] == '?' || p[n] == '#') {
            break;
        }
    }

    for (i = n; i > 0 && p[i - 1] != '/'; i--) {

        if (p[i - 1] == '.') {
            return conduit_media_ext_type(p + i, n - i);
        }
    }

    return NULL;
}
