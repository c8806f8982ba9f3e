
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <stdlib.h>

#include "conduit_scene.h"


#define CONDUIT_SCENE_MOODS  8


typedef struct {
    uint32_t    sky[3];
    uint32_t    sun;
    uint32_t    far;
    uint32_t    near;
} conduit_scene_mood_t;


static uint32_t conduit_scene_hash(const u_char *prompt, size_t len,
    int64_t seed);
static uint32_t conduit_scene_mix(uint32_t a, uint32_t b);
static void conduit_scene_colors(conduit_scene_t *scene);
static conduit_scene_rgb_t conduit_scene_blend(conduit_scene_rgb_t a,
    conduit_scene_rgb_t b, int32_t n);
static conduit_scene_rgb_t conduit_scene_color(uint32_t a, uint32_t b,
    int32_t n);
static void conduit_scene_hill(conduit_scene_t *scene, uint32_t n);
static int32_t conduit_scene_noise(uint32_t salt, uint32_t x);
static conduit_scene_rgb_t conduit_scene_sky(const conduit_scene_t *scene,
    uint32_t y);
static void conduit_scene_paint(u_char *rgb, conduit_scene_rgb_t c,
    int32_t n);
static void conduit_scene_heaven(const conduit_scene_t *scene, uint32_t y,
    u_char *rgb);
static void conduit_scene_range(const conduit_scene_t *scene, uint32_t n,
    uint32_t y, u_char *rgb);


static const conduit_scene_mood_t  conduit_scene_moods[CONDUIT_SCENE_MOODS] = {

    /* dawn */
    { { 0x2b4c7e, 0xe58f7b, 0xffd9a0 }, 0xfff3c9, 0xc48a8c, 0x2a2f4f },

    /* noon */
    { { 0x2f7fd1, 0x7fc1ec, 0xdff3f7 }, 0xfffbe6, 0x8fb8b5, 0x1f5a3c },

    /* dusk */
    { { 0x1d1b4b, 0x8a3b7c, 0xff9a5a }, 0xffd27a, 0x7a3d6d, 0x17122e },

    /* moonlight */
    { { 0x070b1f, 0x14264f, 0x39608c }, 0xf2f5ff, 0x27426b, 0x050a18 },

    /* mist */
    { { 0x9fb4c4, 0xc9d6dd, 0xf3efe6 }, 0xfffdf4, 0xb9c8cc, 0x4a6067 },

    /* desert */
    { { 0x4f9ec4, 0xf0c987, 0xf7e3b8 }, 0xfff6d8, 0xe0a468, 0x7c3f22 },

    /* aurora */
    { { 0x06122b, 0x0f5a62, 0x5fd6a2 }, 0xe6fff4, 0x1d5e66, 0x06161d },

    /* blossom */
    { { 0x7d8fd8, 0xf1b3cf, 0xffe6e1 }, 0xfffaf0, 0xcf97b8, 0x4b2f5a }
};


int
conduit_scene_create(conduit_scene_t *scene, const u_char *prompt, size_t len,
    int64_t seed, uint32_t width, uint32_t height)
{
    uint32_t  n;

    if (width < 1 || width > CONDUIT_SCENE_MAX
        || height < 1 || height > CONDUIT_SCENE_MAX)
    {
        return CONDUIT_ERROR;
    }

    scene->tops = malloc(sizeof(int32_t) * width * CONDUIT_SCENE_HILLS);
    if (scene->tops == NULL) {
        return CONDUIT_ERROR;
    }

    scene->width = width;
    scene->height = height;
    scene->hash = conduit_scene_hash(prompt, len, seed);

    conduit_scene_colors(scene);

    for (n = 0; n < CONDUIT_SCENE_HILLS; n++) {
        conduit_scene_hill(scene, n);
    }

    scene->sun_r = (width < height ? width : height)
                   * (14 + (conduit_scene_mix(scene->hash, 11) & 7)) / 240;

    conduit_scene_phase(scene, 12000 + conduit_scene_mix(scene->hash, 12)
                                       % 41000);

    return CONDUIT_OK;
}


/* FNV-1a over the prompt, then the seed */

static uint32_t
conduit_scene_hash(const u_char *prompt, size_t len, int64_t seed)
{
    size_t    i;
    uint32_t  h;

    h = 2166136261u;

    for (i = 0; i < len; i++) {
        h = (h ^ prompt[i]) * 16777619u;
    }

    h = conduit_scene_mix(h, (uint32_t) (uint64_t) seed);

    return conduit_scene_mix(h, (uint32_t) ((uint64_t) seed >> 32));
}


