
/*
 * Copyright (C) Conduit for nginx authors
 */


#ifndef _CONDUIT_WS_H_INCLUDED_
#define _CONDUIT_WS_H_INCLUDED_


/* WebSocket, the server's side of RFC 6455, without extensions */


#include "conduit.h"


#define CONDUIT_WS_CONTINUATION   0x0
#define CONDUIT_WS_TEXT           0x1
#define CONDUIT_WS_BINARY         0x2
#define CONDUIT_WS_CLOSE          0x8
#define CONDUIT_WS_PING           0x9
#define CONDUIT_WS_PONG           0xa

/* status codes of a close frame (7.4.1) */

#define CONDUIT_WS_NORMAL         1000
#define CONDUIT_WS_GOING_AWAY     1001
#define CONDUIT_WS_PROTOCOL       1002
#define CONDUIT_WS_NO_STATUS      1005     /* never on the wire */
#define CONDUIT_WS_BAD_DATA       1007
#define CONDUIT_WS_POLICY         1008
#define CONDUIT_WS_TOO_BIG        1009
#define CONDUIT_WS_INTERNAL       1011

#define CONDUIT_WS_ACCEPT_LEN     28
#define CONDUIT_WS_HEAD_MAX       10       /* of a frame that is written */
#define CONDUIT_WS_CONTROL_MAX    125      /* payload of a control frame */


/* the values of four header fields; empty for those that are missing */

typedef struct {
    conduit_str_t  upgrade;
    conduit_str_t  connection;
    conduit_str_t  version;
    conduit_str_t  key;
} conduit_ws_request_t;


/* where UTF-8 stands between two slices; all zeros at the start */

typedef struct {
    u_char         need;          /* bytes that the sequence still lacks */
    u_char         low;           /* range of the next of them */
    u_char         high;
} conduit_ws_utf8_t;


/*
 * The state of a reader, the caller's; zeroed by conduit_ws_init().  Only the
 * reader looks into it.
 */

typedef struct {
    uint64_t           max;
    uint64_t           size;      /* of the message, all frames so far */
    uint64_t           rest;      /* of the frame's payload */

    u_char             mask[4];
    conduit_ws_utf8_t  utf8;

    unsigned           state:2;
    unsigned           opcode:4;  /* of the frame */
    unsigned           message:4; /* of the message; 0 between messages */
    unsigned           fin:1;
    unsigned           begun:1;   /* a slice of the message was given */
    unsigned           turn:2;    /* offset into the mask */

    u_char             used;      /* bytes in buf */
    u_char             need;      /* bytes that the header takes */

    /* a frame's header, later a control frame's payload */

    u_char             buf[CONDUIT_WS_CONTROL_MAX];
} conduit_ws_t;


/*
 * What was read.  For CONDUIT_WS_TEXT and CONDUIT_WS_BINARY data is a slice
 * of the message, unmasked where it lay in the input; "first" and "last" mark
 * the ends of the message, a message without payload is one empty slice.  For
 * control frames data is the whole payload, of a close frame the reason, and
 * lives in the state until the next call.
 */

typedef struct {
    unsigned       opcode;
    conduit_str_t  data;
    unsigned       code;          /* of a close frame; NO_STATUS if it has
                                     none */
    unsigned       first:1;
    unsigned       last:1;
} conduit_ws_event_t;


/*
 * Judges the header fields of a GET request (4.2.1).  Returns CONDUIT_OK when
 * it is to be answered with 101; CONDUIT_DECLINED when it asks for no upgrade
 * to WebSocket; else CONDUIT_ERROR with *status 426 (another version than 13:
 * the answer has to name it in Sec-WebSocket-Version) or 400 (a bad key).
 */

int conduit_ws_handshake(const conduit_ws_request_t *req, unsigned *status);

/*
 * Writes the value of Sec-WebSocket-Accept for a key, CONDUIT_WS_ACCEPT_LEN
 * bytes (4.2.2).  CONDUIT_ERROR if the digest fails.
 */

int conduit_ws_accept(u_char *dst, const conduit_str_t *key);

/* max is the limit of a message's payload in bytes, 0 for none */

void conduit_ws_init(conduit_ws_t *ws, uint64_t max);

/*
 * Reads from *pos up to last, which may end anywhere, and moves *pos on.
 * Payload is changed in place.
 *
 * CONDUIT_OK     *ev is filled in; there may be more
 * CONDUIT_AGAIN  all was read; call again with what follows it
 * CONDUIT_ERROR  ev->code is the status to close with: 1002 for a violation
 *                of the protocol, 1007 for text that is not UTF-8, 1009 for a
 *                message over the limit, told by the header of the frame that
 *                would pass it
 *
 * After a close frame and after an error everything is read and dropped.
 */

int conduit_ws_read(conduit_ws_t *ws, u_char **pos, u_char *last,
    conduit_ws_event_t *ev);

/*
 * Writes the header of an unmasked frame with len bytes of payload, up to
 * CONDUIT_WS_HEAD_MAX bytes, and returns its end.
 */

u_char *conduit_ws_head(u_char *dst, unsigned opcode, unsigned fin,
    uint64_t len);

/*
 * Writes a whole close frame and returns its end.  A reason (NULL for none) is
 * cut to 123 bytes on a code point border.  With CONDUIT_WS_NO_STATUS the
 * frame has neither code nor reason.  dst has room for CONDUIT_WS_HEAD_MAX +
 * CONDUIT_WS_CONTROL_MAX bytes.
 */

u_char *conduit_ws_close(u_char *dst, unsigned code, const conduit_str_t *why);


#endif /* _CONDUIT_WS_H_INCLUDED_ */
