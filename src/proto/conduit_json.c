
/*
 * Copyright (C) Conduit for nginx authors
 */


#include "conduit_json.h"


static int conduit_json_prescan(const u_char *p, size_t len,
    conduit_json_error_t *err);
static const char *conduit_json_reason(const json_error_t *jerr);
static const u_char *conduit_json_blanks(const u_char *p, const u_char *last);
static const u_char *conduit_json_string(const u_char *p, const u_char *last);
static const u_char *conduit_json_value(const u_char *p, const u_char *last);
static int conduit_json_char(const u_char **pos, const u_char *last);
static int conduit_json_hex(const u_char *p);


json_t *
conduit_json_parse(const u_char *p, size_t len, conduit_json_error_t *err)
{
    json_t        *json;
    json_error_t   jerr;

    /* jansson recurses, so that the depth has to be known before */

    if (conduit_json_prescan(p, len, err) != CONDUIT_OK) {
        return NULL;
    }

    json = json_loadb((const char *) p, len,
                      JSON_REJECT_DUPLICATES|JSON_DECODE_ANY, &jerr);

    if (json == NULL) {
        err->text = conduit_json_reason(&jerr);
        err->offset = (jerr.position > 0) ? (size_t) jerr.position : 0;

        if (err->offset > len) {
            err->offset = len;
        }
    }

    return json;
}


/* checks what does not need the grammar: depth, NUL bytes, an empty text */

static int
conduit_json_prescan(const u_char *p, size_t len, conduit_json_error_t *err)
{
    int     string;
    size_t  i, depth;

    string = 0;
    depth = 0;

    for (i = 0; i < len; i++) {

        if (p[i] == '\0') {
            err->text = "it has a NUL character";
            err->offset = i;
            return CONDUIT_ERROR;
        }

        if (string) {

            if (p[i] == '\\') {

                /* what follows cannot end the string; a NUL is seen to */

                if (i + 1 < len && p[i + 1] != '\0') {
                    i++;
                }

            } else if (p[i] == '"') {
                string = 0;
            }

            continue;
        }

        if (p[i] == '"') {
            string = 1;

        } else if (p[i] == '{' || p[i] == '[') {

            if (++depth > CONDUIT_JSON_DEPTH_MAX) {
                err->text = "it is nested deeper than 32 levels";
                err->offset = i;
                return CONDUIT_ERROR;
            }

        } else if ((p[i] == '}' || p[i] == ']') && depth > 0) {
            depth--;
        }
    }

    if (conduit_json_blanks(p, p + len) == p + len) {
        err->text = "it is empty";
        err->offset = 0;
        return CONDUIT_ERROR;
    }

    return CONDUIT_OK;
}


/* jansson's own text quotes the document, which may be a secret of the user */

static const char *
conduit_json_reason(const json_error_t *jerr)
{
    switch (json_error_code(jerr)) {

    case json_error_invalid_utf8:
        return "it is not valid UTF-8";

    case json_error_duplicate_key:
        return "an object has the same member twice";

    case json_error_null_character:
    case json_error_null_byte_in_key:
        return "it has a NUL character";

    case json_error_numeric_overflow:
        return "a number is too large";

    case json_error_premature_end_of_input:
        return "it ends too early";

    case json_error_end_of_input_expected:
        return "something follows the end of the document";

    case json_error_out_of_memory:
        return "it is too large";

    default:

        if (strncmp(jerr->text, "invalid Unicode", 15) == 0) {
            return "a string has half of a surrogate pair";
        }

        return "syntax error";
    }
}


int
conduit_json_next(const u_char **pos, const u_char *last,
    conduit_json_member_t *member)
{
    const u_char  *p, *start;

    p = conduit_json_blanks(*pos, last);

    if (p == last || (*p != '{' && *p != ',')) {
        return CONDUIT_DECLINED;
    }

    p = conduit_json_blanks(p + 1, last);

    if (p == last || *p != '"') {
        return CONDUIT_DECLINED;
    }

    start = p;
    p = conduit_json_string(p, last);

    member->name.data = (u_char *) start;
    member->name.len = (size_t) (p - start);

    p = conduit_json_blanks(p, last);

    if (p == last || *p != ':') {
        return CONDUIT_DECLINED;
    }

    start = conduit_json_blanks(p + 1, last);
    p = conduit_json_value(start, last);

    member->value.data = (u_char *) start;
    member->value.len = (size_t) (p - start);

    *pos = p;

    return CONDUIT_OK;
}


