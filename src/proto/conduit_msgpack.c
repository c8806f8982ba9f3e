
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <msgpack.h>

#include "conduit_msgpack.h"


#define CONDUIT_MSGPACK_ERROR   1
#define CONDUIT_MSGPACK_VOID    2
#define CONDUIT_MSGPACK_RESULT  3


/* what the first byte of a value announces */

typedef struct {
    size_t    bytes;              /* behind the head */
    uint64_t  items;              /* values within */
} conduit_msgpack_head_t;


static int conduit_msgpack_head(const u_char **pos, const u_char *last,
    conduit_msgpack_head_t *head);
static uint64_t conduit_msgpack_number(const u_char *p, size_t len);
static int conduit_msgpack_array(conduit_signalr_message_t *msg,
    const msgpack_object_array *array);
static int conduit_msgpack_members(json_t *root, unsigned type,
    const msgpack_object_array *array);
static int conduit_msgpack_completion(json_t *root,
    const msgpack_object_array *array);
static json_t *conduit_msgpack_json(const msgpack_object *obj);
static json_t *conduit_msgpack_json_array(const msgpack_object_array *array);
static json_t *conduit_msgpack_json_map(const msgpack_object_map *map);


int
conduit_msgpack_prefix(const u_char *p, size_t len, size_t *used, size_t *body)
{
    size_t    i;
    uint64_t  n;

    n = 0;

    for (i = 0; i < CONDUIT_MSGPACK_PREFIX_MAX; i++) {

        if (i == len) {
            return CONDUIT_AGAIN;
        }

        n |= (uint64_t) (p[i] & 0x7f) << (7 * i);

        if (!(p[i] & 0x80)) {

            if (n > 0x7fffffff) {
                return CONDUIT_ERROR;
            }

            *used = i + 1;
            *body = n;

            return CONDUIT_OK;
        }
    }

    return CONDUIT_ERROR;
}


/*
 * The library allocates what a count announces, so counts that the input
 * cannot hold have to be seen before.
 */

int
conduit_msgpack_sane(const u_char *p, size_t len)
{
    unsigned                depth;
    uint64_t                left[CONDUIT_MSGPACK_DEPTH_MAX + 1];
    const u_char           *last;
    conduit_msgpack_head_t  head;

    last = p + len;
    depth = 0;
    left[0] = 1;

    for ( ;; ) {

        while (left[depth] == 0) {

            if (depth == 0) {
                return p == last;
            }

            depth--;
        }

        left[depth]--;

        if (conduit_msgpack_head(&p, last, &head) != CONDUIT_OK
            || head.bytes > (size_t) (last - p))
        {
            return 0;
        }

        p += head.bytes;

        if (head.items == 0) {
            continue;
        }

        if (depth == CONDUIT_MSGPACK_DEPTH_MAX
            || head.items > (uint64_t) (last - p))
        {
            return 0;
        }

        left[++depth] = head.items;
    }
}


/* the head of one value (the formats of the MessagePack specification) */

static int
conduit_msgpack_head(const u_char **pos, const u_char *last,
    conduit_msgpack_head_t *head)
{
    u_char    ch;
    size_t    len, fixed;
    uint64_t  n;

    /* 0xc0 to 0xdf: bytes of a length, bytes that follow in any case */

    static const u_char  lengths[32] = {
        0, 0, 0, 0, 1, 2, 4, 1, 2, 4, 0, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 4, 2, 4, 2, 4
    };

    static const u_char  follow[32] = {
        0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 4, 8, 1, 2, 4, 8,
        1, 2, 4, 8, 2, 3, 5, 9, 17, 0, 0, 0, 0, 0, 0, 0
    };

    head->bytes = 0;
    head->items = 0;

    if (*pos == last) {
        return CONDUIT_ERROR;
    }

    ch = *(*pos)++;

    if (ch < 0x80 || ch >= 0xe0) {
        return CONDUIT_OK;
    }

    if (ch < 0x90) {
        head->items = 2 * (ch & 0x0f);
        return CONDUIT_OK;
    }

    if (ch < 0xa0) {
        head->items = ch & 0x0f;
        return CONDUIT_OK;
    }

    if (ch < 0xc0) {
        head->bytes = ch & 0x1f;
        return CONDUIT_OK;
    }

    if (ch == 0xc1) {
        return CONDUIT_ERROR;
    }

    len = lengths[ch - 0xc0];
    fixed = follow[ch - 0xc0];

    if (len > (size_t) (last - *pos)) {
        return CONDUIT_ERROR;
    }

    n = conduit_msgpack_number(*pos, len);
    *pos += len;

    if (ch >= 0xdc) {
        head->items = (ch >= 0xde) ? 2 * n : n;

    } else {
        head->bytes = n + fixed;
    }

    return CONDUIT_OK;
}


