
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <ngx_http_conduit_document.h>
#include <conduit_request.h>
#include <conduit_retry.h>
#include <conduit_time.h>


#define NGX_HTTP_CONDUIT_DOCUMENT_FIXED  1280
#define NGX_HTTP_CONDUIT_RESULT_FIXED    160

/* a webhook that nothing has been tried of yet, as it is written */

#define NGX_HTTP_CONDUIT_HOOK_UNTOLD                                          \
    "{\"status\":\"pending\",\"attempts\":0,\"last_status\":null,"             \
    "\"last_error\":null}"


static size_t ngx_http_conduit_json_size(ngx_str_t *s);
static u_char *ngx_http_conduit_json_string(u_char *p, ngx_str_t *s);
static u_char *ngx_http_conduit_json_time(u_char *p, int64_t ms);
static u_char *ngx_http_conduit_document_results(
    ngx_http_conduit_document_t *doc, u_char *start, u_char *p);
static u_char *ngx_http_conduit_document_flat(
    ngx_http_conduit_document_t *doc, u_char *p);
static u_char *ngx_http_conduit_document_error(
    ngx_http_conduit_document_t *doc, u_char *start, u_char *p);


ngx_str_t  ngx_http_conduit_hook_words[] = {
    ngx_string("pending"),
    ngx_string("parked"),
    ngx_string("delivered"),
    ngx_string("failed"),
    ngx_string("dropped"),
    ngx_null_string
};


void
ngx_http_conduit_document_webhook(ngx_http_conduit_document_t *doc,
    ngx_uint_t hooks)
{
    ngx_uint_t  told;

    static ngx_uint_t  ends[CONDUIT_STATUS_N] = {
        0, 0, CONDUIT_HOOK_COMPLETED, CONDUIT_HOOK_FAILED,
        CONDUIT_HOOK_CANCELLED
    };

    told = ends[doc->status];

    if (hooks == 0) {
        ngx_str_set(&doc->webhook, "null");

    } else if (told && !(hooks & told)) {
        ngx_str_set(&doc->webhook, "{\"status\":\"none\",\"attempts\":0,"
                    "\"last_status\":null,\"last_error\":null}");

    } else {
        ngx_str_set(&doc->webhook, NGX_HTTP_CONDUIT_HOOK_UNTOLD);
    }
}


/* the member is the last of the document */

void
ngx_http_conduit_document_told(ngx_str_t *document,
    ngx_http_conduit_hook_sum_t *sum)
{
    u_char               *p;
    const conduit_str_t  *word;

    p = document->data + document->len
        - sizeof(NGX_HTTP_CONDUIT_HOOK_UNTOLD "}") + 1;

    p = ngx_sprintf(p, "{\"status\":\"%V\",\"attempts\":%ui,"
                    "\"last_status\":",
                    &ngx_http_conduit_hook_words[sum->state], sum->attempts);

    p = sum->last_status ? ngx_sprintf(p, "%ui", sum->last_status)
                         : ngx_http_conduit_put(p, "null");

    p = ngx_http_conduit_put(p, ",\"last_error\":");

    word = conduit_failure_word(sum->last_failure);

    p = word->len ? ngx_sprintf(p, "\"%*s\"}}", word->len, word->data)
                  : ngx_http_conduit_put(p, "null}}");

    document->len = p - document->data;
}


size_t
ngx_http_conduit_document_size(ngx_http_conduit_document_t *doc)
{
    size_t                      size;
    ngx_uint_t                  i;
    ngx_http_conduit_result_t  *result;

    size = NGX_HTTP_CONDUIT_DOCUMENT_FIXED
           + ngx_http_conduit_json_size(&doc->message)
           + ngx_http_conduit_json_size(&doc->error)
           + 2 * doc->model.len + doc->metadata.len + doc->webhook.len;

    for (i = 0; i < doc->nresults; i++) {
        result = &doc->results[i];

        size += NGX_HTTP_CONDUIT_RESULT_FIXED
                + 3 * ngx_http_conduit_json_size(&result->url)
                + ngx_http_conduit_json_size(&result->mime)
                + result->b64.len;
    }

    return size;
}


