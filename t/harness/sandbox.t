#!/usr/bin/env python3

# Copyright (C) Conduit for nginx authors

# The sandbox provider: pictures, clips, and the words that steer it.

import base64
import os
import shutil
import struct
import subprocess
import sys
import time
import zlib
sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))
from conduit_api import *

SERVER = 'location /media/ { alias %%DIR%%/media/; }'
FILES = 'conduit_media %%DIR%%/media url=/media;'


def png_size(data):
    """(width, height) of a PNG whose every byte is as it should be."""

    if data[:8] != b'\x89PNG\r\n\x1a\n':
        return None

    at, pixels, size = 8, b'', None

    while at < len(data):
        n, kind = struct.unpack('>I4s', data[at:at + 8])
        body = data[at + 8:at + 8 + n]
        crc, = struct.unpack('>I', data[at + 8 + n:at + 12 + n])

        if crc != zlib.crc32(kind + body):
            return None

        if kind == b'IHDR':
            size = struct.unpack('>II', body[:8])
        elif kind == b'IDAT':
            pixels += body

        at += 12 + n

    if len(zlib.decompress(pixels)) != size[1] * (1 + 3 * size[0]):
        return None

    return size


def probe(path):
    """codec, width, height, duration and frames, as ffprobe counts them."""

    return subprocess.run(
        ['ffprobe', '-v', 'error', '-count_frames', '-of', 'csv=p=0',
         '-show_entries',
         'stream=codec_name,width,height,duration,nb_read_frames', path],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True).stdout.strip()


def media(api):
    return os.listdir(api.path('media'))


def picture(api, prompt, **more):
    d = api.alice.run(api.alice.image(prompt, **more), 30)
    return [api.alice.get(url).body for url in d['image_urls']]


def test_pictures(t):
    with Api(t, server=SERVER, http=FILES) as api:
        for size in ('1x1', '64x48', '1792x1024'):
            data, = picture(api, 'a fox', size=size)
            t.eq('%dx%d' % png_size(data), size, 'a picture of ' + size)

        data, = picture(api, 'a fox')
        t.eq(png_size(data), (1024, 1024), 'the default size')
        t.ok(len(data) < 150 * 1024, 'is small')
        same, = picture(api, 'a fox', size='auto')
        t.ok(same == data, 'same prompt, same picture')
        first, = picture(api, 'a fox', size='64x64', seed=-7)
        same, = picture(api, 'a fox', size='64x64', seed=-7)
        other, = picture(api, 'a fox', size='64x64', seed=7)
        t.ok(first == same, 'same seed, same picture')
        t.ok(first != other, 'another seed, another picture')

        three = picture(api, 'a fox', size='64x64', n=3)
        t.eq(len(set(three)), 3, 'three pictures are three')
        t.ok(all(png_size(x) == (64, 64) for x in three), 'of that size')


def test_clips(t):
    with Api(t, server=SERVER, http=FILES) as api:
        for more, expected in (
                ({}, 'h264,1280,720,4.000000,96'),
                ({'size': '320x180', 'duration': 2, 'fps': 10},
                 'h264,320,180,2.000000,20')):
            d = api.alice.run(api.alice.video('a fox', **more), 30)
            data = api.alice.get(d['video_url']).body
            t.eq(data[4:8], b'ftyp', 'a clip')
            t.eq(d['result']['data'][0]['mime_type'], 'video/mp4', 'mime')

            if not shutil.which('ffprobe'):
                t.ok(True, 'that plays # SKIP no ffprobe here')
                continue

            path = api.path('media/' + d['video_url'].rsplit('/', 1)[1])
            t.eq(probe(path), expected, 'that plays')

        d = api.alice.run(api.alice.video('a fox'), 30)
        again = api.alice.get(d['video_url']).body
        d = api.alice.run(api.alice.video('a fox'), 30)
        t.ok(api.alice.get(d['video_url']).body == again, 'always the same')


def test_inline(t):
    with Api(t, zone='conduit:1m') as api:
        d = api.alice.run(api.alice.image('a fox', size='32x32', n=2))
        items = d['result']['data']
        t.eq([png_size(base64.b64decode(x['b64_json'])) for x in items],
             [(32, 32)] * 2, 'base64 without conduit_media')
        t.eq((d['image_url'], [x.get('url') for x in items]),
             (None, [None] * 2), 'and no URL')
        t.eq(items[0]['mime_type'], 'image/png', 'mime_type')

        d = api.alice.run(api.alice.image('a fox', size='4096x4096', n=4),
                          120)
        t.eq((d['status'], d['error_code']), ('failed', 'result_too_large'),
             'more than the zone ever holds')


