#!/usr/bin/env python3

# Copyright (C) Conduit for nginx authors

# Receivers that answer strangely, slowly, without end, or with certificates
# of others.  The outcome is fixed when the head of a reply is complete.

import os
import sys
sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))
from conduit_hooks import *

QUICK = '''
    conduit_webhook_timeout 2s connect=1s;
    conduit_webhook_retry 300ms;
'''

OK = b'HTTP/1.1 200 OK\r\n'
EMPTY = OK + b'Content-Length: 0\r\n\r\n'

# name, answer, outcome of the attempt: None, or its class

REPLIES = (
    ('header bytes one by one', drip_head(), 'timeout'),
    ('body bytes one by one', drip_body(), None),
    ('the same of a 500', drip_body(code=500), 'status'),
    ('a body without end', endless_body(), None),
    ('the same of a 503', endless_body(503), 'status'),
    ('headers without end', endless_headers(), 'protocol'),
    ('a header of 100 KB', one_header(100000), 'protocol'),
    ('a header of 40 KB', one_header(40000), None),
    ('700 headers, 70 KB', many_headers(700), 'protocol'),
    ('300 headers, 30 KB', many_headers(300), None),
    ('a body cut off', cut_body(), None),
    ('HTTP/0.9', http09(), 'protocol'),
    ('garbage', raw(b'\xff\xfe\r\n\r\n'), 'protocol'),
    ('a negative length', raw(OK + b'Content-Length: -1\r\n\r\n'), 'protocol'),
    ('a status of 42', raw(b'HTTP/1.1 42 What\r\n\r\n'), 'protocol'),
    ('a status of 600', raw(b'HTTP/1.1 600 What\r\nContent-Length: 0\r\n'
                            b'\r\n', keep=True), 'status'),
    ('closed without a reply', drop(), 'protocol'),
    ('processed, then reset', reset(), 'protocol'),
    ('100 three times', interim(100, 3), None),
    ('103 ten times', interim(103, 10), None),
    ('102 without end', interim(102), 'protocol'),
    ('103 without end, slowly', interim(103, pause=0.2), 'timeout'),
    ('101', raw(b'HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n'
                b'Connection: Upgrade\r\n\r\n'), 'protocol'),
    ('a chunked body that is none', raw(
        OK + b'Transfer-Encoding: chunked\r\n\r\nxyz\r\n'), None),
    ('a body said to be gzip', raw(
        OK + b'Content-Encoding: gzip\r\nContent-Length: 4\r\n\r\nnope',
        keep=True), None),
    ('HTTP/1.0', raw(b'HTTP/1.0 200 OK\r\n\r\nfine'), None),
    ('two replies', raw(EMPTY + b'HTTP/1.1 500 No\r\nContent-Length: 0\r\n'
                        b'\r\n', keep=True), None),
    ('Alt-Svc', status(200, headers={
        'Alt-Svc': 'http/1.1="127.0.0.1:1"; ma=3600'}), None),
    ('a cookie', status(200, headers={'Set-Cookie': 'a=b'}), None),
    ('HSTS', status(200, headers={
        'Strict-Transport-Security': 'max-age=3600'}), None),
    ('a challenge', status(401, headers={
        'WWW-Authenticate': 'Basic realm="x"'}), 'status'),
)

AGAIN = ('timeout', 'protocol', 'connect')


def test_replies(t):
    """Each twice in a row: what came first must not disturb the second."""

    with Hooks(t, http=QUICK) as api:
        sinks = [(row, Sink()) for row in REPLIES]
        first = [api.fire(sink.script('/x', row[1]),
                          webhook_headers={'X-Own': 'kept'})
                 for row, sink in sinks]

        for task, ((name, answer, error), sink) in zip(first, sinks):
            item = api.settled(task)
            code = {'a challenge': 401, 'the same of a 500': 500,
                    'the same of a 503': 503,
                    'a status of 600': 600}.get(name, 200)
            again = error in AGAIN or code in (500, 503)
            expected = (('delivered', 1, 200, None) if error is None else
                        ('failed', 2 if again else 1,
                         code if error == 'status' else None, error))
            if name == '101':
                item['last_status'] = None
            t.eq(api.outcome(item), expected, name)
            t.eq(len(sink.hits()), item['attempts'], name + ': POSTs')
            t.ok(same(sink.hits()), name + ': the same each time')
            t.ok(all(entry['duration_ms'] < 2000 + 2000 * BUSY
                     for entry in item['attempt_log']), name + ': in time')
            sink.script('/x', 200)

        second = [api.fire(sink.url('/x')) for row, sink in sinks]

        for task, ((name, answer, error), sink) in zip(second, sinks):
            t.eq(api.outcome(api.settled(task)),
                 ('delivered', 1, 200, None), name + ': and then')
            hit = sink.hits()[-1]
            t.eq([word for word in ('cookie', 'authorization', 'expect',
                                    'accept-encoding', 'upgrade',
                                    'transfer-encoding', 'te', 'x-own')
                  if word in hit.headers], [], name + ': plain headers')


