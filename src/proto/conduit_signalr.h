
/*
 * Copyright (C) Conduit for nginx authors
 */


#ifndef _CONDUIT_SIGNALR_H_INCLUDED_
#define _CONDUIT_SIGNALR_H_INCLUDED_


/*
 * SignalR's hub protocol (HubProtocol.md of ASP.NET Core), independent of the
 * transport: what a client sends is one stream of bytes, cut anywhere.
 */


#include <jansson.h>

#include "conduit.h"


#define CONDUIT_SIGNALR_INVOCATION   1
#define CONDUIT_SIGNALR_ITEM         2
#define CONDUIT_SIGNALR_COMPLETION   3
#define CONDUIT_SIGNALR_STREAM       4
#define CONDUIT_SIGNALR_CANCEL       5
#define CONDUIT_SIGNALR_PING         6
#define CONDUIT_SIGNALR_CLOSE        7
#define CONDUIT_SIGNALR_ACK          8
#define CONDUIT_SIGNALR_SEQUENCE     9

#define CONDUIT_SIGNALR_SEPARATOR    0x1e
#define CONDUIT_SIGNALR_DEPTH_MAX    64
#define CONDUIT_SIGNALR_VERSION_MAX  2

#define CONDUIT_SIGNALR_ERROR_LEN    160


typedef enum {
    CONDUIT_SIGNALR_JSON = 0,
    CONDUIT_SIGNALR_MSGPACK
} conduit_signalr_protocol_e;


/* a stream's framing; lives as long as the connection */

typedef struct {
    size_t         max;           /* bytes of a message without its framing */
    size_t         scanned;       /* bytes of the unfinished message that hold
                                     no end */
    unsigned       binary:1;      /* lengths instead of separators */
} conduit_signalr_reader_t;


typedef struct {
    conduit_signalr_protocol_e  protocol;
    int                         version;
    size_t                      error_len;
    u_char                      error[CONDUIT_SIGNALR_ERROR_LEN];
} conduit_signalr_handshake_t;


/*
 * A message that was read.  Everything in it belongs to root; what a message
 * of its type does not have is empty.
 */

typedef struct {
    json_t           *root;

    unsigned          type;            /* CONDUIT_SIGNALR_* */
    conduit_str_t     invocation_id;   /* empty: no answer is wanted */
    conduit_str_t     target;
    json_t           *arguments;       /* array, of types 1 and 4 */
    size_t            streams;         /* number of streamIds */
    uint64_t          sequence;        /* of types 8 and 9 */
    conduit_str_t     error;           /* of type 7 */
    unsigned          allow_reconnect:1;
} conduit_signalr_message_t;


/*
 * A message to write.  Texts are UTF-8 and escaped by the writer; json is
 * JSON text that is copied (or converted) as it stands: the array of an
 * invocation's arguments, the result of a completion (empty: void).
 */

typedef struct {
    unsigned          type;            /* 1, 3, 6, 7, 8 or 9 */
    conduit_str_t     invocation_id;   /* of a completion */
    conduit_str_t     target;
    conduit_str_t     json;
    conduit_str_t     error;           /* of 3 and 7, empty for none */
    uint64_t          sequence;
    unsigned          allow_reconnect:1;
} conduit_signalr_output_t;


/* binary 0 until the handshake is over, for that is always JSON */

void conduit_signalr_init(conduit_signalr_reader_t *in, size_t max,
    unsigned binary);

/*
 * Takes the next message out of [*pos, last).  CONDUIT_OK with the message
 * without its framing in *record (a part of the input), *pos moved behind it;
 * CONDUIT_AGAIN when it is not complete: what is left from *pos on has to be
 * there again, with more behind it, at the next call; CONDUIT_ERROR when it is
 * longer than the limit or its length is malformed, which ends the connection.
 */

int conduit_signalr_next(conduit_signalr_reader_t *in, u_char **pos,
    u_char *last, conduit_str_t *record);

/*
 * Whether a record is no handshake request but an invocation in JSON: clients
 * with several threads (signalrcore) may send their first invocation before
 * the handshake, and then expect it to be done.
 */

unsigned conduit_signalr_early(const conduit_str_t *record);

/*
 * Reads a client's handshake request.  binary tells whether the transport can
 * carry MessagePack.  CONDUIT_OK, or CONDUIT_DECLINED with the text for the
 * client in hs->error.
 */

int conduit_signalr_handshake(conduit_signalr_handshake_t *hs,
    const conduit_str_t *record, unsigned binary);

/*
 * Writes the answer to a handshake, with its separator, and returns the end:
 * "{}" without an error.  dst has room for
 * conduit_signalr_handshake_size(error_len) bytes.
 */

#define conduit_signalr_handshake_size(len)  (6 * (len) + 16)

u_char *conduit_signalr_handshake_reply(u_char *dst, const u_char *error,
    size_t error_len);

/*
 * Reads one message.  CONDUIT_OK with *msg, to be freed by
 * conduit_signalr_free(); CONDUIT_DECLINED for a type that is not known,
 * which is to be ignored; CONDUIT_ERROR for what violates the protocol and
 * ends the connection.  Only with CONDUIT_OK there is something to free.
 */

int conduit_signalr_parse(conduit_signalr_message_t *msg,
    conduit_signalr_protocol_e protocol, const conduit_str_t *record);

/* the same of a message that is a tree already, which is taken over */

int conduit_signalr_fill(conduit_signalr_message_t *msg, json_t *root);

void conduit_signalr_free(conduit_signalr_message_t *msg);

/* at most this many bytes are written for a message, framing included */

size_t conduit_signalr_size(conduit_signalr_protocol_e protocol,
    const conduit_signalr_output_t *out);

/*
 * Writes a message with its framing and returns its end.  MessagePack needs
 * memory for a time when there is JSON to convert; NULL when there is none,
 * or the text is not JSON.  JSON text needs none and never fails.
 */

u_char *conduit_signalr_write(conduit_signalr_protocol_e protocol, u_char *dst,
    const conduit_signalr_output_t *out);


#endif /* _CONDUIT_SIGNALR_H_INCLUDED_ */
