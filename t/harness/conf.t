#!/usr/bin/env python3

# Copyright (C) Conduit for nginx authors

# What "nginx -t" refuses, and in which words.

import os
import sys
sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))
from conduit_harness import *

HASH = 'sha256:' + 64 * 'a'
OTHER = 'sha256:' + 64 * 'b'

HTTP = '''
    %s

    server {
        listen 127.0.0.1:%%%%PORT%%%%;
        location / { conduit_tasks; %s }
    }
'''

SANDBOX = 'conduit_provider sandbox { type sandbox; } '

DESCRIBED = '''
    conduit_provider p {
        kind image;
        base https://api.example.com;
        secret file:%%%%DIR%%%%/secret;
        auth header Authorization "Bearer ${secret}";

        submit POST /jobs json {
            field /prompt $prompt required;
            take id /id;
        }

        poll GET /jobs/${id} { every 1s; }
        status /status { done completed; failed failed; }
        result url /url;
        %s
    }
'''


def edit(old, new):
    """The described provider with one change."""

    text = DESCRIBED % ''
    assert old in text, old
    return text.replace(old, new)


GOOD = [
    ('nothing but a handler', ''),
    ('a zone', 'conduit_zone tasks:1m;'),
    ('a described provider', DESCRIBED % ''),
    ('times and numbers', 'conduit_task_ttl 1h; conduit_task_timeout 90s; '
     'conduit_task_attempts 1; conduit_task_limit total=5; '
     'conduit_poll_interval 500ms; conduit_wait_max 1s;'),
    ('a key with all members', 'conduit_key k { secret %s; secret %s '
     'expires=2030-01-01T00:00:00Z; models a b*; rate 5r/s burst=2; '
     'connections 5; tasks 3; expires 2031-01-01T00:00:00Z; admin on; '
     'worker off; disabled; }' % (HASH, OTHER)),
    ('providers that refer to later ones', 'conduit_model a provider=sandbox '
     'fallback=b; conduit_model b provider=sandbox; ' + SANDBOX),
]

