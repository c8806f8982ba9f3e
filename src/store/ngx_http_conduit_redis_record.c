
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <ngx_http_conduit_redis.h>
#include <conduit_id.h>
#include <conduit_task.h>


/*
 * Records as texts: the numbers of a record on one line, the sequence and the
 * status first, where the scripts look for them, and the names of its provider
 * and lane on a line each.
 */


typedef struct {
    uint16_t                          offset;
    uint16_t                          size;
} ngx_http_conduit_redis_number_t;


#define ngx_http_conduit_redis_field(m)                                       \
    { offsetof(ngx_http_conduit_record_t, m),                                 \
      sizeof(((ngx_http_conduit_record_t *) NULL)->m) }

#define NGX_HTTP_CONDUIT_REDIS_NUMBERS                                        \
    (sizeof(ngx_http_conduit_redis_numbers)                                   \
     / sizeof(ngx_http_conduit_redis_number_t))


static uint64_t ngx_http_conduit_redis_load(u_char *p, size_t size);
static ngx_int_t ngx_http_conduit_redis_store(u_char *p, size_t size,
    uint64_t n);
static ngx_int_t ngx_http_conduit_redis_line(ngx_str_t *rest,
    ngx_str_t *line);
static ngx_int_t ngx_http_conduit_redis_check(
    ngx_http_conduit_record_t *record);
static ngx_uint_t ngx_http_conduit_redis_inside(uint64_t off, uint64_t len,
    size_t size);


/* in the order of the text; a new one goes to the end */

static const ngx_http_conduit_redis_number_t  ngx_http_conduit_redis_numbers[] =
{
    ngx_http_conduit_redis_field(sequence),
    ngx_http_conduit_redis_field(status),
    ngx_http_conduit_redis_field(number),
    ngx_http_conduit_redis_field(kind),
    ngx_http_conduit_redis_field(step),
    ngx_http_conduit_redis_field(progress),
    ngx_http_conduit_redis_field(attempts),
    ngx_http_conduit_redis_field(error_code),
    ngx_http_conduit_redis_field(hooks),
    ngx_http_conduit_redis_field(created),
    ngx_http_conduit_redis_field(started),
    ngx_http_conduit_redis_field(updated),
    ngx_http_conduit_redis_field(completed),
    ngx_http_conduit_redis_field(deadline),
    ngx_http_conduit_redis_field(timeout),
    ngx_http_conduit_redis_field(status_off),
    ngx_http_conduit_redis_field(position_off),
    ngx_http_conduit_redis_field(model_off),
    ngx_http_conduit_redis_field(model_len),
    ngx_http_conduit_redis_field(metadata_off),
    ngx_http_conduit_redis_field(metadata_len),
    ngx_http_conduit_redis_field(result_off),
    ngx_http_conduit_redis_field(result_len),
    ngx_http_conduit_redis_field(error_off),
    ngx_http_conduit_redis_field(error_len),
    ngx_http_conduit_redis_field(prompt_off),
    ngx_http_conduit_redis_field(prompt_len),
    ngx_http_conduit_redis_field(head_len),
    ngx_http_conduit_redis_field(shown)
};


size_t
ngx_http_conduit_redis_header_len(ngx_http_conduit_record_t *record)
{
    return NGX_HTTP_CONDUIT_REDIS_NUMBERS * (NGX_INT64_LEN + 1)
           + record->provider.len + 1 + record->lane.len + 1;
}


u_char *
ngx_http_conduit_redis_header(u_char *p, ngx_http_conduit_record_t *record,
    int64_t offset)
{
    uint64_t                         value;
    ngx_uint_t                       i;
    ngx_http_conduit_redis_number_t  number;

    for (i = 0; i < NGX_HTTP_CONDUIT_REDIS_NUMBERS; i++) {
        number = ngx_http_conduit_redis_numbers[i];
        value = ngx_http_conduit_redis_load((u_char *) record + number.offset,
                                            number.size);

        /* by the clock that all hosts share */

        if (number.offset == offsetof(ngx_http_conduit_record_t, deadline)) {
            value += offset;
        }

        p = ngx_sprintf(p, "%uL ", value);
    }

    p[-1] = LF;

    p = ngx_cpymem(p, record->provider.data, record->provider.len);
    *p++ = LF;
    p = ngx_cpymem(p, record->lane.data, record->lane.len);
    *p++ = LF;

    return p;
}


