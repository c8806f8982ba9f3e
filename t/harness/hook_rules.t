#!/usr/bin/env python3

# Copyright (C) Conduit for nginx authors

# What is refused of webhook_url and webhook_headers before anything is sent,
# by a create and by a test event alike.

import os
import sys
sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))
from conduit_hooks import *

BAD = '''
http://127.0.0.1/ http://localhost/ http://LOCALHOST/ http://localhost./
http://foo.localhost/ http://127.1/ http://2130706433/ http://0x7f000001/
http://0x7f.0.0.0x1/ http://0177.0.0.1/
http://00000000000000000000000000000177.1/ http://0/ http://0.0.0.0/
http://169.254.169.254/latest/meta-data/ http://2852039166/
http://0xa9fea9fe/ http://025177524776/ http://169.254.169.254./
http://256.256.256.256/ http://4294967296/ http://a.0x1/ http://a.1/
http://[::1]/ http://[::]/ http://[::ffff:127.0.0.1]/
http://[::ffff:7f00:1]/ http://[::127.0.0.1]/ http://[::ffff:0:127.0.0.1]/
http://[64:ff9b::7f00:1]/ http://[64:ff9b::a9fe:a9fe]/
http://[64:ff9b:1::1]/ http://[2002:7f00:1::]/ http://[2002:a9fe:a9fe::]/
http://[2001:0:1::1]/ http://[2001:db8::1]/ http://[fc00::1]/
http://[fd00:ec2::254]/ http://[fe80::1]/ http://[fec0::1]/
http://[ff02::1]/ http://[100::1]/ http://[fe80::1%25eth0]/
http://[fe80::1%eth0]/ http://[127.0.0.1]/ http://[::1
http://[::1]:80@example.com/ http://10.0.0.1/ http://192.168.1.1/
http://172.16.0.1/ http://172.31.255.255/ http://100.64.0.1/
http://100.100.100.200/ http://192.0.0.192/ http://168.63.129.16/
http://198.18.0.1/ http://192.88.99.1/ http://240.0.0.1/ http://224.0.0.1/
http://255.255.255.255/ http://metadata.google.internal/ http://metadata/
http://printer.local/ http://a.home.arpa/ http://a.onion/
http://user:pw@example.com/ http://user@example.com/
http://example.com@127.0.0.1/ http://127.0.0.1\\@example.com/
http://example.com\\@127.0.0.1/ http://127.0.0.1#@example.com/
http://example.com/#x http://127.0.0.1%2f@example.com/
http://%31%32%37.0.0.1/ http://127%2e0%2e0%2e1/ http://%6c%6f%63alhost/
http://loc%00alhost/ http://exam%70le.com/ http://１２７.０.０.１/
http://127。0。0。1/ http://ⓛocalhost/ http://bücher.example/
http:/127.0.0.1/ http:///127.0.0.1/ http:127.0.0.1 //127.0.0.1/ 127.0.0.1/
file:///etc/passwd gopher://127.0.0.1:6379/_x dict://example.com/
ftp://example.com/ ldap://example.com/ smb://example.com/ ws://example.com/
unix:/tmp/x javascript:alert(1) http://example.com:0/
http://example.com:65536/ http://example.com:99999/
http://example.com:80:80/ http://example.com:22/ http://example.com:25/
http://example.com:6379/ http://example.com:11211/
http://example.com:2375/ http://example.com:1023/ http://.example.com/
http://a..b/ http://-a.com/ http://a-.com/
'''.split() + [
    'http://1.1.1.1 &@2.2.2.2# @3.3.3.3/', 'http://exa mple.com/',
    ' http://example.com/', 'http://example.com/ ', 'http://example.com/\r\nX',
    'http://exam\tple.com/', 'http://example.com/\x7f', '', 'http://',
    'http://%s.com/' % ('a' * 64), 'http://%scom/' % ('abcdefg.' * 32),
    'http://example.com/' + 'x' * 2048]

GOOD = '''
http://172.15.0.1/ http://172.32.0.1/ http://11.0.0.1/
http://[2606:4700::1111]/ HTTPS://EXAMPLE.com/ http://example.com:/
http://example.com/%0d%0aX-A:1 https://example.com:8443/a?b=c
http://xn--bcher-kva.example/ http://a.b.c.example.com./x
'''.split()

