
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <openssl/evp.h>

#include "conduit_ws.h"
#include "conduit_json.h"
#include "conduit_media.h"


#define CONDUIT_WS_GUID      "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
#define CONDUIT_WS_GUID_LEN  (sizeof(CONDUIT_WS_GUID) - 1)
#define CONDUIT_WS_KEY_LEN   24

#define CONDUIT_WS_FIN       0x80
#define CONDUIT_WS_RESERVED  0x70
#define CONDUIT_WS_MASKED    0x80


enum {
    conduit_ws_st_head = 0,
    conduit_ws_st_payload,
    conduit_ws_st_control,
    conduit_ws_st_done
};


static int conduit_ws_listed(const conduit_str_t *list, const char *token);
static u_char conduit_ws_lower(u_char ch);
static int conduit_ws_step(conduit_ws_t *ws, u_char **pos, u_char *last,
    conduit_ws_event_t *ev);
static void conduit_ws_collect(conduit_ws_t *ws, u_char **pos, u_char *last);
static unsigned conduit_ws_begin(conduit_ws_t *ws);
static unsigned conduit_ws_length(conduit_ws_t *ws);
static int conduit_ws_payload(conduit_ws_t *ws, u_char **pos, u_char *last,
    conduit_ws_event_t *ev);
static int conduit_ws_control(conduit_ws_t *ws, conduit_ws_event_t *ev);
static int conduit_ws_closed(conduit_ws_t *ws, conduit_ws_event_t *ev);
static int conduit_ws_code(unsigned code);
static void conduit_ws_unmask(conduit_ws_t *ws, u_char *p, size_t len);
static int conduit_ws_utf8(conduit_ws_utf8_t *utf8, const u_char *p,
    size_t len);
static int conduit_ws_utf8_lead(conduit_ws_utf8_t *utf8, u_char ch);


int
conduit_ws_handshake(const conduit_ws_request_t *req, unsigned *status)
{
    size_t  n;
    u_char  nonce[conduit_base64_decoded_len(CONDUIT_WS_KEY_LEN)];

    if (!conduit_ws_listed(&req->upgrade, "websocket")
        || !conduit_ws_listed(&req->connection, "upgrade"))
    {
        return CONDUIT_DECLINED;
    }

    if (req->version.len != 2 || memcmp(req->version.data, "13", 2) != 0) {
        *status = 426;
        return CONDUIT_ERROR;
    }

    /* 16 bytes in base64 */

    if (req->key.len != CONDUIT_WS_KEY_LEN
        || conduit_base64_decode(nonce, &n, req->key.data, req->key.len)
           != CONDUIT_OK
        || n != 16)
    {
        *status = 400;
        return CONDUIT_ERROR;
    }

    return CONDUIT_OK;
}


/* is the token, in lower case, an element of a comma separated list? */

static int
conduit_ws_listed(const conduit_str_t *list, const char *token)
{
    size_t   i, len;
    u_char  *p, *end, *last;

    len = strlen(token);
    p = list->data;
    last = p + list->len;

    while (p < last) {

        end = memchr(p, ',', last - p);
        if (end == NULL) {
            end = last;
        }

        while (p < end && (*p == ' ' || *p == '\t')) {
            p++;
        }

        for (i = 0; p < end && i < len; i++, p++) {
            if (conduit_ws_lower(*p) != (u_char) token[i]) {
                break;
            }
        }

        if (i == len) {

            while (p < end && (*p == ' ' || *p == '\t')) {
                p++;
            }

            if (p == end) {
                return 1;
            }
        }

        p = (end < last) ? end + 1 : last;
    }

    return 0;
}


static u_char
conduit_ws_lower(u_char ch)
{
    return (ch >= 'A' && ch <= 'Z') ? ch | 0x20 : ch;
}


