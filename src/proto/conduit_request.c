
/*
 * Copyright (C) Conduit for nginx authors
 */


#include "conduit_request.h"
#include "conduit_webhook.h"


typedef struct {
    conduit_request_t             *req;
    json_t                        *root;
    const conduit_addr_policy_t   *policy;
    conduit_fault_t               *fault;
    const u_char                  *body;
    size_t                         len;
    u_char                        *last;      /* free part of the buffer */
} conduit_request_ctx_t;


static int conduit_request_members(conduit_request_ctx_t *ctx);
static json_t *conduit_request_get(conduit_request_ctx_t *ctx,
    const char *name);
static int conduit_request_prompt(conduit_request_ctx_t *ctx);
static int conduit_request_model(conduit_request_ctx_t *ctx);
static int conduit_request_strings(conduit_request_ctx_t *ctx);
static int conduit_request_numbers(conduit_request_ctx_t *ctx);
static int conduit_request_integer(conduit_request_ctx_t *ctx,
    const char *name, const char *text, uint32_t max, uint32_t *value);
static int conduit_request_size(conduit_request_ctx_t *ctx);
static const char *conduit_request_side(const char *p, uint32_t *side);
static int conduit_request_format(conduit_request_ctx_t *ctx);
static void conduit_request_document(conduit_request_ctx_t *ctx);
static void conduit_request_copy(conduit_request_ctx_t *ctx,
    conduit_str_t *dst, const char *p, size_t len);


int
conduit_request_parse(conduit_request_t *req, conduit_kind_e kind, u_char *buf,
    const u_char *body, size_t len, const conduit_addr_policy_t *policy,
    conduit_fault_t *fault)
{
    int                    rc;
    conduit_json_error_t   err;
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

    ctx.root = conduit_json_parse(body, len, &err);

    if (ctx.root == NULL) {
        conduit_fault_json(fault, &err);
        return CONDUIT_DECLINED;
    }

    if (!json_is_object(ctx.root)) {
        conduit_fault(fault, "", "The request body must be a JSON object",
                      "invalid_json");
        json_decref(ctx.root);
        return CONDUIT_DECLINED;
    }

    rc = conduit_request_members(&ctx);

    json_decref(ctx.root);

    return rc;
}


static int
conduit_request_members(conduit_request_ctx_t *ctx)
{
    conduit_hook_input_t  in;

    if (conduit_request_prompt(ctx) != CONDUIT_OK
        || conduit_request_model(ctx) != CONDUIT_OK
        || conduit_request_strings(ctx) != CONDUIT_OK
        || conduit_request_size(ctx) != CONDUIT_OK
        || conduit_request_format(ctx) != CONDUIT_OK
        || conduit_request_numbers(ctx) != CONDUIT_OK)
    {
        return CONDUIT_DECLINED;
    }

    conduit_request_document(ctx);

    in.root = ctx->root;
    in.body = ctx->body;
    in.len = ctx->len;
    in.policy = ctx->policy;

    return conduit_webhook_members(ctx->req, &in, &ctx->last, ctx->fault);
}


/* an optional member that is null counts as absent */

static json_t *
conduit_request_get(conduit_request_ctx_t *ctx, const char *name)
{
    json_t  *value;

    value = json_object_get(ctx->root, name);

    return json_is_null(value) ? NULL : value;
}


static int
conduit_request_prompt(conduit_request_ctx_t *ctx)
{
    size_t   len;
    json_t  *value;

    value = conduit_request_get(ctx, "prompt");

    if (value == NULL) {
        conduit_fault(ctx->fault, "prompt", "is required",
                      "missing_required_parameter");
        return CONDUIT_DECLINED;
    }

    if (!json_is_string(value)) {
        conduit_fault(ctx->fault, "prompt", "must be a string", NULL);
        return CONDUIT_DECLINED;
    }

    len = conduit_utf8_length((const u_char *) json_string_value(value),
                              json_string_length(value));

    if (len == 0 || len > CONDUIT_PROMPT_MAX) {
        conduit_fault(ctx->fault, "prompt",
                      "must have 1 to 32000 characters", NULL);
        return CONDUIT_DECLINED;
    }

    conduit_request_copy(ctx, &ctx->req->prompt, json_string_value(value),
                         json_string_length(value));

    return CONDUIT_OK;
}


static int
conduit_request_model(conduit_request_ctx_t *ctx)
{
    json_t  *value;

    value = conduit_request_get(ctx, "model");

    if (value == NULL) {
        conduit_fault(ctx->fault, "model", "is required",
                      "missing_required_parameter");
        return CONDUIT_DECLINED;
    }

    if (!json_is_string(value) || json_string_length(value) == 0) {
        conduit_fault(ctx->fault, "model", "must be a string that is not empty",
                      NULL);
        return CONDUIT_DECLINED;
    }

    conduit_request_copy(ctx, &ctx->req->model, json_string_value(value),
                         json_string_length(value));

    return CONDUIT_OK;
}


static int
conduit_request_strings(conduit_request_ctx_t *ctx)
{
    size_t   i, len;
    json_t  *value;

    static const char  *names[] = { "quality", "style", "user" };

    for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        value = conduit_request_get(ctx, names[i]);

        if (value == NULL) {
            continue;
        }

        if (!json_is_string(value)) {
            conduit_fault(ctx->fault, names[i], "must be a string", NULL);
            return CONDUIT_DECLINED;
        }

        len = conduit_utf8_length((const u_char *) json_string_value(value),
                                  json_string_length(value));

        if (len > CONDUIT_STRING_MAX) {
            conduit_fault(ctx->fault, names[i],
                          "must have at most 256 characters", NULL);
            return CONDUIT_DECLINED;
        }
    }

    value = conduit_request_get(ctx, "image");

    if (value != NULL && !json_is_string(value)) {
        conduit_fault(ctx->fault, "image", "must be a string", NULL);
        return CONDUIT_DECLINED;
    }

    return CONDUIT_OK;
}