static const u_char *
conduit_json_blanks(const u_char *p, const u_char *last)
{
    while (p < last
           && (*p == ' ' || *p == '\t' || *p == '\n' || *p == '\r'))
    {
        p++;
    }

    return p;
}


/* p is at the opening quote; returns what follows the closing one */

static const u_char *
conduit_json_string(const u_char *p, const u_char *last)
{
    const u_char  *end;

    p++;

    /* most strings have no escapes, and this is how nearly all are passed */

    end = memchr(p, '"', (size_t) (last - p));

    if (end == NULL) {
        return last;
    }

    if (memchr(p, '\\', (size_t) (end - p)) == NULL) {
        return end + 1;
    }

    for ( /* void */ ; p < last; p++) {

        if (*p == '"') {
            return p + 1;
        }

        if (*p == '\\' && p + 1 < last) {
            p++;
        }
    }

    return last;
}


/* returns what follows the value that begins at p */

static const u_char *
conduit_json_value(const u_char *p, const u_char *last)
{
    size_t  depth;

    depth = 0;

    while (p < last) {

        if (*p == '"') {
            p = conduit_json_string(p, last);

            if (depth == 0) {
                return p;
            }

            continue;
        }

        if (*p == '{' || *p == '[') {
            depth++;

        } else if (*p == '}' || *p == ']') {

            if (depth == 0) {
                return p;
            }

            if (--depth == 0) {
                return p + 1;
            }

        } else if (depth == 0
                   && (*p == ',' || *p == ' ' || *p == '\t' || *p == '\n'
                       || *p == '\r'))
        {
            return p;
        }

        p++;
    }

    return last;
}


int
conduit_json_name_eq(const conduit_str_t *name, const char *is, int prefix)
{
    int            ch;
    const u_char  *p, *last;

    if (name->len < 2) {
        return 0;
    }

    p = name->data + 1;
    last = name->data + name->len - 1;

    /* most names differ at once, and have no escapes */

    for ( /* void */ ; p < last && *p != '\\'; p++, is++) {
        if (*p != (u_char) *is) {
            return prefix && *is == '\0';
        }
    }

    while (p < last) {

        if (*is == '\0') {
            return prefix;
        }

        ch = conduit_json_char(&p, last);

        if (ch != (u_char) *is) {
            return 0;
        }

        is++;
    }

    return *is == '\0';
}


/* the next character of a string's text; -1 for one outside ASCII */

static int
conduit_json_char(const u_char **pos, const u_char *last)
{
    int            ch;
    const u_char  *p;

    p = *pos;

    if (*p != '\\' || last - p < 2) {
        *pos = p + 1;
        return (*p < 0x80) ? *p : -1;
    }

    *pos = p + 2;

    switch (p[1]) {

    case 'b':
        return '\b';

    case 'f':
        return '\f';

    case 'n':
        return '\n';

    case 'r':
        return '\r';

    case 't':
        return '\t';

    case 'u':
        break;

    default:
        return p[1];
    }

    if (last - p < 6) {
        *pos = last;
        return -1;
    }

    ch = conduit_json_hex(p + 2);

    *pos = p + 6;

    return (ch < 0x80) ? ch : -1;
}


/* four hexadecimal digits */

static int
conduit_json_hex(const u_char *p)
{
    int  i, n;

    for (n = 0, i = 0; i < 4; i++) {
        n = n * 16 + ((p[i] <= '9') ? p[i] - '0' : (p[i] | 0x20) - 'a' + 10);
    }

    return n;
}


