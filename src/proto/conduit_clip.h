
/*
 * Copyright (C) Conduit for nginx authors
 */


#ifndef _CONDUIT_CLIP_H_INCLUDED_
#define _CONDUIT_CLIP_H_INCLUDED_


#include "conduit.h"
#include "conduit_blob.h"


/*
 * The sandbox provider's clip: the scene of a prompt (conduit_scene.h), its
 * sun crossing the sky, as an MP4 file with H.264 video and no sound.  The
 * same prompt, seed, size, duration and rate give the same bytes.  Takes
 * seconds for the largest ones: meant for a thread.
 */


#define CONDUIT_CLIP_WIDTH         1280
#define CONDUIT_CLIP_HEIGHT        720
#define CONDUIT_CLIP_DURATION      4
#define CONDUIT_CLIP_FPS           24

#define CONDUIT_CLIP_DURATION_MAX  60
#define CONDUIT_CLIP_FPS_MAX       120


typedef struct {
    uint32_t    width;                       /* 1 .. CONDUIT_SCENE_MAX */
    uint32_t    height;                      /* odd sides are raised by one */
    uint32_t    duration;                    /* seconds, 1 .. 60 */
    uint32_t    fps;                         /* 1 .. 120 */
} conduit_clip_t;


/*
 * Appends the file to blob.  Where the size times the number of pictures is
 * beyond what is worth the time, there are fewer of them per second; the
 * duration stays.
 *
 * CONDUIT_OK
 * CONDUIT_DECLINED  the file would be over blob->max
 * CONDUIT_ERROR     a value out of range or no memory
 */
int conduit_clip_render(conduit_blob_t *blob, const u_char *prompt,
    size_t len, int64_t seed, const conduit_clip_t *clip);


#endif /* _CONDUIT_CLIP_H_INCLUDED_ */