BAD_HEADERS = [
    {'X-A': 'a\r\nHost: evil'}, {'X-A': 'a\nb'}, {'X-A': 'a\u0001b'},
    {'X-A': 'a\x7fb'}, {'X-A': 'é'}, {'X-A': ' a'}, {'X-A': 'a '},
    {'X Y': 'a'}, {'X:Y': 'a'}, {'': 'a'}, {'\r\nFoo': 'a'},
    {'x' * 65: 'a'}, {'é': 'a'}, {'X-A': 'a' * 1025}, {'X-A': 5},
    {'X-A': {}}, {'X-A': None}, {'X-A': ['a']}] + [{name: 'a'} for name in '''
    Host Content-Length Content-Type Content-Encoding Transfer-Encoding TE
    Trailer Connection Keep-Alive Upgrade Expect Proxy-Authorization
    Proxy-Connection Cookie Set-Cookie Via Forwarded X-Forwarded-For
    X-Forwarded-Host X-Real-IP Accept-Encoding Date User-Agent Webhook-Id
    Webhook-Timestamp WEBHOOK-SIGNATURE X-HTTP-Method-Override
    X-Method-Override Sec-Fetch-Site X-Amz-Date X-Amzn-Trace-Id X-Goog-Api-Key
    X-Google-Real-IP X-GFE-A X-Azure-Ref X-MS-Version X-FD-A Metadata
    Metadata-Flavor X-aws-ec2-metadata-token
    X-aws-ec2-metadata-token-ttl-seconds Idempotency-Key X-Webhook-Type
    X-Webhook-Timestamp'''.split()]

WHOLE_HEADERS = [
    5, 'a', [], True, {'X-%d' % i: 'a' for i in range(17)},
    {'X-%d' % i: 'a' * 1000 for i in range(9)}]


def both(api, **members):
    """The replies of a create and of a test event."""

    return (api.alice.image('x', webhook_events=['cancelled'], **members),
            api.alice.post(WEBHOOKS + '/test', members))


def test_urls(t):
    with Hooks(t, local=False, http='conduit_webhook_plain on;') as api:
        for url in BAD:
            t.eq([(r.status, r.error('param'), r.error())
                  for r in both(api, webhook_url=url)],
                 [(400, 'webhook_url', 'invalid_webhook_url')] * 2,
                 ascii(url[:60]))

        r = api.alice.post(IMAGES + '/async',
                           b'{"model":"sandbox-image","prompt":"x",'
                           b'"webhook_url":"http://exam\\u0000ple.com/"}')
        t.eq(r.status, 400, 'NUL')

        for url in GOOD:
            r = api.alice.image('x', webhook_url=url,
                                webhook_events=['cancelled'])
            t.eq(r.status, 202, url)

        for value in (5, True, [], {}):
            t.eq([(r.status, r.error('param'))
                  for r in both(api, webhook_url=value)],
                 [(400, 'webhook_url')] * 2, repr(value))


def test_headers(t):
    url = 'https://example.com/'

    with Hooks(t, local=False) as api:
        for headers in BAD_HEADERS:
            name = next(iter(headers))
            for r in both(api, webhook_url=url, webhook_headers=headers):
                t.ok(r.status == 400 and r.error() ==
                     'invalid_webhook_header' and
                     (r.error('param') or '').startswith('webhook_headers'),
                     ascii(headers)[:60]) or t.diag(r)
                if name.isascii() and name.isprintable() and name:
                    t.eq(r.error('param'), 'webhook_headers.' + name,
                         'names the member')

        for headers in WHOLE_HEADERS:
            t.eq([(r.status, r.error('param')) for r in
                  both(api, webhook_url=url, webhook_headers=headers)],
                 [(400, 'webhook_headers')] * 2, ascii(headers)[:60])

        r = api.alice.post(IMAGES + '/async', b'{"model":"sandbox-image",'
                           b'"prompt":"x","webhook_url":"https://a.example/",'
                           b'"webhook_headers":{"X-A":"1","x-a":"2"}}')
        t.eq((r.status, r.error()), (400, 'invalid_webhook_header'),
             'twice but for the case')

        r = api.alice.image('x', webhook_url='http://example.com/')
        t.eq((r.status, r.error('param')), (400, 'webhook_url'),
             'http:// by default')
        r = api.alice.image('x', webhook_url=url, webhook_headers={
            'Authorization': 'Bearer x', 'X-Empty': '', 'x' * 64: 'b' * 1024},
            webhook_events=['cancelled'], webhook_metadata={})
        t.eq(r.status, 202, 'good ones')


run(test_urls, test_headers)