def test_accept(t):
    """Connections that are closed or reset before anything is said, and
    such as nobody accepts."""

    with Hooks(t, http=QUICK) as api:
        sinks, tasks = [], []

        for greet in ('reset', 'close'):
            sinks.append(Sink())
            sinks[-1].greet = greet
            tasks.append(api.fire(sinks[-1].url('/x')))

        full = socket.socket()
        full.bind((HOST, 0))
        full.listen(0)
        port = full.getsockname()[1]
        held = [socket.socket() for _ in range(4)]

        for sock in held:
            sock.setblocking(False)
            sock.connect_ex((HOST, port))

        stuck = api.fire('http://127.0.0.1:%d/x' % port)

        for task in tasks:
            item = api.settled(task)
            t.eq((item['status'], item['attempts']), ('failed', 2),
                 'closed at once')
            t.ok(item['last_error'] in ('connect', 'protocol'),
                 'its class: ' + str(item['last_error']))

        item = api.settled(stuck)
        t.eq(api.outcome(item), ('failed', 2, None, 'timeout'),
             'a full backlog')
        t.between(item['attempt_log'][0]['duration_ms'], 950,
                  1500 + 1000 * BUSY, 'ends at the time for connecting')

        for sock in held + [full]:
            sock.close()


def test_tls(t):
    authority = Authority(new_folder('ca'))
    zone = Zone({name + '.example.com': [['127.0.0.1']] for name in (
        'good', 'other', 'self', 'old', 'plain', 'mute', 'two')})
    sinks = {
        'good': Sink(tls=authority.context('good.example.com')),
        'other': Sink(tls=authority.context('else.example.com')),
        'self': Sink(tls=authority.context('self.example.com',
                                           signed=False)),
        'old': Sink(tls=authority.context('old.example.com', expired=True)),
        'plain': Sink(),
        'mute': Sink(),
        'literal': Sink(tls=authority.context('127.0.0.1')),
    }
    sinks['mute'].greet = 'hold'
    sinks['plain'].greet = b'HTTP/1.1 400 Bad Request\r\n\r\n'

    with Hooks(t, http=QUICK + '''
               resolver 127.0.0.1:%d;
               conduit_webhook_trusted_certificate %s;
               ''' % (zone.port, authority.file)) as api:
        tasks = {}

        for name, sink in sinks.items():
            host = HOST if name == 'literal' else name + '.example.com'
            tasks[name] = api.fire('https://%s:%d/x' % (host, sink.port))

        reverse = api.fire('http://good.example.com:%d/x'
                           % sinks['good'].port)

        for name, error in (('good', None), ('literal', None),
                            ('other', 'tls'), ('self', 'tls'),
                            ('old', 'tls'), ('plain', 'tls'),
                            ('mute', 'timeout')):
            item = api.settled(tasks[name])
            t.eq(api.outcome(item), ('delivered', 1, 200, None) if not error
                 else ('failed', 2, None, error), 'TLS: ' + name)
            t.eq(len(sinks[name].hits()), 0 if error else 1,
                 'TLS: what was told to ' + name)

        t.eq(api.outcome(api.settled(reverse))[0], 'failed',
             'http:// to a port of TLS')
        t.eq(sinks['good'].hits()[0].headers['host'],
             'good.example.com:%d' % sinks['good'].port, 'Host')

    zone.close()


def test_http2(t):
    """A receiver that speaks HTTP/2, which is another nginx."""

    sink = Sink()
    authority = Authority(new_folder('ca'))
    authority.context('127.0.0.1')
    base = os.path.join(authority.folder, 'cert1')

    with Nginx(t, '''
               log_format protocol '$server_protocol $request_length';
               server {
                   listen 127.0.0.1:%%%%PORT%%%% ssl http2;
                   ssl_certificate %s.pem;
                   ssl_certificate_key %s.key;
                   access_log logs/protocol.log protocol;
                   location / { proxy_pass %s; }
               }''' % (base, base, sink.origin), name='receiver') as front:
        with Hooks(t, http='conduit_webhook_trusted_certificate %s;'
                   % authority.file) as api:
            task = api.fire('https://127.0.0.1:%d/two' % front.port())
            t.eq(api.outcome(api.settled(task)),
                 ('delivered', 1, 200, None), 'to a server of HTTP/2')
            t.eq(sink.hits('/two')[0].json()['task_id'], task, 'what it got')
            t.like(front.read('logs/protocol.log'), r'^HTTP/(2\.0|1\.1) ',
                   'by a protocol it knows')


run(test_replies, test_accept, test_tls, test_http2)
