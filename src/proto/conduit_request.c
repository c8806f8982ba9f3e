
/*
 * Copyright (C) Conduit for nginx authors
 */


#include "conduit_request.h"
#include "conduit_webhook.h"


/* the members that are looked at */

typedef enum {
    CONDUIT_MEMBER_PROMPT = 0,
    CONDUIT_MEMBER_MODEL,
    CONDUIT_MEMBER_N,
    CONDUIT_MEMBER_SIZE,
    CONDUIT_MEMBER_QUALITY,
    CONDUIT_MEMBER_STYLE,
    CONDUIT_MEMBER_USER,
    CONDUIT_MEMBER_IMAGE,
    CONDUIT_MEMBER_FORMAT,
    CONDUIT_MEMBER_DURATION,
    CONDUIT_MEMBER_FPS,
    CONDUIT_MEMBER_SEED,
    CONDUIT_MEMBER_TIMEOUT,
    CONDUIT_MEMBER_NONE
} conduit_member_e;


typedef struct {
    conduit_request_t             *req;
    json_t                        *root;      /* NULL: not parsed yet */
    const conduit_addr_policy_t   *policy;
    conduit_fault_t               *fault;
    const u_char                  *body;
    size_t                         len;
    u_char                        *last;      /* free part of the buffer */
    int                            hooks;     /* are there webhook_*? */

    /* values as sent; empty if absent, or null, which counts as absent */

    conduit_str_t                  values[CONDUIT_MEMBER_NONE];
} conduit_request_ctx_t;


static int conduit_request_tree(conduit_request_ctx_t *ctx);
static void conduit_request_index(conduit_request_ctx_t *ctx);
static conduit_member_e conduit_request_member(
    const conduit_json_member_t *member);
static int conduit_request_members(conduit_request_ctx_t *ctx);
static int conduit_request_hooks(conduit_request_ctx_t *ctx);
static int conduit_request_text(conduit_request_ctx_t *ctx,
    conduit_member_e member, conduit_str_t *text);
static int conduit_request_number(const conduit_str_t *value, int64_t *n);
static int conduit_request_prompt(conduit_request_ctx_t *ctx);
static int conduit_request_model(conduit_request_ctx_t *ctx);
static int conduit_request_strings(conduit_request_ctx_t *ctx);
static int conduit_request_numbers(conduit_request_ctx_t *ctx);
static int conduit_request_integer(conduit_request_ctx_t *ctx,
    conduit_member_e member, const char *text, uint32_t max, uint32_t *value);
static int conduit_request_size(conduit_request_ctx_t *ctx);
static const u_char *conduit_request_side(const u_char *p,
    const u_char *last, uint32_t *side);
static int conduit_request_format(conduit_request_ctx_t *ctx);


static const char *const  conduit_request_names[CONDUIT_MEMBER_NONE] = {
    "prompt", "model", "n", "size", "quality", "style", "user", "image",
    "response_format", "duration", "fps", "seed", "timeout_seconds"
};


int
conduit_request_parse(conduit_request_t *req, conduit_kind_e kind, u_char *buf,
    const u_char *body, size_t len, const conduit_addr_policy_t *policy,
    conduit_fault_t *fault)
{
    int                    rc;
    conduit_request_ctx_t  ctx;

    memset(req, 0, sizeof(conduit_request_t));

    req->kind = kind;
    req->n = 1;

    ctx.req = req;
    ctx.policy = policy;
    ctx.fault = fault;
    ctx.body = body;
    ctx.len = len;
    ctx.last = buf;

    ctx.root = NULL;

    /* most bodies need no tree of values */

    if (!conduit_json_plain(body, len)) {
        rc = conduit_request_tree(&ctx);

        if (rc != CONDUIT_OK) {
            return rc;
        }
    }

    conduit_request_index(&ctx);

    rc = conduit_request_members(&ctx);

    json_decref(ctx.root);

    return rc;
}


