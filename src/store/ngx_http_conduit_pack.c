
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <ngx_http_conduit_lmdb.h>
#include <ngx_http_conduit_pack.h>


/* a text that stays what it was in the record before */

#define NGX_HTTP_CONDUIT_PACK_SAME  0xffffffff


typedef struct {
    uint32_t                          request_len;
    uint32_t                          webhook_len;
    uint32_t                          prompt_off;
    uint32_t                          prompt_len;
    int64_t                           created;
    u_char                            id[NGX_HTTP_CONDUIT_ID_LEN];
    u_char                            kind;
    u_char                            key_len;
    u_char                            pad[6];
} ngx_http_conduit_pack_task_t;


typedef struct {
    uint32_t                          document_len;
    uint32_t                          run_len;
    uint64_t                          sequence;
    int64_t                           started;
    int64_t                           updated;
    int64_t                           completed;
    int64_t                           deadline;
    int64_t                           timeout;
    uint32_t                          status_off;
    uint32_t                          position_off;
    uint32_t                          model_off;
    uint32_t                          model_len;
    uint32_t                          metadata_off;
    uint32_t                          metadata_len;
    uint32_t                          result_off;
    uint32_t                          result_len;
    uint32_t                          error_off;
    uint32_t                          error_len;
    uint32_t                          head_len;
    uint32_t                          shown;
    u_char                            status;
    u_char                            step;
    u_char                            progress;
    u_char                            attempts;
    u_char                            error_code;
    u_char                            hooks;
    u_char                            provider_len;
    u_char                            lane_len;
} ngx_http_conduit_pack_state_t;


typedef struct {
    u_char                            digest[32];
    u_char                            fingerprint[32];
    u_char                            id[NGX_HTTP_CONDUIT_ID_LEN];
    int64_t                           until;
    uint32_t                          reply_len;
    uint32_t                          code;
} ngx_http_conduit_pack_key_t;


typedef struct {
    uint32_t                          body_len;
    uint32_t                          rate;
    uint32_t                          span;
    u_short                           attempts;
    u_short                           tries;
    u_short                           last_status;
    u_char                            last_failure;
    u_char                            event;
    u_char                            state;
    u_char                            jose;
    u_char                            pad[2];
    uint64_t                          sequence;
    int64_t                           created;
    int64_t                           updated;
    int64_t                           delivered;
    int64_t                           next;
    u_char                            origin[NGX_HTTP_CONDUIT_ID_LEN];
    u_char                            id[CONDUIT_BASE62_LEN];
    u_char                            more[2];
} ngx_http_conduit_pack_hook_t;


static size_t ngx_http_conduit_pack_merge_hook(u_char *to, ngx_str_t *value,
    ngx_str_t *old);
static u_char *ngx_http_conduit_pack_text(u_char *p, ngx_str_t *text);
static void ngx_http_conduit_unpack_text(u_char **p, ngx_str_t *text,
    size_t len);
static void ngx_http_conduit_unpack_state(ngx_http_conduit_record_t *record,
    ngx_http_conduit_pack_state_t *head);


size_t
ngx_http_conduit_pack_task_size(ngx_http_conduit_record_t *record)
{
    return sizeof(ngx_http_conduit_pack_task_t) + record->key.len
           + record->request.len + record->webhook.len;
}


u_char *
ngx_http_conduit_pack_task(u_char *p, ngx_http_conduit_record_t *record)
{
    ngx_http_conduit_pack_task_t  head;

    ngx_memzero(&head, sizeof(ngx_http_conduit_pack_task_t));

    head.request_len = (uint32_t) record->request.len;
    head.webhook_len = (uint32_t) record->webhook.len;
    head.prompt_off = record->prompt_off;
    head.prompt_len = record->prompt_len;
    head.created = record->created;
    head.kind = record->kind;
    head.key_len = (u_char) record->key.len;
    ngx_memcpy(head.id, record->id, NGX_HTTP_CONDUIT_ID_LEN);

    p = ngx_cpymem(p, &head, sizeof(ngx_http_conduit_pack_task_t));
    p = ngx_http_conduit_pack_text(p, &record->key);
    p = ngx_http_conduit_pack_text(p, &record->request);

    return ngx_http_conduit_pack_text(p, &record->webhook);
}


size_t
ngx_http_conduit_pack_state_size(ngx_http_conduit_record_t *record)
{
    return sizeof(ngx_http_conduit_pack_state_t) + record->provider.len
           + record->lane.len + record->document.len + record->run.len;
}