u_char *
ngx_http_conduit_document_write(ngx_http_conduit_document_t *doc, u_char *p)
{
    u_char               *start;
    const conduit_str_t  *word;

    start = p;

    p = ngx_http_conduit_put(p, "{\"task_id\":\"");
    conduit_uuid_write(p, doc->id);
    p += CONDUIT_UUID_LEN;

    word = conduit_kind_word(doc->kind);
    p = ngx_http_conduit_put(p, "\",\"object\":\"task\",\"type\":\"");
    p = ngx_cpymem(p, word->data, word->len);
    p = ngx_http_conduit_put(p, "\",\"status\":\"");

    doc->status_off = p - start;

    word = conduit_status_word(doc->status, CONDUIT_WORDS_PLAIN);
    p = ngx_cpymem(p, word->data, word->len);
    p = ngx_http_conduit_put(p, "\",\"progress\":");
    p = conduit_number_write(p, doc->progress);
    p = ngx_http_conduit_put(p, ",\"message\":");
    p = ngx_http_conduit_json_string(p, &doc->message);

    p = ngx_http_conduit_put(p, ",\"estimated_seconds_remaining\":");

    p = (doc->eta < 0) ? ngx_http_conduit_put(p, "null")
                       : conduit_number_write(p, doc->eta);

    p = ngx_http_conduit_put(p, ",\"queue_position\":");
    doc->position_off = p - start;

    p = ngx_http_conduit_put(p, "null,\"model\":");
    doc->model_off = p - start;
    p = ngx_cpymem(p, doc->model.data, doc->model.len);

    p = ngx_http_conduit_put(p, ",\"created_at\":");
    p = ngx_http_conduit_json_time(p, doc->created);
    p = ngx_http_conduit_put(p, ",\"started_at\":");
    p = ngx_http_conduit_json_time(p, doc->started);
    p = ngx_http_conduit_put(p, ",\"updated_at\":");
    p = ngx_http_conduit_json_time(p, doc->updated);
    p = ngx_http_conduit_put(p, ",\"completed_at\":");
    p = ngx_http_conduit_json_time(p, doc->completed);
    p = ngx_http_conduit_put(p, ",\"expires_at\":");
    p = ngx_http_conduit_json_time(p, doc->expires);

    p = ngx_http_conduit_put(p, ",\"sequence\":");
    p = conduit_number_write(p, doc->sequence);
    p = ngx_http_conduit_put(p, ",\"result\":");
    p = ngx_http_conduit_document_results(doc, start, p);
    p = ngx_http_conduit_document_error(doc, start, p);

    p = ngx_http_conduit_put(p, ",\"metadata\":");
    doc->metadata_off = p - start;
    p = ngx_cpymem(p, doc->metadata.data, doc->metadata.len);

    p = ngx_http_conduit_put(p, ",\"webhook\":");
    p = ngx_cpymem(p, doc->webhook.data, doc->webhook.len);
    *p++ = '}';

    return p;
}


static u_char *
ngx_http_conduit_document_results(ngx_http_conduit_document_t *doc,
    u_char *start, u_char *p)
{
    u_char                     *begin;
    ngx_uint_t                  i;
    ngx_http_conduit_result_t  *result;

    if (doc->status != CONDUIT_COMPLETED) {
        return ngx_cpymem(p, "null", 4);
    }

    begin = p;

    p = ngx_sprintf(p, "{\"created\":%L,\"data\":[", doc->completed / 1000);

    for (i = 0; i < doc->nresults; i++) {
        result = &doc->results[i];

        if (i) {
            *p++ = ',';
        }

        if (result->url.len) {
            p = ngx_http_conduit_put(p, "{\"url\":");
            p = ngx_http_conduit_json_string(p, &result->url);

        } else {
            p = ngx_http_conduit_put(p, "{\"b64_json\":\"");
            p = ngx_cpymem(p, result->b64.data, result->b64.len);
            *p++ = '"';
        }

        p = ngx_http_conduit_put(p, ",\"mime_type\":");
        p = ngx_http_conduit_json_string(p, &result->mime);
        p = ngx_http_conduit_put(p, ",\"expires_at\":");
        p = ngx_http_conduit_json_time(p, result->expires);
        *p++ = '}';
    }

    *p++ = ']';

    /* a synchronous create is answered with this much and a brace */

    doc->result_off = begin - start;
    doc->result_len = p - begin;

    p = ngx_http_conduit_put(p, ",\"model\":");
    p = ngx_cpymem(p, doc->model.data, doc->model.len);
    *p++ = '}';

    return ngx_http_conduit_document_flat(doc, p);
}


/* the guide's flat members; results without a URL are left out */

