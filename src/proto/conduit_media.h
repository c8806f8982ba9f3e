
/*
 * Copyright (C) Conduit for nginx authors
 */


#ifndef _CONDUIT_MEDIA_H_INCLUDED_
#define _CONDUIT_MEDIA_H_INCLUDED_


#include "conduit.h"


/* random bytes of a media file's name */
#define CONDUIT_MEDIA_RANDOM    16

/* 32 hexadecimal digits, a dot, the longest extension, the final NUL */
#define CONDUIT_MEDIA_NAME_LEN  (CONDUIT_MEDIA_RANDOM * 2 + sizeof(".webm"))

/* sniffing never looks at more than this many leading bytes */
#define CONDUIT_MEDIA_SNIFF     64


typedef struct {
    const char  *ext;                        /* without the dot */
    const char  *mime;
} conduit_media_type_t;


typedef enum {
    CONDUIT_MEDIA_FOREIGN = 0,
    CONDUIT_MEDIA_RESULT,
    CONDUIT_MEDIA_TEMP
} conduit_media_file_e;


/*
 * The type of a file by its first bytes, never by what somebody says it is:
 * PNG, JPEG, WebP, GIF, MP4 (ISO 14496-12 "ftyp", still pictures and audio
 * excepted), WebM (EBML, other DocTypes excepted); anything else is bin with
 * application/octet-stream.  len may be shorter than the file.  Never NULL.
 */
const conduit_media_type_t *conduit_media_sniff(const u_char *data,
    size_t len);


/*
 * The type that an extension without its dot stands for, in any case, or that
 * of the last one in the path of a URL.  NULL if it is not known.
 */
const char *conduit_media_ext_type(const u_char *p, size_t len);
const char *conduit_media_url_type(const u_char *p, size_t len);


/*
 * The name of a result: 16 random bytes as lower case hexadecimal digits, a
 * dot and the extension; terminated.  name holds CONDUIT_MEDIA_NAME_LEN bytes.
 * Returns the length without the final NUL.
 */
size_t conduit_media_name(u_char *name,
    const u_char rnd[CONDUIT_MEDIA_RANDOM], const conduit_media_type_t *type);


/* The name of the same file while it is being written, "….tmp". */
size_t conduit_media_temp_name(u_char *name,
    const u_char rnd[CONDUIT_MEDIA_RANDOM]);


/*
 * Whose file is it, judging by the name: a result's, an unfinished one's, or
 * none of ours.  What is foreign is never removed.
 */
conduit_media_file_e conduit_media_classify(const u_char *name, size_t len);


/*
 * May a file be removed?  All times in seconds; a result lives ttl after its
 * last change, an unfinished file at most CONDUIT_MEDIA_TEMP_TTL; a foreign
 * file is never expired, neither is one from the future.
 */
#define CONDUIT_MEDIA_TEMP_TTL  3600

int conduit_media_expired(conduit_media_file_e file, int64_t mtime,
    int64_t ttl, int64_t now);


/*
 * Seconds from now until a result of that age expires, for expires_at: the
 * same rule as above, 0 when it has expired.
 */
int64_t conduit_media_left(int64_t mtime, int64_t ttl, int64_t now);


/* Room that decoding len base64 characters can need. */
#define conduit_base64_decoded_len(len)  (((len) + 3) / 4 * 3)

/* Bytes that encoding len bytes gives; the caller keeps len under SIZE_MAX/2.
 */
#define conduit_base64_encoded_len(len)  (((len) + 2) / 3 * 4)


/*
 * Strict base64 (RFC 4648, section 4): the standard alphabet, full padding,
 * unused bits zero, nothing else, at least one character.  dst holds
 * conduit_base64_decoded_len(len) bytes and may be src itself.
 *
 * CONDUIT_OK     *n bytes were written
 * CONDUIT_ERROR  not base64; dst is undefined
 */
int conduit_base64_decode(u_char *dst, size_t *n, const u_char *src,
    size_t len);


/*
 * The same for a stream: *n bytes were decoded of the first *used characters
 * of src, the rest (under four) is to be given again in front of what
 * follows.  *end is set when padding was met; characters after it are an
 * error.  Returns as above.
 */
int conduit_base64_decode_part(u_char *dst, size_t *n, const u_char *src,
    size_t len, size_t *used, int *end);


/*
 * dst holds conduit_base64_encoded_len(len) bytes and does not overlap src.
 * Returns the number of characters, no NUL is added.
 */
size_t conduit_base64_encode(u_char *dst, const u_char *src, size_t len);


/*
 * Steps over the head of a data URL (RFC 2397), "data:image/png;base64,".
 *
 * CONDUIT_OK        value begins with base64 now, it did before or does now
 * CONDUIT_DECLINED  a data URL that is not base64; value is unchanged
 */
int conduit_media_data_url(conduit_str_t *value);


#endif /* _CONDUIT_MEDIA_H_INCLUDED_ */
