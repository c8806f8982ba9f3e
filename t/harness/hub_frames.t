#!/usr/bin/env python3

# Copyright (C) Conduit for nginx authors

# Hubs over WebSocket byte by byte: how input may be cut, and all that ends a
# connection, with the code that it ends with.

import os
import sys
sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))
from conduit_api import *
from conduit_hub import *

HELLO = '{"protocol":"json","version":1}' + RS
BINARY_HELLO = '{"protocol":"messagepack","version":1}' + RS
BROKEN = {'type': 7, 'error': 'Connection closed with an error.',
          'allowReconnect': True}
REFUSED = 'An unexpected error occurred during connection handshake.'


def get_task(task, number='x'):
    return json.dumps({'type': 1, 'invocationId': number, 'target': 'GetTask',
                       'arguments': [task]}) + RS


def head(opcode, length, fin=True):
    """The head of a frame that announces length bytes."""

    return (bytes([fin << 7 | opcode, 0xff]) + struct.pack('>Q', length)
            + b'mask')


def raw(api, hub='', **more):
    return Hub(api.port(), api.alice.key, negotiate=False, handshake=False,
               **more)


def test_cut(t):
    with Api(t, tls=True) as api:
        task = api.alice.image('x')['task_id']

        for tls in False, True:
            name = 'TLS: ' if tls else 'plain: '
            port = api.port(int(tls))
            request = encode_request('GET', IMAGE_HUB, {
                'Upgrade': 'websocket', 'Connection': 'keep-alive, Upgrade',
                'Sec-WebSocket-Version': '13',
                'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ=='},
                None, api.alice.key)
            frames = frame(TEXT, HELLO) + frame(TEXT, get_task(task, '1')) \
                + frame(BINARY, get_task(task, '2'))

            with Connection(port, tls=tls) as c:
                for i in range(len(request)):
                    c.send(request[i:i + 1])
                r = c.read_head()
                t.eq((r.status, r.header('sec-websocket-accept')),
                     (101, 's3pPLMBiTxaQ9kYGzzhZRbK+xOo='),
                     name + 'an upgrade byte by byte')
                hub = Hub.__new__(Hub)
                hub.records = []
                hub.ws = WebSocket.__new__(WebSocket)
                hub.ws.c = c
                for i in range(len(frames)):
                    c.send(frames[i:i + 1])
                t.eq(hub.record(), {}, name + 'frames byte by byte')
                t.eq([hub.next()['invocationId'] for _ in range(2)],
                     ['1', '2'], name + 'both are read')

            for cut in 0, 1, 7, len(frames) // 2, len(frames):
                with Hub(port, api.alice.key, negotiate=False, tls=tls,
                         handshake=False, behind=frames[:cut]) as hub:
                    if cut < len(frames):
                        hub.ws.c.send(frames[cut:])
                    t.eq(hub.record(), {}, name + '%d bytes come behind the '
                         'request' % cut)
                    t.eq([hub.next()['invocationId'] for _ in range(2)],
                         ['1', '2'], name + 'both are read')

        with raw(api) as hub:
            text = (HELLO + get_task('\u00e9\U0001f600', '1')).replace(
                '\\u00e9', '\u00e9').encode()
            hub.ws.send(text[:1], fin=False)
            for i in range(1, len(text)):
                hub.ws.send(text[i:i + 1], 0, fin=i == len(text) - 1)
                if i % 16 == 0:
                    hub.ws.send(str(i), PING)
            answers = []
            while len(answers) < 2:
                opcode, data = hub.ws.read()
                if opcode == TEXT:
                    answers.append(json.loads(data[:-1]))
            t.eq((answers[0], answers[1].get('error')),
                 ({}, 'Task not found'), 'a fragment for each byte')


