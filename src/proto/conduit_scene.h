
/*
 * Copyright (C) Conduit for nginx authors
 */


#ifndef _CONDUIT_SCENE_H_INCLUDED_
#define _CONDUIT_SCENE_H_INCLUDED_


#include "conduit.h"


/*
 * What the sandbox provider draws: ranges of hills under a sky with a sun or
 * a moon, its colours and shapes drawn from the prompt and the seed.  Integer
 * arithmetic only, so that the same input gives the same picture on every
 * machine.  Rows can be made in any order and cost no more than their width.
 */


#define CONDUIT_SCENE_MAX    8192
#define CONDUIT_SCENE_HILLS  5

/* how far the sun can travel: the phase of a picture is 0 .. this */
#define CONDUIT_SCENE_PHASE  65536


typedef struct {
    int32_t    r;
    int32_t    g;
    int32_t    b;
} conduit_scene_rgb_t;


typedef struct {
    uint32_t             width;
    uint32_t             height;

    conduit_scene_rgb_t  sky[3];             /* top, middle, horizon */
    conduit_scene_rgb_t  sun;
    conduit_scene_rgb_t  hill[CONDUIT_SCENE_HILLS];

    int64_t              sun_x;
    int64_t              sun_y;
    int64_t              sun_r;

    /* height of each hill per column, in 1/16 of a row, first the farthest */
    int32_t             *tops;
    int32_t              highest[CONDUIT_SCENE_HILLS];
    int32_t              lowest[CONDUIT_SCENE_HILLS];

    uint32_t             hash;
} conduit_scene_t;


/*
 * Prepares the scene of a prompt and seed at width x height, each
 * 1 .. CONDUIT_SCENE_MAX.  The scene is to be freed after use.
 *
 * CONDUIT_OK
 * CONDUIT_ERROR  bad size or no memory, nothing is to be freed
 */
int conduit_scene_create(conduit_scene_t *scene, const u_char *prompt,
    size_t len, int64_t seed, uint32_t width, uint32_t height);


/*
 * Moves the sun along its arc, phase 0 .. CONDUIT_SCENE_PHASE (what is above
 * it counts as it).  A fresh scene stands at a phase of its own, the one
 * that is best looked at.
 */
void conduit_scene_phase(conduit_scene_t *scene, uint32_t phase);


/* Draws row y, 0 .. height - 1, into width * 3 bytes of red, green, blue. */
void conduit_scene_row(const conduit_scene_t *scene, uint32_t y, u_char *rgb);


void conduit_scene_free(conduit_scene_t *scene);


#endif /* _CONDUIT_SCENE_H_INCLUDED_ */