static u_char *
ngx_http_conduit_document_flat(ngx_http_conduit_document_t *doc, u_char *p)
{
    int64_t      ms;
    ngx_str_t   *first;
    ngx_uint_t   i, n;

    first = NULL;

    for (i = 0; i < doc->nresults; i++) {
        if (doc->results[i].url.len) {
            first = &doc->results[i].url;
            break;
        }
    }

    if (doc->kind == CONDUIT_KIND_VIDEO) {
        p = ngx_http_conduit_put(p, ",\"video_url\":");
        p = first ? ngx_http_conduit_json_string(p, first)
                  : ngx_cpymem(p, "null", 4);

    } else {
        p = ngx_http_conduit_put(p, ",\"image_url\":");
        p = first ? ngx_http_conduit_json_string(p, first)
                  : ngx_cpymem(p, "null", 4);

        p = ngx_http_conduit_put(p, ",\"image_urls\":[");

        for (i = 0, n = 0; i < doc->nresults; i++) {
            if (doc->results[i].url.len) {

                if (n++) {
                    *p++ = ',';
                }

                p = ngx_http_conduit_json_string(p, &doc->results[i].url);
            }
        }

        *p++ = ']';
    }

    ms = doc->started ? doc->completed - doc->started : 0;

    return ngx_sprintf(p, ",\"generation_duration_seconds\":%L.%03L",
                       ms / 1000, ms % 1000);
}


static u_char *
ngx_http_conduit_document_error(ngx_http_conduit_document_t *doc,
    u_char *start, u_char *p)
{
    ngx_str_t             error;
    const conduit_str_t  *word;

    if (doc->error_code == CONDUIT_ERR_NONE) {
        return ngx_http_conduit_put(p, ",\"error\":null,\"error_code\":null");
    }

    error = doc->error;

    if (error.len == 0) {
        word = conduit_error_sentence(doc->error_code);
        error.len = word->len;
        error.data = word->data;
    }

    word = conduit_error_word(doc->error_code);

    p = ngx_http_conduit_put(p, ",\"error\":");
    doc->error_off = p - start;
    p = ngx_http_conduit_json_string(p, &error);
    doc->error_len = p - start - doc->error_off;

    return ngx_sprintf(p, ",\"error_code\":\"%*s\"", word->len, word->data);
}


static size_t
ngx_http_conduit_json_size(ngx_str_t *s)
{
    return s->len + ngx_escape_json(NULL, s->data, s->len) + 2;
}


/* an empty string is null */

static u_char *
ngx_http_conduit_json_string(u_char *p, ngx_str_t *s)
{
    if (s->len == 0) {
        return ngx_cpymem(p, "null", 4);
    }

    *p++ = '"';
    p = (u_char *) ngx_escape_json(p, s->data, s->len);
    *p++ = '"';

    return p;
}


static u_char *
ngx_http_conduit_json_time(u_char *p, int64_t ms)
{
    if (ms == 0) {
        return ngx_cpymem(p, "null", 4);
    }

    *p++ = '"';
    p = conduit_time_write(p, ms);
    *p++ = '"';

    return p;
}


ngx_int_t
ngx_http_conduit_document_render(ngx_http_conduit_view_t *view,
    ngx_uint_t words, ngx_pool_t *pool, ngx_str_t *text)
{
    u_char               *p, *doc, *end;
    size_t                rest;
    const conduit_str_t  *plain, *word;

    if (words == NGX_HTTP_CONDUIT_WORDS && view->position == 0
        && view->prompt.len == 0)
    {
        *text = view->document;
        return NGX_OK;
    }

    p = ngx_pnalloc(pool, view->document.len + view->prompt.len
                          + NGX_INT_T_LEN + sizeof(",\"prompt\":"));
    if (p == NULL) {
        return NGX_ERROR;
    }

    text->data = p;

    doc = view->document.data;
    end = doc + view->document.len;

    plain = conduit_status_word(view->status, CONDUIT_WORDS_PLAIN);
    word = conduit_status_word(view->status, words);

    p = ngx_cpymem(p, doc, view->status_off);
    p = ngx_cpymem(p, word->data, word->len);

    rest = view->status_off + plain->len;
    p = ngx_cpymem(p, doc + rest, view->position_off - rest);

    doc += view->position_off;

    if (view->position) {
        p = conduit_number_write(p, view->position);
        doc += sizeof("null") - 1;
    }

    p = ngx_cpymem(p, doc, end - doc);

    if (view->prompt.len) {
        p = ngx_sprintf(p - 1, ",\"prompt\":");
        p = ngx_cpymem(p, view->prompt.data, view->prompt.len);
        *p++ = '}';
    }

    text->len = p - text->data;

    return NGX_OK;
}


ngx_int_t
ngx_http_conduit_document_result(ngx_http_conduit_view_t *view,
    ngx_pool_t *pool, ngx_str_t *text)
{
    u_char  *p;

    text->len = view->result_len + 1;

    text->data = ngx_pnalloc(pool, text->len);
    if (text->data == NULL) {
        return NGX_ERROR;
    }

    p = ngx_cpymem(text->data, view->document.data + view->result_off,
                   view->result_len);
    *p = '}';

    return NGX_OK;
}