static int
conduit_request_tree(conduit_request_ctx_t *ctx)
{
    conduit_json_error_t  err;

    ctx->root = conduit_json_parse(ctx->body, ctx->len, &err);

    if (ctx->root == NULL) {
        conduit_fault_json(ctx->fault, &err);
        return CONDUIT_DECLINED;
    }

    if (!json_is_object(ctx->root)) {
        conduit_fault(ctx->fault, "", "The request body must be a JSON object",
                      "invalid_json");
        json_decref(ctx->root);
        return CONDUIT_DECLINED;
    }

    return CONDUIT_OK;
}


/*
 * Notes the members and copies those that the provider may get: one by one
 * and as sent, for no number may change its digits.
 */

static void
conduit_request_index(conduit_request_ctx_t *ctx)
{
    u_char                 *start, *p;
    const u_char           *pos, *last;
    conduit_member_e        n;
    conduit_json_member_t   member;

    memset(ctx->values, 0, sizeof(ctx->values));

    ctx->hooks = 0;

    pos = ctx->body;
    last = pos + ctx->len;

    start = ctx->last;
    p = start;
    *p++ = '{';

    while (conduit_json_next(&pos, last, &member) == CONDUIT_OK) {

        if (conduit_json_name_eq(&member.name, "webhook_", 1)) {
            ctx->hooks = 1;
            continue;
        }

        n = conduit_request_member(&member);

        if (n != CONDUIT_MEMBER_NONE && member.value.data[0] != 'n') {
            ctx->values[n] = member.value;
        }

        if (n == CONDUIT_MEMBER_TIMEOUT) {
            continue;
        }

        if (p > start + 1) {
            *p++ = ',';
        }

        memcpy(p, member.name.data, member.name.len);
        p += member.name.len;
        *p++ = ':';

        if (n == CONDUIT_MEMBER_PROMPT) {
            ctx->req->prompt_json.data = p;
            ctx->req->prompt_json.len = member.value.len;
        }

        p += conduit_json_compact(p, member.value.data, member.value.len);
    }

    *p++ = '}';

    ctx->req->document.data = start;
    ctx->req->document.len = (size_t) (p - start);

    ctx->last = p;
}


static conduit_member_e
conduit_request_member(const conduit_json_member_t *member)
{
    conduit_member_e  n;

    for (n = 0; n < CONDUIT_MEMBER_NONE; n++) {
        if (conduit_json_name_eq(&member->name, conduit_request_names[n], 0)) {
            break;
        }
    }

    return n;
}


static int
conduit_request_members(conduit_request_ctx_t *ctx)
{
    if (conduit_request_prompt(ctx) != CONDUIT_OK
        || conduit_request_model(ctx) != CONDUIT_OK
        || conduit_request_strings(ctx) != CONDUIT_OK
        || conduit_request_size(ctx) != CONDUIT_OK
        || conduit_request_format(ctx) != CONDUIT_OK
        || conduit_request_numbers(ctx) != CONDUIT_OK)
    {
        return CONDUIT_DECLINED;
    }

    return ctx->hooks ? conduit_request_hooks(ctx) : CONDUIT_OK;
}


static int
conduit_request_hooks(conduit_request_ctx_t *ctx)
{
    int                   rc;
    conduit_hook_input_t  in;

    if (ctx->root == NULL) {
        rc = conduit_request_tree(ctx);

        if (rc != CONDUIT_OK) {
            return rc;
        }
    }

    in.root = ctx->root;
    in.body = ctx->body;
    in.len = ctx->len;
    in.policy = ctx->policy;

    return conduit_webhook_members(ctx->req, &in, &ctx->last, ctx->fault);
}


/* the text of a string, in the free part of the buffer, which stays free */

static int
conduit_request_text(conduit_request_ctx_t *ctx, conduit_member_e member,
    conduit_str_t *text)
{
    conduit_str_t  *value;

    value = &ctx->values[member];

    if (value->data[0] != '"') {
        return CONDUIT_DECLINED;
    }

    text->data = ctx->last;
    text->len = conduit_json_unescape(ctx->last, value->data, value->len);

    return CONDUIT_OK;
}


/* no fraction and no exponent; integers of a valid document fit int64_t */