static uint64_t
conduit_msgpack_number(const u_char *p, size_t len)
{
    size_t    i;
    uint64_t  n;

    for (i = 0, n = 0; i < len; i++) {
        n = n << 8 | p[i];
    }

    return n;
}


int
conduit_msgpack_parse(conduit_signalr_message_t *msg,
    const conduit_str_t *record)
{
    int               rc;
    size_t            used;
    msgpack_unpacked  unpacked;

    if (!conduit_msgpack_sane(record->data, record->len)) {
        return CONDUIT_ERROR;
    }

    used = 0;
    rc = CONDUIT_ERROR;

    msgpack_unpacked_init(&unpacked);

    if (msgpack_unpack_next(&unpacked, (const char *) record->data,
                            record->len, &used)
        == MSGPACK_UNPACK_SUCCESS
        && unpacked.data.type == MSGPACK_OBJECT_ARRAY)
    {
        rc = conduit_msgpack_array(msg, &unpacked.data.via.array);
    }

    msgpack_unpacked_destroy(&unpacked);

    return rc;
}


/* the array as the object that JSON would have */

static int
conduit_msgpack_array(conduit_signalr_message_t *msg,
    const msgpack_object_array *array)
{
    int       rc;
    json_t   *root;
    uint64_t  type;

    if (array->size == 0
        || array->ptr[0].type != MSGPACK_OBJECT_POSITIVE_INTEGER)
    {
        return CONDUIT_ERROR;
    }

    type = array->ptr[0].via.u64;

    if (type < CONDUIT_SIGNALR_INVOCATION || type > CONDUIT_SIGNALR_SEQUENCE) {
        return CONDUIT_DECLINED;
    }

    root = json_object();
    if (root == NULL) {
        return CONDUIT_ERROR;
    }

    if (json_object_set_new(root, "type", json_integer(type)) != 0) {
        json_decref(root);
        return CONDUIT_ERROR;
    }

    rc = conduit_msgpack_members(root, type, array);

    if (rc == CONDUIT_OK && type == CONDUIT_SIGNALR_COMPLETION) {
        rc = conduit_msgpack_completion(root, array);
    }

    if (rc != CONDUIT_OK) {
        json_decref(root);
        return rc;
    }

    return conduit_signalr_fill(msg, root);
}


/* more elements than are known are passed over */

static int
conduit_msgpack_members(json_t *root, unsigned type,
    const msgpack_object_array *array)
{
    size_t       i;
    const char  *name;

    static const char  *names[][5] = {
        { NULL, NULL, NULL, NULL, NULL },
        { "headers", "invocationId", "target", "arguments", "streamIds" },
        { "headers", "invocationId", "item", NULL, NULL },
        { "headers", "invocationId", NULL, NULL, NULL },
        { "headers", "invocationId", "target", "arguments", "streamIds" },
        { "headers", "invocationId", NULL, NULL, NULL },
        { NULL, NULL, NULL, NULL, NULL },
        { "error", "allowReconnect", NULL, NULL, NULL },
        { "sequenceId", NULL, NULL, NULL, NULL },
        { "sequenceId", NULL, NULL, NULL, NULL }
    };

    for (i = 1; i < array->size && i <= 5; i++) {
        name = names[type][i - 1];

        if (name
            && json_object_set_new(root, name,
                                   conduit_msgpack_json(&array->ptr[i])) != 0)
        {
            return CONDUIT_ERROR;
        }
    }

    return CONDUIT_OK;
}