int
conduit_ws_accept(u_char *dst, const conduit_str_t *key)
{
    u_char  text[CONDUIT_WS_KEY_LEN + CONDUIT_WS_GUID_LEN];
    u_char  digest[EVP_MAX_MD_SIZE];

    if (key->len != CONDUIT_WS_KEY_LEN) {
        return CONDUIT_ERROR;
    }

    memcpy(text, key->data, CONDUIT_WS_KEY_LEN);
    memcpy(text + CONDUIT_WS_KEY_LEN, CONDUIT_WS_GUID, CONDUIT_WS_GUID_LEN);

    if (EVP_Digest(text, sizeof(text), digest, NULL, EVP_sha1(), NULL) != 1) {
        return CONDUIT_ERROR;
    }

    (void) conduit_base64_encode(dst, digest, 20);

    return CONDUIT_OK;
}


void
conduit_ws_init(conduit_ws_t *ws, uint64_t max)
{
    memset(ws, 0, sizeof(conduit_ws_t));

    ws->max = max;
    ws->need = 2;
}


int
conduit_ws_read(conduit_ws_t *ws, u_char **pos, u_char *last,
    conduit_ws_event_t *ev)
{
    int  rc;

    memset(ev, 0, sizeof(conduit_ws_event_t));

    /* frames that tell nothing, empty fragments, are passed over */

    do {
        rc = conduit_ws_step(ws, pos, last, ev);

    } while (rc == CONDUIT_DECLINED);

    if (rc == CONDUIT_ERROR) {
        ws->state = conduit_ws_st_done;
        *pos = last;
    }

    return rc;
}


/* one header, payload or slice of it; DECLINED: nothing to tell yet */

static int
conduit_ws_step(conduit_ws_t *ws, u_char **pos, u_char *last,
    conduit_ws_event_t *ev)
{
    switch (ws->state) {

    case conduit_ws_st_head:

        conduit_ws_collect(ws, pos, last);

        if (ws->used < ws->need) {
            return CONDUIT_AGAIN;
        }

        ev->code = (ws->need == 2) ? conduit_ws_begin(ws)
                                   : conduit_ws_length(ws);

        return ev->code ? CONDUIT_ERROR : CONDUIT_DECLINED;

    case conduit_ws_st_payload:

        return conduit_ws_payload(ws, pos, last, ev);

    case conduit_ws_st_control:

        conduit_ws_collect(ws, pos, last);

        if (ws->used < ws->need) {
            return CONDUIT_AGAIN;
        }

        return conduit_ws_control(ws, ev);

    default: /* conduit_ws_st_done */

        *pos = last;

        return CONDUIT_AGAIN;
    }
}


static void
conduit_ws_collect(conduit_ws_t *ws, u_char **pos, u_char *last)
{
    size_t  n;

    n = ws->need - ws->used;

    if (n > (size_t) (last - *pos)) {
        n = last - *pos;
    }

    if (n) {
        memcpy(ws->buf + ws->used, *pos, n);
        ws->used += n;
        *pos += n;
    }
}


/* the first two bytes; returns 0 or the status to close with */

static unsigned
conduit_ws_begin(conduit_ws_t *ws)
{
    u_char    first, len;
    unsigned  opcode;

    first = ws->buf[0];
    len = ws->buf[1] & ~CONDUIT_WS_MASKED;
    opcode = first & 0x0f;

    if ((first & CONDUIT_WS_RESERVED) || !(ws->buf[1] & CONDUIT_WS_MASKED)) {
        return CONDUIT_WS_PROTOCOL;
    }

    switch (opcode) {

    case CONDUIT_WS_CONTINUATION:

        if (ws->message == 0) {
            return CONDUIT_WS_PROTOCOL;
        }

        break;

    case CONDUIT_WS_TEXT:
    case CONDUIT_WS_BINARY:

        if (ws->message) {
            return CONDUIT_WS_PROTOCOL;
        }

        break;

    case CONDUIT_WS_CLOSE:
    case CONDUIT_WS_PING:
    case CONDUIT_WS_PONG:

        if (!(first & CONDUIT_WS_FIN) || len > CONDUIT_WS_CONTROL_MAX) {
            return CONDUIT_WS_PROTOCOL;
        }

        break;

    default:
        return CONDUIT_WS_PROTOCOL;
    }

    ws->opcode = opcode;
    ws->fin = (first & CONDUIT_WS_FIN) ? 1 : 0;
    ws->need = (len == 127) ? 14 : (len == 126) ? 8 : 6;

    return 0;
}


/* the rest of the header; returns 0 or the status to close with */