def test_handshake(t):
    with Api(t) as api:
        late = raw(api)
        task = api.alice.image('x')['task_id']

        for text in ('', 'x', '[]', '{}', '{"protocol":"json"}',
                     '{"version":1}', '{"protocol":7,"version":1}',
                     '{"protocol":"json","version":"1"}', '{"type":6}',
                     '{"type":1,"target":"GetTask"', '"json"'):
            with raw(api) as hub:
                hub.ws.send(text + RS)
                t.eq(hub.record(), {'error': REFUSED}, 'refused: ' + text)
                t.eq(hub.ws.ended(), 1000, 'and closed')

        with raw(api) as hub:
            hub.ws.send('x' * 32769)
            t.eq(hub.record(), {'error': 'Handshake was canceled.'},
                 'a handshake without end')
            t.eq(hub.ws.ended(), 1000, 'closed')

        for text in (
                ' { "x" : [ { } ] , "version" : 1 , "protocol" : "json" } ',
                '{"protocol":"json","version":2}',
                '{"protocol":"json","version":-1}'):
            with raw(api) as hub:
                hub.ws.send(text + RS)
                t.eq(hub.record(), {}, 'taken: ' + text)

        # a client of several threads may send its first messages in any order

        early = get_task(task)

        for pieces in ([early, HELLO], [early + HELLO],
                       [early[:9], early[9:] + HELLO[:5], HELLO[5:]],
                       [early, HELLO + get_task(task, 'y')]):
            with raw(api) as hub:
                for piece in pieces:
                    hub.ws.send(piece)
                t.eq(hub.record(), {}, 'a message before the handshake')
                t.eq(hub.record()['result']['task_id'], task, 'is done')
                if '"y"' in pieces[-1]:
                    t.eq(hub.record()['invocationId'], 'y', 'and then others')

        for text, error in (
                (early + early, REFUSED), (get_task('x' * 1024), REFUSED),
                (early + 'x' * 1100, 'Handshake was canceled.')):
            with raw(api) as hub:
                hub.ws.send(text)
                t.eq(hub.record(), {'error': error}, 'but not more of it')
                t.eq(hub.ws.ended(), 1000, 'closed')

        t.eq(late.record(), {'error': 'Handshake was canceled.'},
             'no handshake in time')
        t.eq(late.ws.ended(), 1000, 'closed')
        late.close()


