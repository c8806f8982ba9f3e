#!/usr/bin/env python3

# Copyright (C) Conduit for nginx authors

"""A scripted generation provider for tests.

In a test:

    provider = Provider().start()
    provider.script('mine', submit=[{'status': 503}, {}])
    ... a task with the prompt "script:mine and more words" ...
    provider.wait(lambda p: p.count('submit', 'script:mine') == 2)

Alone: conduit_provider.py [--port N] [--cert FILE --key FILE] prints the
port and serves until it is ended; see control() for the endpoints below
/_control/ which script it.  conduit_faults.py lists the ready scripts.
"""

import argparse
import asyncio
import collections
import json
import os
import re
import socket
import ssl
import struct
import sys
import threading
import time
import traceback

from urllib.parse import parse_qs, unquote

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import conduit_families
import conduit_faults


class Gone(Exception):
    """The client closed its connection."""


class Request:
    """One request as it was received; also the record tests look at."""

    def __init__(self, method, target, headers, body, origin, peer):
        self.time = time.monotonic()
        self.method = method
        self.target = target
        self.path, _, self.query = target.partition('?')
        self.headers = headers
        self.body = body
        self.origin = origin
        self.peer = peer
        self.family = ''
        self.operation = ''
        self.job = None
        self.prompt = None
        self.status = None
        self.aborted = False

    def json(self):
        try:
            return json.loads(self.body)
        except ValueError:
            return None

    def as_dict(self):
        return {'time': self.time, 'method': self.method,
                'target': self.target, 'headers': self.headers,
                'body': self.body.decode('utf-8', 'replace'),
                'family': self.family, 'operation': self.operation,
                'job': self.job and self.job.id, 'prompt': self.prompt,
                'status': self.status, 'aborted': self.aborted,
                'peer': self.peer}


class Job:
    """One accepted submit."""

    def __init__(self, number, family, prompt, model, script, body):
        self.id = self.wire_id = 'job-%d' % number
        self.family = family
        self.prompt = prompt
        self.model = model
        self.script = script
        self.body = body
        self.counts = collections.Counter()
        self.used = collections.Counter()
        self.last = {}
        self.open = True
        self.cancelled = False

        n = body.get('n', 1) if isinstance(body, dict) else 1
        self.n = n if isinstance(n, int) and 0 < n <= 10 else 1