static uint32_t
conduit_scene_mix(uint32_t a, uint32_t b)
{
    a ^= b * 0x9e3779b1u;
    a ^= a >> 16;
    a *= 0x85ebca6bu;
    a ^= a >> 13;
    a *= 0xc2b2ae35u;

    return a ^ a >> 16;
}


/* a mood with a touch of another one, so that few pictures look alike */

static void
conduit_scene_colors(conduit_scene_t *scene)
{
    int32_t                      touch;
    uint32_t                     i, n;
    conduit_scene_rgb_t          far, near;
    const conduit_scene_mood_t  *a, *b;

    n = conduit_scene_mix(scene->hash, 1);

    a = &conduit_scene_moods[n % CONDUIT_SCENE_MOODS];
    b = &conduit_scene_moods[(n >> 8) % CONDUIT_SCENE_MOODS];
    touch = (n >> 16) % 72;

    for (i = 0; i < 3; i++) {
        scene->sky[i] = conduit_scene_color(a->sky[i], b->sky[i], touch);
    }

    scene->sun = conduit_scene_color(a->sun, b->sun, touch);

    far = conduit_scene_color(a->far, b->far, touch);
    near = conduit_scene_color(a->near, b->near, touch);

    for (i = 0; i < CONDUIT_SCENE_HILLS; i++) {
        scene->hill[i] = conduit_scene_blend(far, near,
                                             i * 256
                                             / (CONDUIT_SCENE_HILLS - 1));
    }
}


/* n of 256 parts of b */

static conduit_scene_rgb_t
conduit_scene_blend(conduit_scene_rgb_t a, conduit_scene_rgb_t b, int32_t n)
{
    a.r += (b.r - a.r) * n / 256;
    a.g += (b.g - a.g) * n / 256;
    a.b += (b.b - a.b) * n / 256;

    return a;
}


static conduit_scene_rgb_t
conduit_scene_color(uint32_t a, uint32_t b, int32_t n)
{
    conduit_scene_rgb_t  from, to;

    from.r = a >> 16 & 0xff;
    from.g = a >> 8 & 0xff;
    from.b = a & 0xff;

    to.r = b >> 16 & 0xff;
    to.g = b >> 8 & 0xff;
    to.b = b & 0xff;

    return conduit_scene_blend(from, to, n);
}


/* three octaves of noise over a base line that comes down with n */

static void
conduit_scene_hill(conduit_scene_t *scene, uint32_t n)
{
    int32_t   *tops;
    int64_t    base, swing, v;
    uint32_t   x, salt, cells, pos;

    salt = conduit_scene_mix(scene->hash, 100 + n);
    cells = 3 + n + salt % 3;
    base = (int64_t) scene->height * 16 * (52 + n * 10) / 100;
    swing = (int64_t) scene->height * 16 * (24 - n * 3) / 100;

    tops = scene->tops + (size_t) n * scene->width;
    scene->highest[n] = INT32_MAX;
    scene->lowest[n] = INT32_MIN;

    for (x = 0; x < scene->width; x++) {
        pos = (uint32_t) (((uint64_t) x << 16) / scene->width) * cells;

        v = conduit_scene_noise(salt, pos) * 4
            + conduit_scene_noise(salt + 1, pos * 3) * 2
            + conduit_scene_noise(salt + 2, pos * 7);

        tops[x] = (int32_t) (base - swing * (v - 7 * 128) / (7 * 256));

        if (tops[x] < scene->highest[n]) {
            scene->highest[n] = tops[x];
        }

        if (tops[x] > scene->lowest[n]) {
            scene->lowest[n] = tops[x];
        }
    }
}


/* value noise, 0 .. 255; x counts cells in 16.16 */

static int32_t
conduit_scene_noise(uint32_t salt, uint32_t x)
{
    int32_t  a, b, t;

    a = conduit_scene_mix(salt, x >> 16) & 0xff;
    b = conduit_scene_mix(salt, (x >> 16) + 1) & 0xff;

    /* smooth step: 3 t^2 - 2 t^3 */

    t = x >> 8 & 0xff;
    t = t * t * (3 * 256 - 2 * t) >> 16;

    return a + (b - a) * t / 256;
}