u_char *
ngx_http_conduit_pack_state(u_char *p, ngx_http_conduit_record_t *record)
{
    ngx_http_conduit_pack_state_t  head;

    ngx_memzero(&head, sizeof(ngx_http_conduit_pack_state_t));

    head.document_len = record->document.data
                        ? (uint32_t) record->document.len
                        : NGX_HTTP_CONDUIT_PACK_SAME;
    head.run_len = record->run.data ? (uint32_t) record->run.len
                                    : NGX_HTTP_CONDUIT_PACK_SAME;

    head.sequence = record->sequence;
    head.started = record->started;
    head.updated = record->updated;
    head.completed = record->completed;
    head.deadline = record->deadline;
    head.timeout = record->timeout;
    head.status_off = record->status_off;
    head.position_off = record->position_off;
    head.model_off = record->model_off;
    head.model_len = record->model_len;
    head.metadata_off = record->metadata_off;
    head.metadata_len = record->metadata_len;
    head.result_off = record->result_off;
    head.result_len = record->result_len;
    head.error_off = record->error_off;
    head.error_len = record->error_len;
    head.head_len = record->head_len;
    head.shown = record->shown;
    head.status = record->status;
    head.step = record->step;
    head.progress = record->progress;
    head.attempts = record->attempts;
    head.error_code = record->error_code;
    head.hooks = record->hooks;
    head.provider_len = (u_char) record->provider.len;
    head.lane_len = (u_char) record->lane.len;

    p = ngx_cpymem(p, &head, sizeof(ngx_http_conduit_pack_state_t));
    p = ngx_http_conduit_pack_text(p, &record->provider);
    p = ngx_http_conduit_pack_text(p, &record->lane);
    p = ngx_http_conduit_pack_text(p, &record->document);

    return ngx_http_conduit_pack_text(p, &record->run);
}


size_t
ngx_http_conduit_pack_merge(ngx_uint_t table, u_char *to, ngx_str_t *value,
    ngx_str_t *old)
{
    u_char                         *p, *from, *was;
    ngx_http_conduit_pack_state_t   head, before;

    if (table == NGX_HTTP_CONDUIT_LMDB_HOOKS) {
        return ngx_http_conduit_pack_merge_hook(to, value, old);
    }

    if (old->len < sizeof(ngx_http_conduit_pack_state_t)) {
        return 0;
    }

    ngx_memcpy(&head, value->data, sizeof(ngx_http_conduit_pack_state_t));
    ngx_memcpy(&before, old->data, sizeof(ngx_http_conduit_pack_state_t));

    from = value->data + sizeof(ngx_http_conduit_pack_state_t);
    was = old->data + sizeof(ngx_http_conduit_pack_state_t)
          + before.provider_len + before.lane_len;

    p = to + sizeof(ngx_http_conduit_pack_state_t);
    p = ngx_cpymem(p, from, head.provider_len + head.lane_len);
    from += head.provider_len + head.lane_len;

    if (head.document_len == NGX_HTTP_CONDUIT_PACK_SAME) {
        head.document_len = before.document_len;
        p = ngx_cpymem(p, was, before.document_len);

    } else {
        p = ngx_cpymem(p, from, head.document_len);
        from += head.document_len;
    }

    was += before.document_len;

    if (head.run_len == NGX_HTTP_CONDUIT_PACK_SAME) {
        head.run_len = before.run_len;
        head.head_len = before.head_len;
        p = ngx_cpymem(p, was, before.run_len);

    } else {
        p = ngx_cpymem(p, from, head.run_len);
    }

    ngx_memcpy(to, &head, sizeof(ngx_http_conduit_pack_state_t));

    return p - to;
}


/*
 * Rate, origin and event are of the event, too.  Workers write each for itself,
 * and one whose disk was slow is late: what it says is older if there have been
 * more attempts, or if it knows of tries before they began anew.
 */

static size_t
ngx_http_conduit_pack_merge_hook(u_char *to, ngx_str_t *value,
    ngx_str_t *old)
{
    ngx_http_conduit_pack_hook_t  head, before;

    if (old->len < sizeof(ngx_http_conduit_pack_hook_t)) {
        return 0;
    }

    ngx_memcpy(&head, value->data, sizeof(ngx_http_conduit_pack_hook_t));
    ngx_memcpy(&before, old->data, sizeof(ngx_http_conduit_pack_hook_t));

    if (head.attempts < before.attempts
        || (head.attempts == before.attempts && head.tries > before.tries))
    {
        head = before;
    }

    head.body_len = before.body_len;
    head.rate = before.rate;
    head.span = before.span;

    ngx_memcpy(to, &head, sizeof(ngx_http_conduit_pack_hook_t));
    ngx_memcpy(to + sizeof(ngx_http_conduit_pack_hook_t),
               old->data + sizeof(ngx_http_conduit_pack_hook_t),
               before.body_len);

    return sizeof(ngx_http_conduit_pack_hook_t) + before.body_len;
}