static int
conduit_request_number(const conduit_str_t *value, int64_t *n)
{
    size_t    i;
    uint64_t  v;

    i = (value->data[0] == '-');

    if (i == value->len) {
        return CONDUIT_DECLINED;
    }

    for (v = 0; i < value->len; i++) {

        if (value->data[i] < '0' || value->data[i] > '9') {
            return CONDUIT_DECLINED;
        }

        v = v * 10 + (uint64_t) (value->data[i] - '0');
    }

    *n = (int64_t) (value->data[0] == '-' ? 0 - v : v);

    return CONDUIT_OK;
}


static int
conduit_request_prompt(conduit_request_ctx_t *ctx)
{
    size_t          len;
    conduit_str_t  *prompt;

    prompt = &ctx->req->prompt;

    if (ctx->values[CONDUIT_MEMBER_PROMPT].len == 0) {
        conduit_fault(ctx->fault, "prompt", "is required",
                      "missing_required_parameter");
        return CONDUIT_DECLINED;
    }

    if (conduit_request_text(ctx, CONDUIT_MEMBER_PROMPT, prompt) != CONDUIT_OK)
    {
        conduit_fault(ctx->fault, "prompt", "must be a string", NULL);
        return CONDUIT_DECLINED;
    }

    len = conduit_utf8_length(prompt->data, prompt->len);

    if (len == 0 || len > CONDUIT_PROMPT_MAX) {
        conduit_fault(ctx->fault, "prompt",
                      "must have 1 to 32000 characters", NULL);
        return CONDUIT_DECLINED;
    }

    ctx->last += prompt->len;

    return CONDUIT_OK;
}


static int
conduit_request_model(conduit_request_ctx_t *ctx)
{
    conduit_str_t  *model;

    model = &ctx->req->model;

    if (ctx->values[CONDUIT_MEMBER_MODEL].len == 0) {
        conduit_fault(ctx->fault, "model", "is required",
                      "missing_required_parameter");
        return CONDUIT_DECLINED;
    }

    if (conduit_request_text(ctx, CONDUIT_MEMBER_MODEL, model) != CONDUIT_OK
        || model->len == 0)
    {
        conduit_fault(ctx->fault, "model", "must be a string that is not empty",
                      NULL);
        return CONDUIT_DECLINED;
    }

    ctx->last += model->len;

    return CONDUIT_OK;
}


static int
conduit_request_strings(conduit_request_ctx_t *ctx)
{
    int            i;
    conduit_str_t  text;

    for (i = CONDUIT_MEMBER_QUALITY; i <= CONDUIT_MEMBER_IMAGE; i++) {

        if (ctx->values[i].len == 0) {
            continue;
        }

        if (i == CONDUIT_MEMBER_IMAGE && ctx->values[i].data[0] == '"') {
            continue;
        }

        if (conduit_request_text(ctx, i, &text) != CONDUIT_OK) {
            conduit_fault(ctx->fault, conduit_request_names[i],
                          "must be a string", NULL);
            return CONDUIT_DECLINED;
        }

        if (conduit_utf8_length(text.data, text.len) > CONDUIT_STRING_MAX) {
            conduit_fault(ctx->fault, conduit_request_names[i],
                          "must have at most 256 characters", NULL);
            return CONDUIT_DECLINED;
        }
    }

    return CONDUIT_OK;
}