class Provider:
    """The server; all methods may be called from any thread."""

    def __init__(self, port=0, certificate=None, key=None,
                 host='127.0.0.1'):
        self.host = host
        self.port = port
        self.certificate = certificate
        self.key = key
        self.changed = threading.Condition()
        self.thread = None
        self.loop = None
        self.server = None
        self.writers = set()
        self.tasks = set()
        self.token = None
        self.reset()

    # scripting and reading

    def reset(self):
        with self.changed:
            self.scripts = dict(conduit_faults.SCRIPTS)
            self.requests = []
            self.jobs = {}
            self.numbers = 0
            self.submitted = {}
            self.released = set()
            self.peaks = collections.Counter()
            self.connections = 0
            self.faults = []
            self.changed.notify_all()

    def script(self, name, **operations):
        with self.changed:
            self.scripts[name] = operations

    def release(self, name):
        """Sets an event that steps wait for ("hold", "until")."""

        with self.changed:
            self.released.add(name)
            self.changed.notify_all()

    def select(self, operation=None, text=None, family=None):
        """Requests of an operation whose prompt holds the text."""

        with self.changed:
            return [r for r in self.requests
                    if (operation is None or r.operation == operation)
                    and (text is None or text in (r.prompt or ''))
                    and (family is None or r.family == family)]

    def count(self, operation=None, text=None, family=None):
        return len(self.select(operation, text, family))

    def jobs_of(self, text):
        with self.changed:
            return [j for j in dict.fromkeys(self.jobs.values())
                    if text in (j.prompt or '')]

    def open_jobs(self, family=None):
        with self.changed:
            return self.open_locked(family)

    def open_locked(self, family):
        return sum(1 for j in dict.fromkeys(self.jobs.values())
                   if j.open and (family is None or j.family.name == family))

    def wait(self, predicate, timeout=10):
        """Waits until predicate(self) is true, three times as long as it
        should take; returns its last value."""

        with self.changed:
            return self.changed.wait_for(lambda: predicate(self),
                                         3 * timeout)

    # life

    @property
    def url(self):
        scheme = 'https' if self.certificate else 'http'
        return '%s://%s:%d' % (scheme, self.host, self.port)

    def start(self):
        ready = threading.Event()
        self.thread = threading.Thread(target=self.run, args=(ready,),
                                       daemon=True)
        self.thread.start()
        if not ready.wait(10):
            raise RuntimeError('the provider did not start')
        return self

    def run(self, ready):
        self.loop = asyncio.new_event_loop()
        asyncio.set_event_loop(self.loop)
        self.loop.run_until_complete(self.listen())
        ready.set()
        self.loop.run_forever()
        self.loop.run_until_complete(self.finish())
        self.loop.close()

    async def listen(self):
        context = None
        if self.certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(self.certificate, self.key)
        self.server = await asyncio.start_server(
            self.serve, self.host, self.port, ssl=context, backlog=4096,
            limit=1 << 20)
        self.port = self.server.sockets[0].getsockname()[1]

    async def finish(self):
        self.server.close()
        for task in list(self.tasks):
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)

    def stop(self):
        if self.thread is not None:
            self.loop.call_soon_threadsafe(self.loop.stop)
            self.thread.join(10)
            self.thread = None

    def call(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine,
                                                self.loop).result(10)

    def refuse(self):
        """Stops listening and drops all connections; the port stays."""

        async def close():
            self.server.close()
            for writer in list(self.writers):
                writer.transport.abort()

        self.call(close())

    def accept(self):
        """Listens again after refuse()."""

        self.call(self.listen())

    def drop_idle(self):
        """Closes the kept connections that wait for a next request."""

        async def close():
            for writer in list(self.writers):
                if writer.idle:
                    writer.close()

        self.call(close())

    # HTTP

    async def serve(self, reader, writer):
        task = asyncio.current_task()
        self.tasks.add(task)
        self.writers.add(writer)
        self.connections += 1
        reader.ahead = b''
        try:
            while await self.exchange(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError, Gone,
                ValueError, asyncio.CancelledError):
            pass
        finally:
            self.writers.discard(writer)
            self.tasks.discard(task)
            writer.close()

    async def line(self, reader):
        data = await reader.readuntil(b'\n')
        data, reader.ahead = reader.ahead + data, b''
        return data.decode('latin-1').rstrip('\r\n')

    async def receive(self, reader, writer):
        writer.idle = True
        first = await self.line(reader)
        writer.idle = False
        method, target, _ = first.split(' ')
        headers = {}
        while True:
            line = await self.line(reader)
            if not line:
                break
            name, _, value = line.partition(':')
            headers[name.strip().lower()] = value.strip()

        if headers.get('expect'):
            writer.write(b'HTTP/1.1 100 Continue\r\n\r\n')

        body = b''
        if 'chunked' in headers.get('transfer-encoding', ''):
            while True:
                size = int(await self.line(reader), 16)
                body += (await reader.readexactly(size + 2))[:size]
                if size == 0:
                    break
        elif 'content-length' in headers:
            body = await reader.readexactly(int(headers['content-length']))

        scheme = 'https' if self.certificate else 'http'
        origin = '%s://%s' % (scheme, headers.get('host', 'localhost'))
        return Request(method, target, headers, body, origin,
                       writer.get_extra_info('peername')[1])

    async def exchange(self, reader, writer):
        request = await self.receive(reader, writer)
        if request.path.startswith('/_control/'):
            status, reply = self.control(request)
            return await self.reply(writer, request, {'status': status,
                                                      'json': reply})
        step = self.dispatch(request)
        try:
            await self.pause(reader, request, step)
        except Gone:
            with self.changed:
                request.aborted = True
                if request.job and request.job.family.sync:
                    request.job.open = False
                self.changed.notify_all()
            raise
        self.finish_job(request, step)
        return await self.reply(writer, request, step)

    async def pause(self, reader, request, step):
        """Waits as the step says; a client that leaves raises Gone."""

        if step.get('delay'):
            await self.watch(reader, asyncio.sleep(step['delay']))
        name = step.get('hold')
        if name:
            await self.watch(reader, self.event(name))

    async def event(self, name):
        while name not in self.released:
            await asyncio.sleep(0.005)

    async def watch(self, reader, coroutine):
        work = asyncio.ensure_future(coroutine)
        ahead = asyncio.ensure_future(reader.read(1))
        try:
            await asyncio.wait([work, ahead],
                               return_when=asyncio.FIRST_COMPLETED)
            if ahead.done():
                if not ahead.result():
                    raise Gone()
                reader.ahead += ahead.result()
                await work
        finally:
            work.cancel()
            if not ahead.done():
                ahead.cancel()
                await asyncio.gather(ahead, return_exceptions=True)

    async def reply(self, writer, request, step):
        cut = step.get('cut')
        if cut == 'reset':
            sock = writer.get_extra_info('socket')
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                            struct.pack('ii', 1, 0))
            writer.transport.abort()
            return False
        if cut == 'now':
            return False
        if 'raw' in step:
            writer.write(step['raw'].encode('latin-1'))
            await writer.drain()
            return False

        head, body, size = self.render(request, step)
        writer.write(head)
        if cut == 'head':
            await writer.drain()
            return False
        if request.method == 'HEAD':
            body, size = b'', 0
        await self.send_body(writer, body, size, step)
        return not step.get('close') and cut is None

    def render(self, request, step):
        """Status line and headers, the body, its size with padding."""

        status = step.get('status', 200)
        headers = {'Content-Type': 'application/json'}
        if 'data' in step:
            body = step['data']
            headers['Content-Type'] = step.get('type', 'image/png')
        elif 'text' in step:
            body = step['text'].encode()
        else:
            body = json.dumps(step.get('json', {})).encode()

        if 'truncate' in step:
            body = body[:step['truncate']]
        size = max(len(body), step.get('pad', 0))
        headers['Content-Length'] = str(size)
        for name, value in step.get('headers', {}).items():
            headers[name] = value.replace(
                '${origin}', request.origin).replace('${target}',
                                                     request.target)
        if step.get('close'):
            headers['Connection'] = 'close'

        head = 'HTTP/1.1 %d Scripted\r\n' % status
        head += ''.join('%s: %s\r\n' % h for h in headers.items())
        return (head + '\r\n').encode('latin-1'), body, size

    async def send_body(self, writer, body, size, step):
        cut = step.get('cut')
        if isinstance(cut, int):
            size = min(size, cut)
        piece, pause = step.get('drip') or (1 << 16, 0)
        sent = 0
        while sent < size:
            part = body[sent:sent + min(piece, size - sent)]
            if not part:
                part = b' ' * min(piece, size - sent)
            writer.write(part)
            await writer.drain()
            sent += len(part)
            if pause:
                await asyncio.sleep(pause)
        await writer.drain()

    # playing

    def dispatch(self, request):
        """Finds the step of a request and records it."""

        with self.changed:
            try:
                step = self.play(request)
            except Exception:
                self.faults.append(traceback.format_exc())
                step = {'status': 500, 'json': {}}
            self.requests.append(request)
            request.status = step.get('status', 200)
            self.changed.notify_all()
            return step

    def play(self, request):
        match = re.fullmatch(r'/(files|download)/([^/]+)(?:/(\d+)\.(\w+))?',
                             request.path)
        if match:
            return self.play_file(request, match)

        found = conduit_families.route(request.method, request.path)
        if found is None:
            request.operation = 'unknown'
            return {'status': 404, 'json': {'detail': 'Not Found'}}

        family, request.operation, match = found
        request.family = family.name

        if self.token and self.token not in ' '.join(
                request.headers.values()):
            return {'status': 401, 'json': family.error(401, {})}
        if request.operation == 'submit':
            return self.play_submit(request, family, match)
        return self.play_job(request, family, match)

    def play_submit(self, request, family, match):
        body = request.json()
        if not isinstance(body, dict):
            return {'status': 400, 'json': family.error(400, {})}

        request.prompt = family.prompt(body)
        name = re.search(r'script:([\w.-]+)', request.prompt or '')
        script = self.scripts.get(name.group(1) if name else 'ok')
        if script is None:
            return {'status': 400, 'json': family.error(400, {})}

        used = self.submitted.setdefault(request.prompt,
                                         collections.Counter())
        step = self.next_step(script.get('submit', [{}]), used, 'submit')

        if step.get('status', 200) < 300 or step.get('cut'):
            self.open_job(request, family, match, script, step, body)
        return self.complete(request, family, step)

    def open_job(self, request, family, match, script, step, body):
        self.numbers += 1
        job = Job(self.numbers, family, request.prompt,
                  family.model(body, match), script, body)
        ident = step.get('id', family.own_id(body))
        if ident is not None:
            job.wire_id = ident
            job.id = str(ident)
        self.jobs[job.id] = request.job = job
        name = family.name
        self.peaks[name] = max(self.peaks[name], self.open_locked(name))

    def play_job(self, request, family, match):
        ident = family.job_id(request, match)
        job = self.jobs.get(unquote(ident) if ident else None)
        if job is None:
            return {'status': 404, 'json': family.error(404, {})}

        request.job = job
        request.prompt = job.prompt
        operation = request.operation
        job.counts[operation] += 1
        default = conduit_faults.OK if operation == 'poll' else [{}]
        step = self.next_step(job.script.get(operation, default), job.used,
                              operation)

        if operation == 'poll':
            job.last = step
        if operation == 'cancel':
            job.cancelled = True
        if operation == 'download' and 'status' not in step:
            size = step.get('size', 4096)
            return dict(step, data=conduit_families.mp4(min(size, 4096))
                        if size else b'', pad=size, type='video/mp4')
        return self.complete(request, family, step)

    def play_file(self, request, match):
        request.operation = 'result'
        job = self.jobs.get(unquote(match.group(2)))
        index = int(match.group(3) or 0)
        clip = match.group(1) == 'download' or match.group(4) == 'mp4'
        step = {}
        if job is not None:
            request.job = job
            request.prompt = job.prompt
            request.family = job.family.name
            steps = job.script.get('result', [{}])
            step = self.next_step(steps, job.used, 'result')
        if 'status' in step or 'text' in step:
            return step
        if clip or job is None:
            data, kind = conduit_families.mp4(), 'video/mp4'
        else:
            data, kind = conduit_families.picture(job, index), 'image/png'
        return dict(step, data=data, type=kind, pad=step.get('size', 0))

    def next_step(self, steps, used, operation):
        index, left = 0, used[operation]
        used[operation] += 1
        for index, step in enumerate(steps):
            if 'until' in step:
                if step['until'] not in self.released:
                    used[operation] -= 1
                    return step
                continue
            left -= step.get('times', 1)
            if left < 0:
                return step
        return steps[-1]

    def complete(self, request, family, step):
        """Fills a step with the family's reply unless it has one."""

        if step.get('echo'):
            return dict(step, json=family.error(step['status'], {
                'error': {'code': 'echo', 'message': 'Bad credentials: '
                          + request.headers.get(step['echo'], '')}}))
        if 'json' in step or 'text' in step or 'raw' in step:
            return step
        if step.get('status', 200) >= 300 or request.job is None:
            status = step.get('status', 200)
            return dict(step, json=family.error(status, step))

        render = getattr(family, request.operation)
        status, reply = render(request.job, step, request)
        if isinstance(reply, dict) and reply.get('file_id') is not None:
            self.jobs.setdefault(re.sub('^file-', '',
                                        str(reply['file_id'])), request.job)
        return dict(step, status=step.get('status', status), json=reply)

    def finish_job(self, request, step):
        """A job is over for the provider when it has told the end."""

        job = request.job
        if job is None:
            return
        ended = (request.operation == 'cancel'
                 or (request.operation == 'submit' and job.family.sync)
                 or (request.operation == 'poll' and
                     step.get('state') not in ('queued', 'processing')
                     and step.get('status', 200) == 200
                     and 'json' in step and 'cut' not in step))
        with self.changed:
            if ended:
                job.open = False
            self.changed.notify_all()

    # control over HTTP

    def control(self, request):
        """Endpoints for tests that are not written in Python.

        POST script    {"name", "script"}
        POST release   {"name"}
        POST reset, drop
        GET  requests?operation=&text=&family=
        GET  counts?text=    numbers by operation, of submits by prompt
        """

        name = request.path[len('/_control/'):]
        body = request.json() or {}
        query = {k: v[0] for k, v in parse_qs(request.query).items()}

        if name == 'script':
            self.script(body['name'], **body['script'])
        elif name == 'release':
            self.release(body['name'])
        elif name == 'reset':
            self.reset()
        elif name == 'drop':
            for writer in list(self.writers):
                if writer.idle:
                    writer.close()
        elif name == 'requests':
            return 200, [r.as_dict() for r in self.select(**query)]
        elif name == 'counts':
            return 200, self.counts(query.get('text'))
        else:
            return 404, {'error': 'unknown control endpoint'}
        return 200, {}

    def counts(self, text=None):
        picked = self.select(None, text)
        count = collections.Counter(r.operation for r in picked)
        by = collections.Counter(r.prompt for r in picked
                                 if r.operation == 'submit')
        return {'operations': count, 'submits': by,
                'open': self.open_jobs(), 'peaks': self.peaks,
                'connections': self.connections}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--port', type=int, default=0)
    parser.add_argument('--cert')
    parser.add_argument('--key')
    options = parser.parse_args()

    provider = Provider(options.port, options.cert, options.key).start()
    print(provider.port, flush=True)
    try:
        provider.thread.join()
    except KeyboardInterrupt:
        provider.stop()


if __name__ == '__main__':
    main()