size_t
ngx_http_conduit_pack_hook_size(ngx_http_conduit_kept_hook_t *hook)
{
    return sizeof(ngx_http_conduit_pack_hook_t) + hook->body.len;
}


u_char *
ngx_http_conduit_pack_hook(u_char *p, ngx_http_conduit_kept_hook_t *hook)
{
    ngx_http_conduit_pack_hook_t  head;

    ngx_memzero(&head, sizeof(ngx_http_conduit_pack_hook_t));

    ngx_memcpy(head.id, hook->id, CONDUIT_BASE62_LEN);
    ngx_memcpy(head.origin, hook->origin, NGX_HTTP_CONDUIT_ID_LEN);

    head.body_len = (uint32_t) hook->body.len;
    head.rate = hook->rate;
    head.span = hook->span;
    head.attempts = hook->attempts;
    head.tries = hook->tries;
    head.last_status = hook->last_status;
    head.last_failure = hook->last_failure;
    head.event = hook->event;
    head.state = hook->state;
    head.jose = hook->jose;
    head.sequence = hook->sequence;
    head.created = hook->created;
    head.updated = hook->updated;
    head.delivered = hook->delivered;
    head.next = hook->next;

    p = ngx_cpymem(p, &head, sizeof(ngx_http_conduit_pack_hook_t));

    return ngx_http_conduit_pack_text(p, &hook->body);
}


size_t
ngx_http_conduit_pack_key_size(ngx_http_conduit_record_t *record)
{
    return sizeof(ngx_http_conduit_pack_key_t) + record->reply.len;
}


u_char *
ngx_http_conduit_pack_key(u_char *p, ngx_http_conduit_record_t *record)
{
    ngx_http_conduit_pack_key_t  head;

    ngx_memzero(&head, sizeof(ngx_http_conduit_pack_key_t));

    ngx_memcpy(head.digest, record->digest, sizeof(head.digest));
    ngx_memcpy(head.fingerprint, record->fingerprint,
               sizeof(head.fingerprint));
    ngx_memcpy(head.id, record->id, NGX_HTTP_CONDUIT_ID_LEN);

    head.until = record->until;
    head.reply_len = (uint32_t) record->reply.len;
    head.code = (uint32_t) record->code;

    p = ngx_cpymem(p, &head, sizeof(ngx_http_conduit_pack_key_t));

    return ngx_http_conduit_pack_text(p, &record->reply);
}


ngx_int_t
ngx_http_conduit_unpack(ngx_http_conduit_record_t *record, ngx_str_t *task,
    ngx_str_t *state)
{
    u_char                         *p;
    ngx_http_conduit_pack_task_t    head;
    ngx_http_conduit_pack_state_t   now;

    ngx_memzero(record, sizeof(ngx_http_conduit_record_t));

    if (task->len < sizeof(ngx_http_conduit_pack_task_t)
        || state->len < sizeof(ngx_http_conduit_pack_state_t))
    {
        return NGX_ERROR;
    }

    ngx_memcpy(&head, task->data, sizeof(ngx_http_conduit_pack_task_t));
    ngx_memcpy(&now, state->data, sizeof(ngx_http_conduit_pack_state_t));

    if (task->len != sizeof(ngx_http_conduit_pack_task_t) + head.key_len
                     + (size_t) head.request_len + head.webhook_len
        || state->len != sizeof(ngx_http_conduit_pack_state_t)
                         + now.provider_len + now.lane_len
                         + (size_t) now.document_len + now.run_len)
    {
        return NGX_ERROR;
    }

    ngx_memcpy(record->id, head.id, NGX_HTTP_CONDUIT_ID_LEN);

    record->created = head.created;
    record->prompt_off = head.prompt_off;
    record->prompt_len = head.prompt_len;
    record->kind = head.kind;

    p = task->data + sizeof(ngx_http_conduit_pack_task_t);

    ngx_http_conduit_unpack_text(&p, &record->key, head.key_len);
    ngx_http_conduit_unpack_text(&p, &record->request, head.request_len);
    ngx_http_conduit_unpack_text(&p, &record->webhook, head.webhook_len);

    ngx_http_conduit_unpack_state(record, &now);

    p = state->data + sizeof(ngx_http_conduit_pack_state_t);

    ngx_http_conduit_unpack_text(&p, &record->provider, now.provider_len);
    ngx_http_conduit_unpack_text(&p, &record->lane, now.lane_len);
    ngx_http_conduit_unpack_text(&p, &record->document, now.document_len);
    ngx_http_conduit_unpack_text(&p, &record->run, now.run_len);

    return NGX_OK;
}