def test_steering(t):
    with Api(t) as api:
        for prompt, expected in (
                ('sandbox:duration=2s',
                 [0, 20, 40, 60, 80, 'completed']),
                ('sandbox:duration=2s sandbox:progress=1',
                 [0, 50, 'completed']),
                ('sandbox:duration=1s sandbox:progress=0',
                 [0, 'completed']),
                ('sandbox:duration=2s sandbox:error_at=50',
                 [0, 20, 40, 'failed'])):
            task = api.alice.image(prompt, size='16x16')['task_id']
            seen = []

            for _, d in api.alice.events(task):
                seen.append(d['progress'] if d['status'] == 'processing'
                            else d['status'])
                last = d

            if seen[0] == 'pending':
                seen.pop(0)


            # who looks late does not see all of it, but nothing else

            rest = iter(expected)
            t.ok(all(x in rest for x in seen) and seen[-1] == expected[-1]
                 and len(seen) > 1, prompt) or t.diag(seen)

        t.eq((last['progress'], last['error_code'], last['error']),
             (40, 'provider_error', last['error']),
             'a failure keeps the progress')
        t.ok(last['error'], 'and has a text')

        began = time.monotonic()
        d = api.alice.run(api.alice.image('sandbox:duration=0ms',
                                          size='16x16'))
        t.eq(d['status'], 'completed', 'without any duration')
        t.ok(time.monotonic() - began < 1 * BUSY, 'at once')

        task = api.alice.image('slow: a fox')['task_id']
        d = api.alice.until(task, lambda d: d['status'] == 'processing')
        t.between(d['estimated_seconds_remaining'], 4, 8, 'slow: 8 seconds')
        t.eq(d['message'], 'Rendering image', 'message')


def test_threads(t):
    """Drawing is not done on the event loop."""

    with Api(t, server=SERVER, http=FILES) as api:
        tasks = [api.alice.image('sandbox:duration=0ms', size='8192x4096')
                 ['task_id'] for _ in range(2)]
        worst = 0
        running = True

        while running:
            began = time.monotonic()
            docs = [api.alice.document(task) for task in tasks]
            worst = max(worst, (time.monotonic() - began) / 2)
            running = any(d['status'] not in FINAL for d in docs)

        t.eq([d['status'] for d in docs], ['completed'] * 2, 'huge pictures')
        t.ok(worst < 0.3 * BUSY, 'polls are answered meanwhile') \
            or t.diag('%.3f s' % worst)

        for task in tasks:
            url = api.alice.document(task)['image_url']
            os.unlink(api.path('media/' + url.rsplit('/', 1)[1]))

        task = api.alice.image('sandbox:duration=0ms', size='8192x4096', n=4)
        task = task['task_id']
        api.alice.until(task, lambda d: d['status'] == 'processing')
        t.eq(api.alice.cancel(task).status, 200, 'cancelled while drawing')
        wait_for(lambda: api.alice.document(task)['status'] == 'cancelled',
                 20, 'the end')

        # a later job of the same pool is no earlier than that one's file

        d = api.alice.run(api.alice.image('sandbox:duration=0ms',
                                          size='8192x4096'), 60)
        name = d['image_url'].rsplit('/', 1)[1]
        wait_for(lambda: media(api) == [name], 15 * SLOW, 'the removal')
        t.eq(media(api), [name], 'leaves no file')

        os.rename(api.path('media'), api.path('away'))
        d = api.alice.run(api.alice.image('a fox', size='16x16'))
        t.eq((d['status'], d['error_code']), ('failed', 'internal_error'),
             'no folder to write to')
        t.like(api.error_log(), r'\[error\].*conduit_media: open\(\) ',
               'is logged')
        os.rename(api.path('away'), api.path('media'))
        d = api.alice.run(api.alice.image('a fox', size='16x16'))
        t.eq(d['status'], 'completed', 'and works again')


run(test_pictures, test_clips, test_inline, test_steering, test_threads)