size_t
conduit_json_unescape(u_char *dst, const u_char *p, size_t len)
{
    int            code;
    u_char        *start;
    const u_char  *last;

    if (len < 2) {
        return 0;
    }

    start = dst;
    last = p + len - 1;
    p++;

    while (p < last) {

        if (*p != '\\') {
            *dst++ = *p++;
            continue;
        }

        if (last - p < 6 || p[1] != 'u') {
            code = conduit_json_char(&p, last);
            *dst++ = (u_char) code;
            continue;
        }

        code = conduit_json_hex(p + 2);
        p += 6;

        if (code >= 0xd800 && code <= 0xdbff && last - p >= 6) {
            code = 0x10000 + ((code - 0xd800) << 10)
                   + (conduit_json_hex(p + 2) - 0xdc00);
            p += 6;

            *dst++ = (u_char) (0xf0 | code >> 18);
            *dst++ = (u_char) (0x80 | (code >> 12 & 0x3f));
            *dst++ = (u_char) (0x80 | (code >> 6 & 0x3f));
            *dst++ = (u_char) (0x80 | (code & 0x3f));

        } else if (code >= 0x800) {
            *dst++ = (u_char) (0xe0 | code >> 12);
            *dst++ = (u_char) (0x80 | (code >> 6 & 0x3f));
            *dst++ = (u_char) (0x80 | (code & 0x3f));

        } else if (code >= 0x80) {
            *dst++ = (u_char) (0xc0 | code >> 6);
            *dst++ = (u_char) (0x80 | (code & 0x3f));

        } else {
            *dst++ = (u_char) code;
        }
    }

    return (size_t) (dst - start);
}


size_t
conduit_json_compact(u_char *dst, const u_char *p, size_t len)
{
    size_t         n, size;
    const u_char  *last, *start;

    n = 0;
    last = p + len;

    for ( ;; ) {
        p = conduit_json_blanks(p, last);

        if (p == last) {
            return n;
        }

        start = p;

        if (*p == '"') {
            p = conduit_json_string(p, last);

        } else {

            while (p < last && *p > ' ' && *p != '"') {
                p++;
            }

            /* cannot be in a valid text, but the loop must come to an end */

            if (p == start) {
                p++;
            }
        }

        size = (size_t) (p - start);

        if (dst != NULL) {
            memcpy(dst + n, start, size);
        }

        n += size;
    }
}


size_t
conduit_json_escape(u_char *dst, const u_char *p, size_t len)
{
    u_char         buf[6];
    size_t         i, n, k, size;
    const u_char  *src;

    static const u_char  hex[] = "0123456789abcdef";

    n = 0;

    for (i = 0; i < len; i += k) {
        k = conduit_utf8_sequence(p + i, len - i);
        src = p + i;
        size = k;

        if (k == 0) {
            k = 1;
            src = (const u_char *) "\xef\xbf\xbd";
            size = 3;

        } else if (p[i] == '"' || p[i] == '\\') {
            buf[0] = '\\';
            buf[1] = p[i];
            src = buf;
            size = 2;

        } else if (p[i] < 0x20) {
            memcpy(buf, "\\u00", 4);
            buf[4] = hex[p[i] >> 4];
            buf[5] = hex[p[i] & 0xf];
            src = buf;
            size = 6;
        }

        if (dst != NULL) {
            memcpy(dst + n, src, size);
        }

        n += size;
    }

    return n;
}


size_t
conduit_utf8_sequence(const u_char *p, size_t len)
{
    u_char  min, max;
    size_t  i, n;

    min = 0x80;
    max = 0xbf;

    if (p[0] < 0x80) {
        return 1;
    }

    if (p[0] >= 0xc2 && p[0] <= 0xdf) {
        n = 2;

    } else if (p[0] >= 0xe0 && p[0] <= 0xef) {
        n = 3;

        if (p[0] == 0xe0) {
            min = 0xa0;

        } else if (p[0] == 0xed) {
            max = 0x9f;
        }

    } else if (p[0] >= 0xf0 && p[0] <= 0xf4) {
        n = 4;

        if (p[0] == 0xf0) {
            min = 0x90;

        } else if (p[0] == 0xf4) {
            max = 0x8f;
        }

    } else {
        return 0;
    }

    if (len < n || p[1] < min || p[1] > max) {
        return 0;
    }

    for (i = 2; i < n; i++) {
        if ((p[i] & 0xc0) != 0x80) {
            return 0;
        }
    }

    return n;
}


size_t
conduit_utf8_length(const u_char *p, size_t len)
{
    size_t  i, n;

    n = 0;

    for (i = 0; i < len; i++) {
        if ((p[i] & 0xc0) != 0x80) {
            n++;
        }
    }

    return n;
}


size_t
conduit_utf8_cut(const u_char *p, size_t len, size_t max)
{
    if (len <= max) {
        return len;
    }

    while (max > 0 && (p[max] & 0xc0) == 0x80) {
        max--;
    }

    return max;
}