def test_frames(t):
    bad = [('not masked', frame(TEXT, 'x', mask=False), 1002),
           ('close not masked', frame(CLOSE, b'\x03\xe8', mask=False), 1002),
           ('a text within a text', frame(TEXT, '{', fin=False)
            + frame(TEXT, '}'), 1002),
           ('a binary within a text', frame(TEXT, '{', fin=False)
            + frame(BINARY, '}'), 1002),
           ('continuation of nothing', frame(0, 'x'), 1002),
           ('continuation after the end', frame(TEXT, '{"type":6}' + RS)
            + frame(0, 'x'), 1002),
           ('long ping', frame(PING, 'x' * 126), 1002),
           ('long close', frame(CLOSE, b'\x03\xe8' + b'x' * 124), 1002),
           ('split close', frame(CLOSE, b'\x03\xe8', fin=False), 1002),
           ('split pong', frame(PONG, 'x', fin=False), 1002),
           ('close of one byte', frame(CLOSE, b'\x03'), 1002),
           ('close with a bad text', frame(CLOSE, b'\x03\xe8\xff'), 1007),
           ('length of 64 bits', head(TEXT, 1 << 63), 1002),
           ('too big', head(TEXT, 2 << 20), 1009),
           ('too big in fragments', frame(TEXT, ' ', fin=False)
            + head(0, 1 << 20), 1009)]
    bad += [('reserved bit %#x' % bits, frame(TEXT, 'x', bits=bits), 1002)
            for bits in (0x40, 0x20, 0x10, 0x70)]
    bad += [('reserved bit of a ping', frame(PING, 'x', bits=0x40), 1002)]
    bad += [('opcode %d' % opcode, frame(opcode, 'x'), 1002)
            for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15)]
    bad += [('close code %d' % code, frame(CLOSE, struct.pack('>H', code)),
             1002) for code in (0, 999, 1004, 1005, 1006, 1015, 1016, 2000,
                                2999, 5000, 65535)]
    bad += [('UTF-8: %r' % data, frame(TEXT, data), 1007)
            for data in (b'\xff', b'\xc0\x80', b'\xed\xa0\x80', b'\x80',
                         b'\xf4\x90\x80\x80', b'\xc3', b'\xe2\x82')]
    bad += [('UTF-8 over fragments', frame(TEXT, b'\xce', fin=False)
             + frame(PING) + frame(0, b'\x20'), 1007)]

    with Api(t) as api:
        for name, data, code in bad:
            with Hub(api.port(), api.alice.key) as hub:
                hub.ws.c.send(data)
                try:
                    while True:
                        opcode, text = hub.ws.read()
                        if opcode == CLOSE:
                            break
                except Closed:
                    text = b''
                t.eq(text, struct.pack('>H', code), name)

                # it ends the socket, although no close is sent back

                t.ok(hub.ws.c.closed_by_server(), name + ', hung up')

        for code in 1000, 1001, 1003, 1007, 1011, 3000, 4999:
            with Hub(api.port(), api.alice.key) as hub:
                hub.ws.send(struct.pack('>H', code) + 'gr\u00fc\u00df'.encode(),
                            CLOSE)
                t.eq(hub.ws.ended(), code, 'close code %d is echoed' % code)
                t.ok(hub.ws.c.closed_by_server(), 'then the end')

        with Hub(api.port(), api.alice.key) as hub:
            hub.ws.send('', CLOSE)
            t.eq(hub.ws.ended(), 1005, 'a close without a code')

        with Hub(api.port(), api.alice.key) as hub:
            for data in b'', b'x', b'x' * 125:
                hub.ws.send(data, PING)
                t.eq(hub.ws.read(), (PONG, data), 'ping of %d' % len(data))
            for data in b'', b'never asked for':
                hub.ws.send(data, PONG)
            hub.ws.send('', TEXT)
            hub.ws.send('', BINARY)
            t.ok('error' in hub.invoke('GetTask', 'x'),
                 'pongs and empty messages are ignored')

        t.eq(api.metric('conduit_hub_connections'), 0, 'all are gone')


def test_messages(t):
    bad = ['', 'x', '{', '[]', '7', '{}', '{"type":"1"}', '{"type":1}',
           '{"type":1,"target":"GetTask"}', '{"type":1,"arguments":[]}',
           '{"type":1,"target":7,"arguments":[]}',
           '{"type":1,"target":"GetTask","arguments":{}}',
           '{"type":1,"target":"GetTask","arguments":[],"invocationId":7}',
           '{"type":4,"target":"GetTask","arguments":[]}',
           '{"type":6}x', '[' * 65 + ']' * 65,
           '{"type":6,"x":"' + 'x' * (32769 - 17) + '"}']
    ignored = ['{"type":0}', '{"type":10}', '{"type":99,"x":[]}',
               '{"type":-1}', '{"type":5,"invocationId":"7"}',
               '{"type":2,"invocationId":"7","item":1}',
               '{"type":3,"invocationId":"7","result":1}',
               '{"type":6,"x":{"y":[1]}}',
               '{"type":1,"target":"Nonsense","arguments":[]}',
               '{"type":1,"target":"Nonsense","arguments":[],'
               '"invocationId":null}',
               '{"type":6,"x":"' + 'x' * (32768 - 17) + '"}']

    with Api(t) as api:
        task = api.alice.image('x')['task_id']

        for text in bad:
            with Hub(api.port(), api.alice.key) as hub:
                hub.ws.send(text + RS)
                t.eq(hub.next(), BROKEN, 'bad: %.70s' % text)
                t.eq(hub.ws.ended(), 1000, 'and closed')

        with Hub(api.port(), api.alice.key) as hub:
            for text in ignored:
                hub.ws.send(text + RS)
                r = hub.invoke('GetTask', task)
                t.eq((r['result']['task_id'], hub.records), (task, []),
                     'ignored: %.70s' % text)

            hub.ws.send('{"arguments":["%s"],"streamIds":[],"target":"gettask",'
                        '"headers":{"a":"b"},"z":{},"invocationId":"\\u00e9",'
                        '"type":1}' % task + RS)
            r = hub.next()
            t.eq((r['invocationId'], r['result']['task_id']),
                 ('\u00e9', task), 'any order, other members, any case')

            hub.send({'type': 4, 'invocationId': 's', 'target': 'GetTask',
                      'arguments': [task]})
            r = hub.next()
            t.ok(r['type'] == 3 and r['invocationId'] == 's'
                 and 'GetTask' in r['error'] and 'result' not in r,
                 'a streaming invocation')

            r = hub.invoke('x"\\\u001e' * 100)
            t.ok('Unknown hub method' in r['error']
                 and len(r['error']) < 400, 'a long name')


