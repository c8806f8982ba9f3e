
/*
 * Copyright (C) Conduit for nginx authors
 */


#include "conduit_template.h"
#include "conduit_pointer.h"
#include "conduit_link.h"


static conduit_part_t *conduit_template_part(conduit_pool_t *pool,
    conduit_part_t ***last, const u_char *p, size_t len);
static int conduit_template_name(conduit_part_t *part);
static size_t conduit_template_write(u_char *dst, const conduit_part_t *part,
    const conduit_str_t *value, conduit_template_e mode, unsigned first);
static size_t conduit_template_token(u_char *dst, const conduit_str_t *value);


int
conduit_template_compile(conduit_pool_t *pool, const conduit_str_t *source,
    conduit_template_t *t)
{
    u_char          *p, *last, *end;
    conduit_part_t  *part, **next;

    t->source = *source;
    t->parts = NULL;

    next = &t->parts;
    p = source->data;
    last = p + source->len;

    while (p < last) {

        if (last - p >= 2 && p[0] == '$' && p[1] == '{') {

            end = memchr(p, '}', (size_t) (last - p));
            if (end == NULL) {
                return CONDUIT_DECLINED;
            }

            part = conduit_template_part(pool, &next, p + 2,
                                         (size_t) (end - p - 2));
            if (part == NULL) {
                return CONDUIT_ERROR;
            }

            if (conduit_template_name(part) != CONDUIT_OK) {
                return CONDUIT_DECLINED;
            }

            p = end + 1;
            continue;
        }

        for (end = p + 1; end < last; end++) {
            if (last - end >= 2 && end[0] == '$' && end[1] == '{') {
                break;
            }
        }

        part = conduit_template_part(pool, &next, p, (size_t) (end - p));
        if (part == NULL) {
            return CONDUIT_ERROR;
        }

        p = end;
    }

    return CONDUIT_OK;
}


static conduit_part_t *
conduit_template_part(conduit_pool_t *pool, conduit_part_t ***last,
    const u_char *p, size_t len)
{
    conduit_part_t  *part;

    part = conduit_pool_zalloc(pool, sizeof(conduit_part_t));
    if (part == NULL) {
        return NULL;
    }

    part->text.data = (u_char *) p;
    part->text.len = len;

    **last = part;
    *last = &part->next;

    return part;
}


static int
conduit_template_name(conduit_part_t *part)
{
    size_t          i, len;
    const u_char   *p;
    conduit_str_t   ptr;

    p = part->text.data;
    len = part->text.len;

    if (len > 4 && memcmp(p + len - 4, ":raw", 4) == 0) {
        part->raw = 1;
        len -= 4;
    }

    part->value = 1;
    part->text.len = len;

    for (i = 0; i < len; i++) {

        if (strchr("abcdefghijklmnopqrstuvwxyz_0123456789"
                   "ABCDEFGHIJKLMNOPQRSTUVWXYZ", p[i]) == NULL || p[i] == '\0')
        {
            break;
        }
    }

    if (i == len) {
        return (len && len < 64) ? CONDUIT_OK : CONDUIT_DECLINED;
    }

    if (!(i == 4 && memcmp(p, "poll:", 5) == 0)
        && !(i == 6 && memcmp(p, "submit:", 7) == 0))
    {
        return CONDUIT_DECLINED;
    }

    ptr.data = part->text.data + i + 1;
    ptr.len = len - i - 1;

    return conduit_pointer_check(&ptr) == CONDUIT_OK ? CONDUIT_OK
                                                     : CONDUIT_DECLINED;
}


int
conduit_template_expand(conduit_pool_t *pool, const conduit_template_t *t,
    conduit_template_e mode, conduit_template_value_pt value, void *data,
    conduit_str_t *text)
{
    size_t           len;
    u_char          *dst;
    unsigned         writing;
    conduit_str_t    v;
    conduit_part_t  *part;

    dst = NULL;
    len = 0;

    /* measures first, then writes the same */

    for (writing = 0; writing < 2; writing++) {

        if (writing) {
            dst = pool->alloc(pool->data, len + 1);
            if (dst == NULL) {
                return CONDUIT_ERROR;
            }
        }

        len = 0;

        for (part = t->parts; part; part = part->next) {

            v = part->text;

            if (part->value && value(data, &part->text, &v) != CONDUIT_OK) {
                return CONDUIT_DECLINED;
            }

            len += conduit_template_write(dst ? dst + len : NULL, part, &v,
                                          mode, part == t->parts);
        }
    }

    dst[len] = '\0';
    text->data = dst;
    text->len = len;

    return CONDUIT_OK;
}


static size_t
conduit_template_write(u_char *dst, const conduit_part_t *part,
    const conduit_str_t *value, conduit_template_e mode, unsigned first)
{
    if (part->value && mode == CONDUIT_TEMPLATE_URL) {
        return conduit_link_escape(dst, value->data, value->len,
                                  part->raw || first);
    }

    if (part->value && mode == CONDUIT_TEMPLATE_POINTER) {
        return conduit_template_token(dst, value);
    }

    if (dst && value->len) {
        memcpy(dst, value->data, value->len);
    }

    return value->len;
}


static size_t
conduit_template_token(u_char *dst, const conduit_str_t *value)
{
    u_char  ch, code;
    size_t  i, n;

    for (i = 0, n = 0; i < value->len; i++) {

        ch = value->data[i];
        code = (ch == '~') ? '0' : (ch == '/') ? '1' : (ch == '*') ? '2' : 0;

        if (code) {

            if (dst) {
                dst[n] = '~';
                dst[n + 1] = code;
            }

            n += 2;
            continue;
        }

        if (dst) {
            dst[n] = ch;
        }

        n++;
    }

    return n;
}


void *
conduit_pool_zalloc(conduit_pool_t *pool, size_t size)
{
    void  *p;

    p = pool->alloc(pool->data, size);

    if (p) {
        memset(p, 0, size);
    }

    return p;
}


int
conduit_pool_copy(conduit_pool_t *pool, const u_char *data, size_t len,
    conduit_str_t *copy)
{
    copy->data = pool->alloc(pool->data, len + 1);
    if (copy->data == NULL) {
        return CONDUIT_ERROR;
    }

    if (len) {
        memcpy(copy->data, data, len);
    }

    copy->data[len] = '\0';
    copy->len = len;

    return CONDUIT_OK;
}