void
conduit_scene_phase(conduit_scene_t *scene, uint32_t phase)
{
    int64_t  p, rise;

    p = phase < CONDUIT_SCENE_PHASE ? phase : CONDUIT_SCENE_PHASE;

    /* a parabola over the whole width, its top at a fifth of the height */

    rise = p * (CONDUIT_SCENE_PHASE - p) / (CONDUIT_SCENE_PHASE / 4);

    scene->sun_x = scene->width * (8 * (int64_t) CONDUIT_SCENE_PHASE + 84 * p)
                   / (100 * (int64_t) CONDUIT_SCENE_PHASE);
    scene->sun_y = scene->height
                   * (52 * (int64_t) CONDUIT_SCENE_PHASE - 32 * rise)
                   / (100 * (int64_t) CONDUIT_SCENE_PHASE);
}


void
conduit_scene_row(const conduit_scene_t *scene, uint32_t y, u_char *rgb)
{
    int32_t   bottom;
    uint32_t  n;

    bottom = (int32_t) (y + 1) * 16;

    /* a range that covers the row from end to end hides all behind it */

    for (n = CONDUIT_SCENE_HILLS; n > 0; n--) {

        if (scene->lowest[n - 1] + 16 <= bottom) {
            n--;
            break;
        }
    }

    if (n == 0) {
        conduit_scene_heaven(scene, y, rgb);
    }

    for ( /* void */ ; n < CONDUIT_SCENE_HILLS; n++) {

        if (scene->highest[n] < bottom) {
            conduit_scene_range(scene, n, y, rgb);
        }
    }
}


static void
conduit_scene_heaven(const conduit_scene_t *scene, uint32_t y, u_char *rgb)
{
    int64_t              dx, dy, d2, r2, edge, glow;
    uint32_t             x;
    conduit_scene_rgb_t  sky;

    sky = conduit_scene_sky(scene, y);

    dy = (int64_t) y - scene->sun_y;
    r2 = scene->sun_r * scene->sun_r;

    for (x = 0; x < scene->width; x++, rgb += 3) {
        rgb[0] = (u_char) sky.r;
        rgb[1] = (u_char) sky.g;
        rgb[2] = (u_char) sky.b;

        dx = (int64_t) x - scene->sun_x;
        d2 = dx * dx + dy * dy;

        glow = 154 * r2 * 2 / (r2 * 2 + d2 + 1) - 4;

        if (glow > 0) {
            conduit_scene_paint(rgb, scene->sun, (int32_t) glow);
        }

        /* near the rim (r^2 - d^2) / 2r is the distance from it */

        edge = 128 + (r2 - d2) * 128 / (scene->sun_r + 1);

        if (edge > 0) {
            conduit_scene_paint(rgb, scene->sun,
                                (int32_t) (edge < 256 ? edge : 256));
        }
    }
}


static conduit_scene_rgb_t
conduit_scene_sky(const conduit_scene_t *scene, uint32_t y)
{
    int32_t  n;

    /* the horizon is at seven tenths of the height */

    n = (int32_t) ((uint64_t) y * 512 * 10 / (scene->height * 7));

    if (n < 256) {
        return conduit_scene_blend(scene->sky[0], scene->sky[1], n);
    }

    n -= 256;

    return conduit_scene_blend(scene->sky[1], scene->sky[2],
                               n < 256 ? n : 256);
}


static void
conduit_scene_paint(u_char *rgb, conduit_scene_rgb_t c, int32_t n)
{
    rgb[0] = (u_char) (rgb[0] + (c.r - rgb[0]) * n / 256);
    rgb[1] = (u_char) (rgb[1] + (c.g - rgb[1]) * n / 256);
    rgb[2] = (u_char) (rgb[2] + (c.b - rgb[2]) * n / 256);
}


static void
conduit_scene_range(const conduit_scene_t *scene, uint32_t n, uint32_t y,
    u_char *rgb)
{
    int32_t              cover, bottom, *tops;
    uint32_t             x;
    conduit_scene_rgb_t  c;

    /* haze in the valleys: lighter towards the foot of the range */

    c = conduit_scene_blend(scene->hill[n], scene->sky[2],
                            (int32_t) (y * 40 / scene->height)
                            * (CONDUIT_SCENE_HILLS - 1 - (int32_t) n) / 3);

    tops = scene->tops + (size_t) n * scene->width;
    bottom = (int32_t) (y + 1) * 16;

    for (x = 0; x < scene->width; x++, rgb += 3) {

        cover = bottom - tops[x];

        if (cover >= 16) {
            rgb[0] = (u_char) c.r;
            rgb[1] = (u_char) c.g;
            rgb[2] = (u_char) c.b;

        } else if (cover > 0) {
            conduit_scene_paint(rgb, c, cover * 16);
        }
    }
}


void
conduit_scene_free(conduit_scene_t *scene)
{
    free(scene->tops);
    scene->tops = NULL;
}