static unsigned
conduit_ws_length(conduit_ws_t *ws)
{
    u_char    *p, *mask;
    uint64_t   len;

    mask = ws->buf + ws->need - 4;

    if (ws->need == 6) {
        len = ws->buf[1] & ~CONDUIT_WS_MASKED;

    } else {
        for (len = 0, p = ws->buf + 2; p < mask; p++) {
            len = len << 8 | *p;
        }

        /* the shortest form, the highest bit zero (5.2) */

        if (len < 126 || (ws->need == 14 && (len <= 0xffff || len >> 63))) {
            return CONDUIT_WS_PROTOCOL;
        }
    }

    memcpy(ws->mask, mask, 4);

    ws->turn = 0;
    ws->used = 0;

    if (ws->opcode & 0x8) {
        ws->need = len;
        ws->state = conduit_ws_st_control;
        return 0;
    }

    if (ws->opcode != CONDUIT_WS_CONTINUATION) {
        ws->message = ws->opcode;
        ws->size = 0;
        ws->begun = 0;
        memset(&ws->utf8, 0, sizeof(conduit_ws_utf8_t));
    }

    if (ws->max && len > ws->max - ws->size) {
        return CONDUIT_WS_TOO_BIG;
    }

    ws->size += len;
    ws->rest = len;
    ws->need = 2;
    ws->state = conduit_ws_st_payload;

    return 0;
}


static int
conduit_ws_payload(conduit_ws_t *ws, u_char **pos, u_char *last,
    conduit_ws_event_t *ev)
{
    size_t  n;

    n = last - *pos;

    if (n > ws->rest) {
        n = ws->rest;
    }

    if (n == 0 && ws->rest) {
        return CONDUIT_AGAIN;
    }

    ev->opcode = ws->message;
    ev->data.data = *pos;
    ev->data.len = n;

    conduit_ws_unmask(ws, *pos, n);

    *pos += n;
    ws->rest -= n;

    if (ws->message == CONDUIT_WS_TEXT
        && conduit_ws_utf8(&ws->utf8, ev->data.data, n) != CONDUIT_OK)
    {
        ev->code = CONDUIT_WS_BAD_DATA;
        return CONDUIT_ERROR;
    }

    if (ws->rest == 0) {
        ws->state = conduit_ws_st_head;

        if (ws->fin) {

            if (ws->utf8.need) {
                ev->code = CONDUIT_WS_BAD_DATA;
                return CONDUIT_ERROR;
            }

            ws->message = 0;
            ev->last = 1;
        }
    }

    if (n == 0 && !ev->last) {
        return CONDUIT_DECLINED;
    }

    ev->first = !ws->begun;
    ws->begun = 1;

    return CONDUIT_OK;
}


static int
conduit_ws_control(conduit_ws_t *ws, conduit_ws_event_t *ev)
{
    conduit_ws_unmask(ws, ws->buf, ws->used);

    ev->opcode = ws->opcode;
    ev->data.data = ws->buf;
    ev->data.len = ws->used;

    ws->used = 0;
    ws->need = 2;
    ws->state = conduit_ws_st_head;

    if (ev->opcode == CONDUIT_WS_CLOSE) {
        return conduit_ws_closed(ws, ev);
    }

    return CONDUIT_OK;
}


static int
conduit_ws_closed(conduit_ws_t *ws, conduit_ws_event_t *ev)
{
    conduit_ws_utf8_t  utf8;

    ws->state = conduit_ws_st_done;

    if (ev->data.len == 0) {
        ev->code = CONDUIT_WS_NO_STATUS;
        return CONDUIT_OK;
    }

    if (ev->data.len == 1) {
        ev->code = CONDUIT_WS_PROTOCOL;
        return CONDUIT_ERROR;
    }

    ev->code = ev->data.data[0] << 8 | ev->data.data[1];
    ev->data.data += 2;
    ev->data.len -= 2;

    if (conduit_ws_code(ev->code) != CONDUIT_OK) {
        ev->code = CONDUIT_WS_PROTOCOL;
        return CONDUIT_ERROR;
    }

    memset(&utf8, 0, sizeof(conduit_ws_utf8_t));

    if (conduit_ws_utf8(&utf8, ev->data.data, ev->data.len) != CONDUIT_OK
        || utf8.need)
    {
        ev->code = CONDUIT_WS_BAD_DATA;
        return CONDUIT_ERROR;
    }

    return CONDUIT_OK;
}