BAD = [
    # zone and store
    ('conduit_zone conduit;', 'conduit_zone "conduit": must be NAME:SIZE'),
    ('conduit_zone conduit:4k;', 'conduit_zone "conduit:4k": must be 1m'),
    ('conduit_zone :8m;', 'must be NAME:SIZE'),
    ('conduit_zone a:1m; conduit_zone b:1m;', 'is duplicate'),
    ('conduit_store "";', 'has an empty path'),
    ('conduit_store off sync=on;', 'has parameters after "off"'),
    ('conduit_store a; conduit_store b;', 'is duplicate'),
    ('conduit_store a sync=maybe;', '"sync=maybe" of conduit_store'),
    ('conduit_store a sync=on sync=on;', '"sync=on" of conduit_store'),
    ('conduit_store a max_size=1000;', '"max_size=1000" of conduit_store'),
    ('conduit_store a max_size=big;', '"max_size=big" of conduit_store'),
    ('conduit_store a size=1g;', '"size=1g" of conduit_store'),
    ('conduit_store redis;', 'conduit_store redis needs a conduit_redis'),

    # Redis
    ('conduit_redis http://h;', 'must begin with "redis://", "rediss://"'),
    ('conduit_redis redis://;', 'conduit_redis: it has no host'),
    ('conduit_redis redis://h:x;', 'it must have HOST or HOST:PORT'),
    ('conduit_redis redis://h:99999;', 'it must have HOST or HOST:PORT'),
    ('conduit_redis redis://h/x;', 'number of a database after the "/"'),
    ('conduit_redis redis://:@h;', 'it has no password before the "@"'),
    ('conduit_redis redis://p%zz@h;', 'bad "%" in user or password'),
    ('conduit_redis unix:redis;', 'absolute path after "unix:"'),
    ('conduit_redis unix:/%s;' % ('x' * 120), 'path that is too long'),
    ('conduit_redis redis://h on_outage=wait;',
     'on_outage= must be "refuse" or "local"'),
    ('conduit_redis redis://h prefix=a*b;', 'prefix= must have 1 to 64'),
    ('conduit_redis redis://h prefix=a prefix=b;', 'duplicate parameter'),
    ('conduit_redis redis://h prefix=;', 'has no value'),
    ('conduit_redis redis://h some=1;', 'parameter of conduit_redis: must'),
    ('conduit_redis redis://h user=a;', 'belong into the URL'),
    ('conduit_redis unix:/r user=a;', 'user= needs password='),
    ('conduit_redis unix:/r db=x;', 'db= must be the number'),
    ('conduit_redis redis://h ca=/c;', 'ca= needs "rediss://"'),
    ('conduit_redis rediss://h ca=/nowhere/ca;', '/nowhere/ca'),
    ('conduit_redis redis://m:1 sentinel=a,b;', 'without a port'),
    ('conduit_redis redis://m sentinel=a,,b;', 'has no host'),
    ('conduit_redis unix:/m sentinel=a;', 'beside sentinels'),
    ('conduit_redis redis://a; conduit_redis redis://b;', 'is duplicate'),
    ('conduit_instance a/b;', 'conduit_instance "a/b": must have 1 to 64'),
    ('conduit_instance a; conduit_instance b;', 'is duplicate'),

    # tasks
    ('conduit_task_ttl 0;', 'conduit_task_ttl "0": it must be more than 0'),
    ('conduit_task_ttl 1s; conduit_task_ttl 1s;', 'is duplicate'),
    ('conduit_task_timeout soon;',
     'conduit_task_timeout "soon": it must be more than 0, for example'),
    ('conduit_task_attempts 0;', 'conduit_task_attempts "0": must be'),
    ('conduit_task_limit per_key=0;', '"per_key=0" of conduit_task_limit'),
    ('conduit_task_limit some=1;', '"some=1" of conduit_task_limit'),
    ('conduit_rate fast;', 'conduit_rate "fast"'),
    ('conduit_rate 5r/h;', 'conduit_rate "5r/h"'),
    ('conduit_cors example.com;', '"example.com" in conduit_cors'),
    ('conduit_cors https://example.com/;', 'in conduit_cors'),
    ('conduit_poll_interval 0;', 'conduit_poll_interval "0": it must be'),
    ('conduit_wait_max 1y1;', 'conduit_wait_max "1y1": it must be'),
    ('conduit_webhook_plain maybe;', 'conduit_webhook_plain'),

    # media
    ('conduit_media media;', 'conduit_media "media" has no url=PREFIX'),
    ('conduit_media media url=ftp://x;', 'conduit_media|"url=ftp://x"'),
    ('conduit_media media url=/m max_size=none;', 'max_size=none'),
    ('conduit_media media url=/m keep=1d;', 'keep=1d'),

    # keys
    ('conduit_key k { }', 'conduit_key" "k"'),
    ('conduit_key k { secret plain; }', 'must be "sha256:" and the 64'),
    ('conduit_key k { secret %s; colour red; }' % HASH, 'colour'),
    ('conduit_key k { secret %s; worker yes; }' % HASH,
     'must be "on" or "off"'),
    ('conduit_key k { secret %s; expires soon; }' % HASH, 'must be a time'),
    ('conduit_key k { secret %s; tasks 0; }' % HASH, 'must be a number'),
    ('conduit_key a { secret %s; } conduit_key a { secret %s; }'
     % (HASH, OTHER), 'duplicate "conduit_key" "a"'),
    ('conduit_key a { secret %s; } conduit_key b { secret %s; }'
     % (HASH, HASH), 'secret'),
    ('conduit_key_file nothing.json;', 'conduit_key_file'),
    ('conduit_key_file bad.json;', 'conduit_key_file'),

    # models
    ('conduit_model m;', 'conduit_model'),
    ('conduit_model m provider=none;', 'unknown provider "none"'),
    (SANDBOX + 'conduit_model m provider=sandbox kind=text;', 'kind=text'),
    (SANDBOX + 'conduit_model m provider=sandbox fallback=n;',
     'unknown fallback "n"'),
    (SANDBOX + 'conduit_model m provider=sandbox fallback=n; '
     'conduit_model n provider=sandbox fallback=m;', 'go in a circle|fallback'),
    (SANDBOX + 'conduit_model m provider=sandbox; '
     'conduit_model m provider=sandbox;', 'duplicate "conduit_model" "m"'),
    (DESCRIBED % '' + 'conduit_model m provider=p kind=video;', 'kind=video'),

    # providers
    (SANDBOX + SANDBOX, 'duplicate "conduit_provider" "sandbox"'),
    ('conduit_provider p { type magic; }', 'must be "sandbox" or "worker"'),
    ('conduit_provider p { type sandbox; lease 5s; }', '"lease" has no meaning'),
    ('conduit_provider p { type worker; lease 100ms; }', 'at least 1s'),
    ('conduit_provider p { type worker; base http://x; }', '"base"'),
    ('conduit_provider p { kind image; }', 'base'),
    ('conduit_provider p { colour red; }', 'unknown directive "colour"'),
    (edit('kind image;', ''), 'kind image'),
    (edit('kind image;', 'kind text;'), 'unknown kind "text"'),
    (edit('https://', 'gopher://'), 'base'),
    (edit('secret file:%%DIR%%/secret;', ''), 'needs a secret'),
    (edit('%%DIR%%/secret', '/nowhere/secret'), '/nowhere/secret'),
    (edit('file:%%DIR%%/secret', 'env:NOT_SET_ANYWHERE'),
     'NOT_SET_ANYWHERE'),
    (edit('take id /id;', ''), 'must have "take id'),
    (edit('/jobs/${id}', '/jobs/${job}'), 'job'),
    (edit('every 1s;', 'every 50ms;'), '100ms'),
    (edit('done completed;', ''), 'nothing tells that a task is completed'),
    (edit('done completed;', 'done finished;'), 'finished'),
    (edit('result url /url;', ''), 'no result rule'),
    (edit('result url /url;', 'result url url;'), 'pointer|"url"'),
    (edit('result url /url;', 'result download GET /jobs/${id}/content;'),
     'conduit_media PATH url=PREFIX'),
    (edit('/jobs/${id}', '/jobs/${secret}'), 'secret'),
    (edit('$prompt required', '$prompt required map=m'), 'unknown map "m"'),
    (DESCRIBED % 'limit concurrency=0;', 'limit|concurrency'),
    (DESCRIBED % 'error_map { 5 broken; }', 'broken'),
    (DESCRIBED % 'cancel DELETE https://elsewhere.example/${id};', 'hosts'),

    # not there yet
    (DESCRIBED % 'callback field=/webhook;', 'not supported yet'),
    (edit('take id /id;', 'take id /id; document flow.json;'),
     'not supported yet'),
    (edit('take id /id;', 'take id /id; stream { }'), 'not supported yet'),
    (edit('json {', 'multipart {'), 'not supported yet'),
    (edit('$prompt required', '$image file'), 'not supported yet'),
    (edit('auth header Authorization "Bearer ${secret}"',
          'auth jwt hs256 iss=a ttl=5m'), 'not supported yet'),
    (edit('secret;', 'secret file:%%DIR%%/secret;'), 'not supported yet'),
]