static int
conduit_request_numbers(conduit_request_ctx_t *ctx)
{
    json_t             *value;
    conduit_request_t  *req;

    req = ctx->req;

    if (conduit_request_integer(ctx, "n", "must be an integer from 1 to 10",
                                10, &req->n)
        != CONDUIT_OK
        || conduit_request_integer(ctx, "duration",
                                   "must be an integer from 1 to 60", 60,
                                   &req->duration)
           != CONDUIT_OK
        || conduit_request_integer(ctx, "fps",
                                   "must be an integer from 1 to 120", 120,
                                   &req->fps)
           != CONDUIT_OK
        || conduit_request_integer(ctx, "timeout_seconds",
                                   "must be an integer from 1 to 3600", 3600,
                                   &req->timeout_seconds)
           != CONDUIT_OK)
    {
        return CONDUIT_DECLINED;
    }

    value = conduit_request_get(ctx, "seed");

    if (value == NULL) {
        return CONDUIT_OK;
    }

    if (!json_is_integer(value)) {
        conduit_fault(ctx->fault, "seed", "must be an integer", NULL);
        return CONDUIT_DECLINED;
    }

    req->seed = (int64_t) json_integer_value(value);
    req->has_seed = 1;

    return CONDUIT_OK;
}


/* an integer from 1 to max; *value stays as it is when the member is absent */

static int
conduit_request_integer(conduit_request_ctx_t *ctx, const char *name,
    const char *text, uint32_t max, uint32_t *value)
{
    json_t  *member;

    member = conduit_request_get(ctx, name);

    if (member == NULL) {
        return CONDUIT_OK;
    }

    if (!json_is_integer(member)
        || json_integer_value(member) < 1
        || json_integer_value(member) > (json_int_t) max)
    {
        conduit_fault(ctx->fault, name, text, NULL);
        return CONDUIT_DECLINED;
    }

    *value = (uint32_t) json_integer_value(member);

    return CONDUIT_OK;
}


static int
conduit_request_size(conduit_request_ctx_t *ctx)
{
    json_t             *value;
    const char         *p, *s;
    conduit_request_t  *req;

    req = ctx->req;
    value = conduit_request_get(ctx, "size");

    if (value == NULL) {
        return CONDUIT_OK;
    }

    if (!json_is_string(value)) {
        conduit_fault(ctx->fault, "size", "must be a string", NULL);
        return CONDUIT_DECLINED;
    }

    s = json_string_value(value);

    if (strcmp(s, "auto") != 0) {
        p = conduit_request_side(s, &req->width);

        if (p != NULL) {
            p = (*p == 'x') ? conduit_request_side(p + 1, &req->height) : NULL;
        }

        if (p == NULL || *p != '\0') {
            conduit_fault(ctx->fault, "size",
                          "must be \"auto\" or \"WIDTHxHEIGHT\" with sides"
                          " from 1 to 8192", NULL);
            return CONDUIT_DECLINED;
        }
    }

    conduit_request_copy(ctx, &req->size, s, json_string_length(value));

    return CONDUIT_OK;
}


/* returns what follows the number, or NULL unless it is from 1 to 8192 */

static const char *
conduit_request_side(const char *p, uint32_t *side)
{
    uint32_t  n;

    if (*p < '1' || *p > '9') {
        return NULL;
    }

    for (n = 0; *p >= '0' && *p <= '9'; p++) {
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
    json_t      *value;
    const char  *s;

    value = conduit_request_get(ctx, "response_format");

    if (value == NULL) {
        return CONDUIT_OK;
    }

    s = json_is_string(value) ? json_string_value(value) : "";

    if (strcmp(s, "b64_json") == 0) {
        ctx->req->response_format = CONDUIT_FORMAT_B64_JSON;
        return CONDUIT_OK;
    }

    if (strcmp(s, "url") == 0) {
        return CONDUIT_OK;
    }

    conduit_fault(ctx->fault, "response_format",
                  "must be \"url\" or \"b64_json\"", NULL);

    return CONDUIT_DECLINED;
}


/* copied member by member, for no number may change its digits */

static void
conduit_request_document(conduit_request_ctx_t *ctx)
{
    u_char                 *start, *p;
    const u_char           *pos, *last;
    conduit_request_t      *req;
    conduit_json_member_t   member;

    req = ctx->req;
    pos = ctx->body;
    last = pos + ctx->len;

    start = ctx->last;
    p = start;
    *p++ = '{';

    while (conduit_json_next(&pos, last, &member) == CONDUIT_OK) {

        if (conduit_json_name_eq(&member.name, "webhook_", 1)
            || conduit_json_name_eq(&member.name, "timeout_seconds", 0))
        {
            continue;
        }

        if (p > start + 1) {
            *p++ = ',';
        }

        memcpy(p, member.name.data, member.name.len);
        p += member.name.len;
        *p++ = ':';

        if (conduit_json_name_eq(&member.name, "prompt", 0)) {
            req->prompt_json.data = p;
            req->prompt_json.len = member.value.len;
        }

        p += conduit_json_compact(p, member.value.data, member.value.len);
    }

    *p++ = '}';

    req->document.data = start;
    req->document.len = (size_t) (p - start);

    ctx->last = p;
}


static void
conduit_request_copy(conduit_request_ctx_t *ctx, conduit_str_t *dst,
    const char *p, size_t len)
{
    memcpy(ctx->last, p, len);

    dst->data = ctx->last;
    dst->len = len;

    ctx->last += len;
}