static int
conduit_request_numbers(conduit_request_ctx_t *ctx)
{
    conduit_str_t      *seed;
    conduit_request_t  *req;

    req = ctx->req;

    if (conduit_request_integer(ctx, CONDUIT_MEMBER_N,
                                "must be an integer from 1 to 10", 10,
                                &req->n)
        != CONDUIT_OK
        || conduit_request_integer(ctx, CONDUIT_MEMBER_DURATION,
                                   "must be an integer from 1 to 60", 60,
                                   &req->duration)
           != CONDUIT_OK
        || conduit_request_integer(ctx, CONDUIT_MEMBER_FPS,
                                   "must be an integer from 1 to 120", 120,
                                   &req->fps)
           != CONDUIT_OK
        || conduit_request_integer(ctx, CONDUIT_MEMBER_TIMEOUT,
                                   "must be an integer from 1 to 3600", 3600,
                                   &req->timeout_seconds)
           != CONDUIT_OK)
    {
        return CONDUIT_DECLINED;
    }

    seed = &ctx->values[CONDUIT_MEMBER_SEED];

    if (seed->len == 0) {
        return CONDUIT_OK;
    }

    if (conduit_request_number(seed, &req->seed) != CONDUIT_OK) {
        conduit_fault(ctx->fault, "seed", "must be an integer", NULL);
        return CONDUIT_DECLINED;
    }

    req->has_seed = 1;

    return CONDUIT_OK;
}


/* an integer from 1 to max; *value stays as it is when the member is absent */

static int
conduit_request_integer(conduit_request_ctx_t *ctx, conduit_member_e member,
    const char *text, uint32_t max, uint32_t *value)
{
    int64_t  n;

    if (ctx->values[member].len == 0) {
        return CONDUIT_OK;
    }

    if (conduit_request_number(&ctx->values[member], &n) != CONDUIT_OK
        || n < 1 || n > (int64_t) max)
    {
        conduit_fault(ctx->fault, conduit_request_names[member], text, NULL);
        return CONDUIT_DECLINED;
    }

    *value = (uint32_t) n;

    return CONDUIT_OK;
}


static int
conduit_request_size(conduit_request_ctx_t *ctx)
{
    const u_char       *p, *last;
    conduit_str_t      *size;
    conduit_request_t  *req;

    req = ctx->req;
    size = &req->size;

    if (ctx->values[CONDUIT_MEMBER_SIZE].len == 0) {
        return CONDUIT_OK;
    }

    if (conduit_request_text(ctx, CONDUIT_MEMBER_SIZE, size) != CONDUIT_OK) {
        conduit_fault(ctx->fault, "size", "must be a string", NULL);
        return CONDUIT_DECLINED;
    }

    ctx->last += size->len;

    if (size->len == 4 && memcmp(size->data, "auto", 4) == 0) {
        return CONDUIT_OK;
    }

    last = size->data + size->len;
    p = conduit_request_side(size->data, last, &req->width);

    if (p != NULL) {
        p = (p < last && *p == 'x')
            ? conduit_request_side(p + 1, last, &req->height) : NULL;
    }

    if (p != last) {
        conduit_fault(ctx->fault, "size",
                      "must be \"auto\" or \"WIDTHxHEIGHT\" with sides"
                      " from 1 to 8192", NULL);
        return CONDUIT_DECLINED;
    }

    return CONDUIT_OK;
}


/* returns what follows the number, or NULL unless it is from 1 to 8192 */

static const u_char *
conduit_request_side(const u_char *p, const u_char *last, uint32_t *side)
{
    uint32_t  n;

    if (p == last || *p < '1' || *p > '9') {
        return NULL;
    }

    for (n = 0; p < last && *p >= '0' && *p <= '9'; p++) {
        n = n * 10 + (uint32_t) (*p - '0');

        if (n > 8192) {
            return NULL;
        }
    }

    *side = n;

    return p;
}


static int
conduit_request_format(conduit_request_ctx_t *ctx)
{
    conduit_str_t  text;

    if (ctx->values[CONDUIT_MEMBER_FORMAT].len == 0) {
        return CONDUIT_OK;
    }

    if (conduit_request_text(ctx, CONDUIT_MEMBER_FORMAT, &text)
        == CONDUIT_OK)
    {
        if (text.len == 8 && memcmp(text.data, "b64_json", 8) == 0) {
            ctx->req->response_format = CONDUIT_FORMAT_B64_JSON;
            return CONDUIT_OK;
        }

        if (text.len == 3 && memcmp(text.data, "url", 3) == 0) {
            return CONDUIT_OK;
        }
    }

    conduit_fault(ctx->fault, "response_format",
                  "must be \"url\" or \"b64_json\"", NULL);

    return CONDUIT_DECLINED;
}