# inside of a location

BAD_INSIDE = [
    ('conduit_generations text;', 'conduit_generations|"text"'),
    ('conduit_health disk;', 'conduit_health|"disk"'),
    ('conduit_metrics;', 'duplicate|already'),
    ('conduit_zone conduit:1m;', 'not allowed here'),
    ('conduit_rate 1r/s; conduit_rate 2r/s;', 'is duplicate'),
]


def check(t, http, inside, pattern, name):
    with Nginx(t, start=False) as ng:
        ng.write('secret', 'sk-very-secret\n')
        ng.write('conf/bad.json', '{"k":{"secret":"x"}}')
        ng.configure(HTTP % (http, inside))
        good, text = ng.check()

        if pattern is None:
            t.ok(good, name) or t.diag(text)
            return

        alert = [line for line in text.splitlines() if '[emerg]' in line]

        if t.ok(not good and len(alert) == 1
                and re.search(pattern, alert[0]) is not None
                and 'sk-very-secret' not in text, name):
            return

        t.diag(text)


def test_good(t):
    for name, http in GOOD:
        check(t, http, '', None, name)


def test_bad(t):
    for http, pattern in BAD:
        check(t, http, '', pattern, ' '.join(http.split())[-70:])


def test_bad_inside(t):
    for inside, pattern in BAD_INSIDE:
        check(t, '', inside, pattern, inside)


run(test_good, test_bad, test_bad_inside)