/* codes that may be on the wire: 7.4 and IANA's registry */

static int
conduit_ws_code(unsigned code)
{
    if ((code >= 1000 && code <= 1003)
        || (code >= 1007 && code <= 1014)
        || (code >= 3000 && code <= 4999))
    {
        return CONDUIT_OK;
    }

    return CONDUIT_ERROR;
}


static void
conduit_ws_unmask(conduit_ws_t *ws, u_char *p, size_t len)
{
    size_t    i;
    u_char    mask[8];
    uint64_t  word, key;

    for (i = 0; i < 8; i++) {
        mask[i] = ws->mask[(ws->turn + i) & 3];
    }

    memcpy(&key, mask, 8);

    for (i = 0; len - i >= 8; i += 8) {
        memcpy(&word, p + i, 8);
        word ^= key;
        memcpy(p + i, &word, 8);
    }

    for ( /* void */ ; i < len; i++) {
        p[i] ^= mask[i & 7];
    }

    ws->turn = (ws->turn + len) & 3;
}


static int
conduit_ws_utf8(conduit_ws_utf8_t *utf8, const u_char *p, size_t len)
{
    uint64_t       word;
    const u_char  *last;

    last = p + len;

    while (p < last) {

        if (utf8->need == 0) {

            while (last - p >= 8) {
                memcpy(&word, p, 8);

                if (word & 0x8080808080808080ULL) {
                    break;
                }

                p += 8;
            }

            if (p == last) {
                break;
            }

            if (conduit_ws_utf8_lead(utf8, *p++) != CONDUIT_OK) {
                return CONDUIT_ERROR;
            }

            continue;
        }

        if (*p < utf8->low || *p > utf8->high) {
            return CONDUIT_ERROR;
        }

        p++;
        utf8->need--;
        utf8->low = 0x80;
        utf8->high = 0xbf;
    }

    return CONDUIT_OK;
}


/* RFC 3629, 4: the range of the second byte depends on the first */

static int
conduit_ws_utf8_lead(conduit_ws_utf8_t *utf8, u_char ch)
{
    if (ch < 0x80) {
        return CONDUIT_OK;
    }

    if (ch < 0xc2 || ch > 0xf4) {
        return CONDUIT_ERROR;
    }

    utf8->need = (ch < 0xe0) ? 1 : (ch < 0xf0) ? 2 : 3;
    utf8->low = (ch == 0xe0) ? 0xa0 : (ch == 0xf0) ? 0x90 : 0x80;
    utf8->high = (ch == 0xed) ? 0x9f : (ch == 0xf4) ? 0x8f : 0xbf;

    return CONDUIT_OK;
}


u_char *
conduit_ws_head(u_char *dst, unsigned opcode, unsigned fin, uint64_t len)
{
    int  shift;

    *dst++ = (fin ? CONDUIT_WS_FIN : 0) | opcode;

    if (len < 126) {
        *dst++ = len;
        return dst;
    }

    if (len <= 0xffff) {
        *dst++ = 126;
        shift = 8;

    } else {
        *dst++ = 127;
        shift = 56;
    }

    for ( /* void */ ; shift >= 0; shift -= 8) {
        *dst++ = len >> shift & 0xff;
    }

    return dst;
}


u_char *
conduit_ws_close(u_char *dst, unsigned code, const conduit_str_t *why)
{
    size_t  len;

    if (code == CONDUIT_WS_NO_STATUS) {
        return conduit_ws_head(dst, CONDUIT_WS_CLOSE, 1, 0);
    }

    len = why ? conduit_utf8_cut(why->data, why->len,
                                 CONDUIT_WS_CONTROL_MAX - 2)
              : 0;

    dst = conduit_ws_head(dst, CONDUIT_WS_CLOSE, 1, len + 2);

    *dst++ = code >> 8 & 0xff;
    *dst++ = code & 0xff;

    if (len) {
        memcpy(dst, why->data, len);
    }

    return dst + len;
}