static void
ngx_http_conduit_unpack_state(ngx_http_conduit_record_t *record,
    ngx_http_conduit_pack_state_t *head)
{
    record->sequence = head->sequence;
    record->started = head->started;
    record->updated = head->updated;
    record->completed = head->completed;
    record->deadline = head->deadline;
    record->timeout = head->timeout;
    record->status_off = head->status_off;
    record->position_off = head->position_off;
    record->model_off = head->model_off;
    record->model_len = head->model_len;
    record->metadata_off = head->metadata_off;
    record->metadata_len = head->metadata_len;
    record->result_off = head->result_off;
    record->result_len = head->result_len;
    record->error_off = head->error_off;
    record->error_len = head->error_len;
    record->head_len = head->head_len;
    record->shown = head->shown;
    record->status = head->status;
    record->step = head->step;
    record->progress = head->progress;
    record->attempts = head->attempts;
    record->error_code = head->error_code;
    record->hooks = head->hooks;
}


ngx_int_t
ngx_http_conduit_unpack_hook(ngx_http_conduit_kept_hook_t *hook,
    ngx_str_t *value)
{
    u_char                        *p;
    ngx_http_conduit_pack_hook_t   head;

    ngx_memzero(hook, sizeof(ngx_http_conduit_kept_hook_t));

    if (value->len < sizeof(ngx_http_conduit_pack_hook_t)) {
        return NGX_ERROR;
    }

    ngx_memcpy(&head, value->data, sizeof(ngx_http_conduit_pack_hook_t));

    if (value->len != sizeof(ngx_http_conduit_pack_hook_t)
                      + (size_t) head.body_len)
    {
        return NGX_ERROR;
    }

    ngx_memcpy(hook->id, head.id, CONDUIT_BASE62_LEN);
    ngx_memcpy(hook->origin, head.origin, NGX_HTTP_CONDUIT_ID_LEN);

    hook->rate = head.rate;
    hook->span = head.span;
    hook->attempts = head.attempts;
    hook->tries = head.tries;
    hook->last_status = head.last_status;
    hook->last_failure = head.last_failure;
    hook->event = head.event;
    hook->state = head.state;
    hook->jose = head.jose;
    hook->sequence = head.sequence;
    hook->created = head.created;
    hook->updated = head.updated;
    hook->delivered = head.delivered;
    hook->next = head.next;

    p = value->data + sizeof(ngx_http_conduit_pack_hook_t);

    ngx_http_conduit_unpack_text(&p, &hook->body, head.body_len);

    return NGX_OK;
}


ngx_int_t
ngx_http_conduit_unpack_key(ngx_http_conduit_record_t *record,
    ngx_str_t *value)
{
    u_char                       *p;
    ngx_http_conduit_pack_key_t   head;

    ngx_memzero(record, sizeof(ngx_http_conduit_record_t));

    if (value->len < sizeof(ngx_http_conduit_pack_key_t)) {
        return NGX_ERROR;
    }

    ngx_memcpy(&head, value->data, sizeof(ngx_http_conduit_pack_key_t));

    if (value->len != sizeof(ngx_http_conduit_pack_key_t)
                      + (size_t) head.reply_len)
    {
        return NGX_ERROR;
    }

    p = value->data;

    ngx_memcpy(record->id, head.id, NGX_HTTP_CONDUIT_ID_LEN);

    record->digest = p + offsetof(ngx_http_conduit_pack_key_t, digest);
    record->fingerprint = p
                          + offsetof(ngx_http_conduit_pack_key_t, fingerprint);
    record->until = head.until;
    record->code = head.code;

    p += sizeof(ngx_http_conduit_pack_key_t);

    ngx_http_conduit_unpack_text(&p, &record->reply, head.reply_len);

    return NGX_OK;
}


static u_char *
ngx_http_conduit_pack_text(u_char *p, ngx_str_t *text)
{
    return text->data ? ngx_cpymem(p, text->data, text->len) : p;
}


static void
ngx_http_conduit_unpack_text(u_char **p, ngx_str_t *text, size_t len)
{
    text->data = *p;
    text->len = len;

    *p += len;
}