ngx_int_t
ngx_http_conduit_redis_parse(ngx_http_conduit_record_t *record,
    ngx_str_t *text, int64_t offset)
{
    u_char                           *p, *last;
    uint64_t                          value;
    ngx_str_t                         line;
    ngx_uint_t                        i;
    ngx_http_conduit_redis_number_t   number;

    if (ngx_http_conduit_redis_line(text, &line) != NGX_OK) {
        return NGX_ERROR;
    }

    p = line.data;
    last = p + line.len;

    for (i = 0; i < NGX_HTTP_CONDUIT_REDIS_NUMBERS; i++) {

        for (value = 0; p < last && *p >= '0' && *p <= '9'; p++) {
            value = value * 10 + (*p - '0');
        }

        number = ngx_http_conduit_redis_numbers[i];

        if (number.offset == offsetof(ngx_http_conduit_record_t, deadline)) {
            value -= offset;
        }

        if (ngx_http_conduit_redis_store((u_char *) record + number.offset,
                                         number.size, value)
            != NGX_OK)
        {
            return NGX_ERROR;
        }

        if (p < last && *p++ != ' ') {
            return NGX_ERROR;
        }
    }

    if (ngx_http_conduit_redis_line(text, &record->provider) != NGX_OK
        || ngx_http_conduit_redis_line(text, &record->lane) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_http_conduit_redis_check(record);
}


/* whatever somebody else has written, nothing points outside of a text */

static ngx_int_t
ngx_http_conduit_redis_check(ngx_http_conduit_record_t *record)
{
    if (record->sequence == 0 || record->status > 4 || record->kind > 1
        || record->progress > 100 || record->error_code >= CONDUIT_ERR_N
        || !ngx_http_conduit_redis_is_time(record->created)
        || !ngx_http_conduit_redis_is_time(record->started)
        || !ngx_http_conduit_redis_is_time(record->updated)
        || !ngx_http_conduit_redis_is_time(record->completed)
        || !ngx_http_conduit_redis_is_time(record->deadline)
        || !ngx_http_conduit_redis_is_time(record->timeout)
        || record->provider.len > NGX_HTTP_CONDUIT_NAME_LEN
        || record->lane.len > NGX_HTTP_CONDUIT_NAME_LEN)
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


static ngx_uint_t
ngx_http_conduit_redis_inside(uint64_t off, uint64_t len, size_t size)
{
    return off + len <= size;
}


ngx_int_t
ngx_http_conduit_redis_check_texts(ngx_http_conduit_record_t *record)
{
    size_t  size;

    size = record->document.len;

    if (size == 0
        || !ngx_http_conduit_redis_inside(record->status_off, 16, size)
        || !ngx_http_conduit_redis_inside(record->position_off, 4, size)
        || !ngx_http_conduit_redis_inside(record->model_off,
                                          record->model_len, size)
        || !ngx_http_conduit_redis_inside(record->metadata_off,
                                          record->metadata_len, size)
        || !ngx_http_conduit_redis_inside(record->result_off,
                                          record->result_len, size)
        || !ngx_http_conduit_redis_inside(record->error_off,
                                          record->error_len, size))
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


static uint64_t
ngx_http_conduit_redis_load(u_char *p, size_t size)
{
    uint32_t  n32;
    uint64_t  n64;

    switch (size) {

    case 1:
        return *p;

    case 4:
        ngx_memcpy(&n32, p, 4);
        return n32;

    default:
        ngx_memcpy(&n64, p, 8);
        return n64;
    }
}


static ngx_int_t
ngx_http_conduit_redis_store(u_char *p, size_t size, uint64_t n)
{
    uint32_t  n32;

    switch (size) {

    case 1:

        if (n > 255) {
            return NGX_ERROR;
        }

        *p = (u_char) n;
        return NGX_OK;

    case 4:
        n32 = (uint32_t) n;

        if (n32 != n) {
            return NGX_ERROR;
        }

        ngx_memcpy(p, &n32, 4);
        return NGX_OK;

    default:
        ngx_memcpy(p, &n, 8);
        return NGX_OK;
    }
}


/* takes a line off the begin of the text */

static ngx_int_t
ngx_http_conduit_redis_line(ngx_str_t *rest, ngx_str_t *line)
{
    u_char  *p;

    p = ngx_strlchr(rest->data, rest->data + rest->len, LF);

    if (p == NULL) {
        return NGX_ERROR;
    }

    line->data = rest->data;
    line->len = p - rest->data;

    rest->len -= line->len + 1;
    rest->data = p + 1;

    return NGX_OK;
}