static int
conduit_msgpack_completion(json_t *root, const msgpack_object_array *array)
{
    uint64_t               kind;
    const msgpack_object  *obj;

    if (array->size < 4
        || array->ptr[3].type != MSGPACK_OBJECT_POSITIVE_INTEGER)
    {
        return CONDUIT_ERROR;
    }

    kind = array->ptr[3].via.u64;

    if (kind == CONDUIT_MSGPACK_VOID) {
        return CONDUIT_OK;
    }

    if (kind < CONDUIT_MSGPACK_ERROR || kind > CONDUIT_MSGPACK_RESULT
        || array->size < 5)
    {
        return CONDUIT_ERROR;
    }

    obj = &array->ptr[4];

    return json_object_set_new(root, (kind == CONDUIT_MSGPACK_ERROR)
                                     ? "error" : "result",
                               conduit_msgpack_json(obj))
           ? CONDUIT_ERROR : CONDUIT_OK;
}


/* conduit_msgpack_sane() has bounded the depth; NULL for bad UTF-8 */

static json_t *
conduit_msgpack_json(const msgpack_object *obj)
{
    json_t  *value;

    switch (obj->type) {

    case MSGPACK_OBJECT_BOOLEAN:
        return json_boolean(obj->via.boolean);

    case MSGPACK_OBJECT_POSITIVE_INTEGER:
        return (obj->via.u64 > INT64_MAX) ? json_real(obj->via.u64)
                                          : json_integer(obj->via.u64);

    case MSGPACK_OBJECT_NEGATIVE_INTEGER:
        return json_integer(obj->via.i64);

    case MSGPACK_OBJECT_FLOAT32:
    case MSGPACK_OBJECT_FLOAT64:
        value = json_real(obj->via.f64);

        /* infinity and "not a number" */

        return value ? value : json_null();

    case MSGPACK_OBJECT_STR:
        return json_stringn(obj->via.str.size ? obj->via.str.ptr : "",
                            obj->via.str.size);

    case MSGPACK_OBJECT_ARRAY:
        return conduit_msgpack_json_array(&obj->via.array);

    case MSGPACK_OBJECT_MAP:
        return conduit_msgpack_json_map(&obj->via.map);

    default:
        return json_null();
    }
}


static json_t *
conduit_msgpack_json_array(const msgpack_object_array *array)
{
    size_t   i;
    json_t  *value;

    value = json_array();

    for (i = 0; value && i < array->size; i++) {

        if (json_array_append_new(value, conduit_msgpack_json(&array->ptr[i]))
            != 0)
        {
            json_decref(value);
            return NULL;
        }
    }

    return value;
}


static json_t *
conduit_msgpack_json_map(const msgpack_object_map *map)
{
    size_t                 i;
    json_t                *value;
    const msgpack_object  *key;

    value = json_object();

    for (i = 0; value && i < map->size; i++) {
        key = &map->ptr[i].key;

        /* jansson knows no names with NUL in them */

        if (key->type != MSGPACK_OBJECT_STR
            || (key->via.str.size
                && memchr(key->via.str.ptr, '\0', key->via.str.size)))
        {
            continue;
        }

        if (json_object_setn_new(value,
                                 key->via.str.size ? key->via.str.ptr : "",
                                 key->via.str.size,
                                 conduit_msgpack_json(&map->ptr[i].val))
            != 0)
        {
            json_decref(value);
            return NULL;
        }
    }

    return value;
}
