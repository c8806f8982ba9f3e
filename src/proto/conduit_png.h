
/*
 * Copyright (C) Conduit for nginx authors
 */


#ifndef _CONDUIT_PNG_H_INCLUDED_
#define _CONDUIT_PNG_H_INCLUDED_


#include "conduit.h"
#include "conduit_blob.h"


/*
 * The sandbox provider's picture: the scene of a prompt (conduit_scene.h) as
 * a PNG file (ISO 15948), 8-bit RGB, one IDAT chunk.  Rows are drawn one at a
 * time, so memory is bounded by the file, a row, and zlib's window whatever
 * the size.  The same prompt, seed and size give the same bytes with the same
 * zlib.  Takes seconds for the largest sizes: meant for a thread.
 */


#define CONDUIT_PNG_WIDTH   1024
#define CONDUIT_PNG_HEIGHT  1024


/*
 * Appends the file to blob, width and height 1 .. CONDUIT_SCENE_MAX.
 *
 * CONDUIT_OK
 * CONDUIT_DECLINED  the file would be over blob->max
 * CONDUIT_ERROR     bad size or no memory
 *
 * After a failure the blob holds a torso and is to be freed, as ever.
 */
int conduit_png_render(conduit_blob_t *blob, const u_char *prompt, size_t len,
    int64_t seed, uint32_t width, uint32_t height);


#endif /* _CONDUIT_PNG_H_INCLUDED_ */