def test_messagepack(t):
    with Api(t) as api:
        def connected():
            hub = raw(api)
            hub.ws.send(BINARY_HELLO)
            opcode, data = hub.ws.read()
            t.eq((opcode, data), (BINARY, b'{}\x1e'), 'shaken in binary')
            return hub

        for data in (b'\x00', b'\x01\xc1', b'\x01\x90', b'\x02\x91\xa1',
                     b'\x02\x91\xc0', b'\x02\x91\x01',
                     b'\xff\xff\xff\xff\x08', b'\x81\x80\x02\x91\x06'):
            with connected() as hub:
                hub.ws.send(data, BINARY)
                opcode, data = hub.ws.read()
                t.eq((opcode, data[:3], data[-1:]),
                     (BINARY, bytes([len(data) - 1]) + b'\x93\x07', b'\xc3'),
                     'bad: a close message')
                t.eq(hub.ws.ended(), 1000, 'and closed')

        with connected() as hub:
            call = b'\x95\x01\x80\xa17\xa1X\x90'
            answer = b'\x95\x03\x80\xa17\x01\xb6Unknown hub method \'X\''
            for data in (b'\x02\x91\x06', b'\x02\x91\x63',
                         b'\x04\x92\x08\xcc\x24', b'\x03\x92\x06\x07'):
                hub.ws.send(data + bytes([len(call)]) + call, BINARY)
                t.eq(hub.ws.read(), (BINARY, bytes([len(answer)]) + answer),
                     'ignored, and the next one answered')
            for ch in bytes([len(call)]) + call:
                hub.ws.send(bytes([ch]), BINARY)
            t.eq(hub.ws.read()[0], BINARY, 'byte by byte')


def test_http2(t):
    with Api(t, tls=True) as api:
        def curl(*more):
            done = subprocess.run(
                ['curl', '-sk', '--http2', '--max-time', '20', '-i', '-H',
                 'Authorization: Bearer ' + api.alice.key] + list(more),
                stdout=subprocess.PIPE, timeout=60)
            head, _, body = done.stdout.decode().replace(
                '\r', '').partition('\n\n')
            return head.lower(), body

        url = 'https://127.0.0.1:%d%s' % (api.port(1), IMAGE_HUB)

        head, body = curl('-X', 'POST', url + '/negotiate')
        t.like(head, '^http/2 200', 'negotiated over HTTP/2')

        head, body = curl('-H', 'Sec-WebSocket-Version: 13', '-H',
                          'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==', url)
        t.like(head, '^http/2 426', 'a connect over HTTP/2')
        t.eq(json.loads(body)['error']['code'], 'upgrade_required',
             'its error')

        with Connection(api.port()) as c:
            r = c.request('GET', IMAGE_HUB, {
                'Upgrade': 'websocket', 'Connection': 'Upgrade',
                'Sec-WebSocket-Version': '13',
                'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ=='},
                None, api.alice.key, version='1.0')
        t.eq((r.status, r.header('upgrade')), (426, 'websocket'),
             'and over HTTP/1.0')


run(test_cut, test_handshake, test_frames, test_messages, test_messagepack,
    test_http2)
