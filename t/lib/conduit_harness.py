# Copyright (C) Conduit for nginx authors

"""Tests that Test::Nginx cannot do: several connections at once, reload,
kill -9, several workers and instances.

    #!/usr/bin/env python3
    import os, sys
    sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))
    from conduit_harness import *

    def test(t):
        with Nginx(t, '''
            conduit_zone conduit:1m;
            server {
                listen 127.0.0.1:%%PORT%%;
                ...
            }''', workers=2) as ng:
            r = ng.get('/health')
            t.eq(r.status, 200, 'health')

    run(test)

Each Nginx has its own folder below build/test and ports of its own; both are
safe with "prove -j".  When it ends, its log must have no [alert], [emerg] or
sanitizer report and no crash that was not announced, and no process of it may
be left.
"""

import atexit
import asyncio
import contextlib
import fcntl
import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import traceback

TOP = os.path.realpath(os.path.join(os.path.dirname(__file__), '..', '..'))
BUILD = os.environ.get('CONDUIT_BUILD') or os.path.join(TOP, 'build')
NGINX = os.path.join(BUILD, 'nginx')
MODULE = os.path.join(BUILD, 'ngx_http_conduit_module.so')
SANITIZE = os.path.basename(BUILD) == 'sanitize' or '/sanitize/' in BUILD + '/'

# how long anything may take that happens "at once"; sanitizers are slow
DEADLINE = 20 if SANITIZE else 10

# a busy machine may stop anybody for a while: what is waited for gets so many
# times the time it should need

PATIENCE = 3

HOST = '127.0.0.1'


# ports and folders


_port_locks = []


def free_port():
    """A port that no other test uses, for the life of this process."""

    folder = os.path.join(tempfile.gettempdir(),
                          'conduit-ports-%d' % os.getuid())
    os.makedirs(folder, exist_ok=True)

    for port in range(18000, 28000):
        f = open(os.path.join(folder, str(port)), 'w')

        try:
            fcntl.flock(f, fcntl.LOCK_EX | fcntl.LOCK_NB)

            with socket.socket() as s:
                s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                s.bind((HOST, port))

        except OSError:
            f.close()
            continue

        _port_locks.append(f)
        return port

    raise RuntimeError('no free port')


_folders = []


def new_folder(name):
    """A new folder below build/test, removed when all tests have passed."""

    base = os.path.join(BUILD, 'test', '%s.%d.%s' % (
        os.path.basename(sys.argv[0]).rsplit('.', 1)[0], os.getpid(), name))
    path, n = base, 1

    while True:
        try:
            os.makedirs(path)
            break

        except FileExistsError:
            n += 1
            path = '%s%d' % (base, n)

    _folders.append(path)
    return path


# waiting


def wait_for(predicate, timeout=None, what='condition', pause=0.02):
    """Polls predicate() until it gives something true, and returns that."""

    end = time.monotonic() + (timeout or DEADLINE) * PATIENCE

    while True:
        value = predicate()
        if value:
            return value

        if time.monotonic() > end:
            raise TimeoutError('timed out waiting for ' + what)

        time.sleep(pause)


# TAP


class T:
    """Counts and prints the outcomes, also those of several threads."""

    def __init__(self):
        self.count = 0
        self.failed = 0
        self.lock = threading.Lock()

    def ok(self, good, name):
        with self.lock:
            self.count += 1

            if not good:
                self.failed += 1

            sys.stdout.write('%sok %d - %s\n' % ('' if good else 'not ',
                                                 self.count,
                                                 name.replace('#', '\\#')))
            sys.stdout.flush()

        if not good:
            frame = sys._getframe(1)
            while frame.f_code.co_filename == __file__ and frame.f_back:
                frame = frame.f_back

            self.diag('failed at %s line %d' % (
                frame.f_code.co_filename, frame.f_lineno))

        return good

    def eq(self, got, expected, name):
        good = self.ok(got == expected, name)

        if not good:
            self.diag('     got: %r' % (got,))
            self.diag('expected: %r' % (expected,))

        return good

    def like(self, got, pattern, name):
        good = self.ok(re.search(pattern, got) is not None, name)

        if not good:
            self.diag('     got: %r' % (got,))
            self.diag('expected: /%s/' % pattern)

        return good

    def between(self, got, low, high, name):
        good = self.ok(got is not None and low <= got <= high, name)

        if not good:
            self.diag('     got: %r, expected %r..%r' % (got, low, high))

        return good

    def diag(self, text):
        for line in str(text).splitlines():
            print('# ' + line, file=sys.stderr, flush=True)


_instances = []


def run(*tests):
    """Runs each test(t), then prints the plan and ends the process."""

    t = T()

    for test in tests:
        try:
            test(t)

        except Exception:
            t.ok(False, '%s ran to its end' % test.__name__)
            t.diag(traceback.format_exc())

        finally:
            close_all()

    print('1..%d' % t.count, flush=True)

    if t.failed == 0 and t.count:
        for path in _folders:
            shutil.rmtree(path, ignore_errors=True)

    sys.stdout.flush()
    os._exit(1 if t.failed or not t.count else 0)


def close_all():
    for instance in list(_instances):
        instance.close()


def skip_all(why):
    print('1..0 # SKIP ' + why, flush=True)
    sys.exit(0)


# processes


def _proc(pid):
    """state, parent and process group of a process, or None."""

    try:
        with open('/proc/%d/stat' % pid) as f:
            fields = f.read().rpartition(')')[2].split()

    except (FileNotFoundError, ProcessLookupError):
        return None

    return fields[0], int(fields[1]), int(fields[2])


def _title(pid):
    try:
        with open('/proc/%d/cmdline' % pid, 'rb') as f:
            return f.read().replace(b'\0', b' ').decode('latin1').strip()

    except (FileNotFoundError, ProcessLookupError):
        return ''


def alive(pid):
    p = _proc(pid)
    return p is not None and p[0] != 'Z'


def group_pids(pgid):
    pids = []

    for name in os.listdir('/proc'):
        if name.isdigit():
            p = _proc(int(name))
            if p and p[2] == pgid and p[0] != 'Z':
                pids.append(int(name))

    return pids


def _kill(pid, sig):
    try:
        os.kill(pid, sig)

    except ProcessLookupError:
        pass


def rss(pid):
    """Resident memory of a process in bytes."""

    with open('/proc/%d/statm' % pid) as f:
        return int(f.read().split()[1]) * os.sysconf('SC_PAGE_SIZE')


def cpu(pid):
    """CPU seconds that a process has used, as exactly as the kernel tells."""

    try:
        total = 0
        for name in os.listdir('/proc/%d/task' % pid):
            with open('/proc/%d/task/%s/schedstat' % (pid, name)) as f:
                total += int(f.read().split()[0])
        return total / 1e9
    except FileNotFoundError:
        pass

    with open('/proc/%d/stat' % pid) as f:
        fields = f.read().rpartition(')')[2].split()

    return (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')


# HTTP/1.1


class Response:
    """status, headers (lower case names; repeated ones joined by ", "),
    header_list as sent, body (bytes)."""

    def __init__(self, status, header_list, body=b'', interim=()):
        self.status = status
        self.header_list = header_list
        self.body = body
        self.interim = list(interim)
        self.headers = {}

        for name, value in header_list:
            name = name.lower()
            old = self.headers.get(name)
            self.headers[name] = value if old is None else old + ', ' + value

    @property
    def text(self):
        return self.body.decode('utf-8', 'replace')

    def json(self):
        return json.loads(self.body)

    def header(self, name):
        return self.headers.get(name.lower())

    def __getitem__(self, name):
        """A member of the JSON object in the body, None if not there."""

        try:
            return self.json().get(name)

        except (ValueError, AttributeError):
            return None

    def error(self, member='code'):
        """A member of the error in the body, None if not there."""

        error = self['error']
        return error.get(member) if isinstance(error, dict) else None

    def __repr__(self):
        return 'Response(%d, %r, %r)' % (self.status, self.header_list,
                                         self.body[:500])


def encode_request(method, path, headers=None, body=None, key=None,
                   host='localhost', chunks=None, version='1.1'):
    """The bytes of a request.  body may be bytes, text, or something that
    becomes JSON; chunks is a list of bytes for a chunked body."""

    lines = ['%s %s HTTP/%s' % (method, path, version)]
    names = {name.lower() for name in (headers or {})}

    if 'host' not in names:
        lines.append('Host: ' + host)

    if key is not None:
        lines.append('Authorization: Bearer ' + key)

    if body is not None and not isinstance(body, (bytes, str)):
        body = json.dumps(body)
        if 'content-type' not in names:
            lines.append('Content-Type: application/json')

    if isinstance(body, str):
        body = body.encode()

    for name, value in (headers or {}).items():
        for one in value if isinstance(value, list) else [value]:
            lines.append('%s: %s' % (name, one))

    if chunks is not None:
        lines.append('Transfer-Encoding: chunked')
        body = b''.join(b'%x\r\n%s\r\n' % (len(c), c) for c in chunks)
        body += b'0\r\n\r\n'

    elif body is not None and 'content-length' not in names:
        lines.append('Content-Length: %d' % len(body))

    return '\r\n'.join(lines).encode() + b'\r\n\r\n' + (body or b'')


def _parse_head(head):
    lines = head.decode('latin1').split('\r\n')
    status = int(lines[0].split(' ')[1])
    header_list = []

    for line in lines[1:]:
        name, _, value = line.partition(':')
        header_list.append((name.strip(), value.strip()))

    return status, header_list


class Connection:
    """One client connection; keeps alive until closed.

    Its kernel takes no more than twice so many bytes that nobody reads.
    """

    def __init__(self, port, host=HOST, timeout=None, tls=False, path=None,
                 takes=None):
        self.timeout = timeout or DEADLINE * 3

        if path:
            self.sock = socket.socket(socket.AF_UNIX)
            self.sock.settimeout(self.timeout)
            self.sock.connect(path)

        elif takes:
            self.sock = socket.socket()
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, takes)
            self.sock.settimeout(self.timeout)
            self.sock.connect((host, port))

        else:
            self.sock = socket.create_connection((host, port), self.timeout)
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            self.sock = context.wrap_socket(self.sock,
                                            server_hostname='localhost')

        self.buffer = b''

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()

    def close(self):
        try:
            self.sock.close()

        except OSError:
            pass

    def send(self, data):
        self.sock.sendall(data)

    def _more(self):
        data = self.sock.recv(65536)
        self.buffer += data
        return data

    def read_until(self, mark, timeout=None):
        """Bytes up to and including mark."""

        self.sock.settimeout(timeout or self.timeout)

        while mark not in self.buffer:
            if not self._more():
                raise ConnectionError('closed early, after %r' % self.buffer)

        head, _, self.buffer = self.buffer.partition(mark)
        return head + mark

    def read_exactly(self, n):
        while len(self.buffer) < n:
            if not self._more():
                raise ConnectionError('closed early, after %r' % self.buffer)

        data, self.buffer = self.buffer[:n], self.buffer[n:]
        return data

    def read_to_end(self, timeout=None):
        """What still comes until the server closes."""

        self.sock.settimeout(timeout or self.timeout)

        while self._more():
            pass

        data, self.buffer = self.buffer, b''
        return data

    def closed_by_server(self, timeout=None):
        """Whether the server closes, without another byte, in time."""

        try:
            return self.read_to_end(timeout) == b''

        except (TimeoutError, socket.timeout):
            return False

        except ConnectionError:
            return True

    def read_head(self, timeout=None):
        """A Response without body (for streams)."""

        head = self.read_until(b'\r\n\r\n', timeout)
        return Response(*_parse_head(head[:-4]))

    def read_chunk(self, timeout=None):
        """One chunk of a chunked body, b'' at its end."""

        size = int(self.read_until(b'\r\n', timeout).split(b';')[0], 16)
        data = self.read_exactly(size)
        self.read_exactly(2)
        return data

    def read_response(self, method='GET', timeout=None):
        interim = []
        r = self.read_head(timeout)

        while 100 <= r.status < 200 and r.status != 101:
            interim.append(r.status)
            r = self.read_head(timeout)

        r.interim = interim

        if method == 'HEAD' or r.status in (101, 204, 304):
            return r

        if 'chunked' in (r.header('transfer-encoding') or ''):
            while True:
                data = self.read_chunk(timeout)
                if data == b'':
                    break

                r.body += data

        elif r.header('content-length') is not None:
            r.body = self.read_exactly(int(r.header('content-length')))

        else:
            r.body = self.read_to_end(timeout)

        return r

    def request(self, method, path, headers=None, body=None, key=None,
                timeout=None, **kw):
        self.send(encode_request(method, path, headers, body, key, **kw))
        return self.read_response(method, timeout)

    def read_event(self, timeout=None):
        """The next server-sent event of a chunked stream as a dict of its
        fields, {'comment': text} for a comment, None at the end."""

        while b'\n\n' not in getattr(self, 'events', b''):
            data = self.read_chunk(timeout)
            if data == b'':
                return None

            self.events = getattr(self, 'events', b'') + data

        text, _, self.events = self.events.partition(b'\n\n')
        event = {}

        for line in text.decode().split('\n'):
            name, _, value = line.partition(':')
            value = value[1:] if value.startswith(' ') else value
            event[name or 'comment'] = value

        return event


async def fetch(port, method, path, headers=None, body=None, key=None,
                host=HOST, timeout=None, **kw):
    """One request on a connection of its own, for asyncio."""

    async def talk():
        reader, writer = await asyncio.open_connection(host, port)

        try:
            head = dict(headers or {}, Connection='close')
            writer.write(encode_request(method, path, head, body, key, **kw))
            await writer.drain()
            data = await reader.read()

        finally:
            writer.close()

        head, _, rest = data.partition(b'\r\n\r\n')
        r = Response(*_parse_head(head))

        while 100 <= r.status < 200 and r.status != 101:
            head, _, rest = rest.partition(b'\r\n\r\n')
            r = Response(*_parse_head(head))

        if 'chunked' in (r.header('transfer-encoding') or ''):
            while rest:
                size, _, rest = rest.partition(b'\r\n')
                n = int(size.split(b';')[0], 16)
                r.body += rest[:n]
                rest = rest[n + 2:]

        else:
            r.body = rest

        return r

    return await asyncio.wait_for(talk(), timeout or DEADLINE * 6)


# nginx


CONF = '''
load_module %(module)s;
%(main)s
worker_processes %(workers)d;
daemon off;
pid logs/nginx.pid;
error_log logs/error.log %(level)s;
%(user)s

events {
    worker_connections %(connections)d;
%(events)s
}

http {
    client_body_temp_path temp/body;
    proxy_temp_path       temp/proxy;
    fastcgi_temp_path     temp/fastcgi;
    uwsgi_temp_path       temp/uwsgi;
    scgi_temp_path        temp/scgi;
    access_log            logs/access.log;

%(http)s
}
'''

SANITIZER = re.compile(r'AddressSanitizer|LeakSanitizer|runtime error: '
                       r'|UndefinedBehaviorSanitizer')


class Nginx:
    """An nginx of its own.

    http:   what stands in the http block; %%PORT%%, %%PORT1%% .. are free
            ports of this instance, %%DIR%% is its folder, and so in main
            and events
    conf:   a whole configuration instead
    allow:  regular expressions of [alert] and [emerg] lines that are
            expected
    """

    def __init__(self, t, http='', main='', events='', conf=None, workers=1,
                 connections=1024, level='info', allow=(), modules=(),
                 env=None, start=True, master=True, name='nginx'):
        self.t = t
        self.folder = new_folder(name)
        self.ports = {}
        self.allow = list(allow)
        self.killed = set()
        self.process = None
        self.closed = False
        self.env = env
        self.options = dict(main=main, events=events, workers=workers,
                            connections=connections, level=level,
                            modules=modules, master=master)

        for sub in ('conf', 'logs', 'temp', 'html'):
            os.makedirs(os.path.join(self.folder, sub))

        self.configure(http, conf)
        _instances.append(self)

        if start:
            self.start()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()

    # files

    def path(self, name):
        return os.path.join(self.folder, name)

    def write(self, name, data):
        """Writes a file, by rename, as an operator should."""

        path = self.path(name)
        os.makedirs(os.path.dirname(path), exist_ok=True)

        if isinstance(data, str):
            data = self.expand(data).encode()

        with open(path + '.new', 'wb') as f:
            f.write(data)

        os.rename(path + '.new', path)
        return path

    def read(self, name):
        try:
            with open(self.path(name), errors='replace') as f:
                return f.read()

        except FileNotFoundError:
            return ''

    def port(self, n=0):
        if n not in self.ports:
            self.ports[n] = free_port()

        return self.ports[n]

    def expand(self, text):
        text = re.sub(r'%%PORT(\d*)%%',
                      lambda m: str(self.port(int(m.group(1) or 0))), text)
        return text.replace('%%DIR%%', self.folder)

    def configure(self, http=None, conf=None, **options):
        """Writes nginx.conf anew; options as those of the constructor."""

        self.options.update(options)

        if http is not None:
            self.http = http

        if conf is None:
            o = dict(self.options, module=MODULE, http=self.http,
                     user='user root;' if os.getuid() == 0 else '')
            o['main'] = ''.join('load_module %s;\n' % m
                                for m in o['modules']) + o['main']

            if not o['master']:
                o['main'] += '\nmaster_process off;'

            conf = CONF % o

        self.write('conf/nginx.conf', conf)

    # life

    def command(self, *args):
        return [NGINX, '-p', self.folder + '/', '-c', 'conf/nginx.conf',
                '-e', 'logs/error.log'] + list(args)

    def check(self):
        """nginx -t: (whether it is good, what it said)."""

        p = subprocess.run([NGINX, '-p', self.folder + '/', '-c',
                            'conf/nginx.conf', '-e', 'stderr', '-t'],
                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                           env=self.environment(), timeout=DEADLINE * 3)

        return p.returncode == 0, p.stdout.decode('utf-8', 'replace')

    def environment(self):
        return None if self.env is None else dict(os.environ, **self.env)

    def start(self):
        self.stderr = open(self.path('logs/stderr.log'), 'ab')
        self.process = subprocess.Popen(
            self.command(), stdin=subprocess.DEVNULL, stdout=self.stderr,
            stderr=self.stderr, env=self.environment(),
            start_new_session=True)

        def serves():
            if self.process.poll() is not None:
                raise RuntimeError('nginx ended with %d: %s' % (
                    self.process.returncode,
                    self.read('logs/stderr.log') + self.error_log()))

            return len(self.workers()) >= self.options['workers']

        if self.options['master']:
            wait_for(serves, what='workers')

        else:
            wait_for(lambda: self.accepts(self.port()), what='nginx')

    def accepts(self, port):
        try:
            socket.create_connection((HOST, port), 1).close()
            return True

        except OSError:
            return False

    @property
    def pid(self):
        return self.process.pid

    def workers(self):
        """pids of the workers that serve, without those shutting down."""

        return sorted(p for p in group_pids(self.pid)
                      if _title(p) == 'nginx: worker process')

    def old_workers(self):
        return sorted(p for p in group_pids(self.pid)
                      if _title(p).startswith(
                          'nginx: worker process is shutting'))

    def reload(self, wait=True):
        """HUP; returns when new workers serve (old ones may still drain)."""

        before = set(self.workers())
        _kill(self.pid, signal.SIGHUP)

        if wait:
            wait_for(lambda: len(self.workers()) >= self.options['workers']
                     and not before & set(self.workers()),
                     what='new workers')

    def kill_worker(self, pid=None, respawn=True):
        """kill -9 of a worker, by default the first; returns its pid."""

        pid = pid or self.workers()[0]
        self.killed.add(pid)
        _kill(pid, signal.SIGKILL)
        wait_for(lambda: not alive(pid), what='the worker\'s end')

        if respawn:
            wait_for(lambda: len(self.workers()) >= self.options['workers'],
                     what='a new worker')

        return pid

    def kill_all(self):
        """kill -9 of the master and all workers at once."""

        pids = group_pids(self.pid)
        self.killed.update(pids)

        for pid in pids:
            _kill(pid, signal.SIGKILL)

        self.process.wait()
        wait_for(lambda: not group_pids(self.pid), what='all ends')

    @contextlib.contextmanager
    def asleep(self):
        """Workers that do nothing meanwhile."""

        pids = self.workers()

        for pid in pids:
            _kill(pid, signal.SIGSTOP)

        try:
            yield

        finally:
            for pid in pids:
                _kill(pid, signal.SIGCONT)

    def quit(self, timeout=None):
        """Graceful shutdown; returns the exit code."""

        _kill(self.pid, signal.SIGQUIT)
        return self.process.wait((timeout or DEADLINE) * PATIENCE)

    def stop(self, timeout=None):
        """Fast shutdown; returns the exit code."""

        _kill(self.pid, signal.SIGTERM)
        return self.process.wait((timeout or DEADLINE) * PATIENCE)

    def close(self):
        """Stops nginx and checks what it left behind."""

        if self.closed:
            return

        self.closed = True

        if self in _instances:
            _instances.remove(self)

        if self.process is not None:
            if self.process.poll() is None:
                try:
                    self.stop()

                except subprocess.TimeoutExpired:
                    self.t.ok(False, 'nginx stops on SIGTERM')

            left = group_pids(self.pid)

            for pid in left:
                _kill(pid, signal.SIGKILL)

            self.process.wait()
            self.stderr.close()
            self.t.eq(left, [], 'no process is left')

        self.t.eq(self.faults(), [], 'no alert, crash or sanitizer report')

    # logs

    def error_log(self):
        return self.read('logs/error.log')

    def access_log(self):
        return self.read('logs/access.log')

    def wait_log(self, pattern, timeout=None):
        return wait_for(lambda: re.search(pattern, self.error_log()), timeout,
                        'log line /%s/' % pattern)

    def faults(self):
        """Log lines that no test may leave, announced ones aside."""

        faults = []
        expected = list(self.allow)

        for pid in self.killed:
            expected.append(r'worker process %d exited on signal 9' % pid)
            expected.append(r'was locked by %d' % pid)

        lines = (self.error_log() + self.read('logs/stderr.log')).splitlines()

        for line in lines:
            bad = ('[alert]' in line or '[emerg]' in line
                   or 'exited on signal' in line or 'core dumped' in line
                   or SANITIZER.search(line))

            if bad and not any(re.search(e, line) for e in expected):
                faults.append(line)

        return faults

    # requests

    def connect(self, n=0, **kw):
        return Connection(self.port(n), **kw)

    def request(self, method, path, headers=None, body=None, key=None,
                n=0, timeout=None, **kw):
        """One request on a connection of its own."""

        with self.connect(n) as c:
            head = dict(headers or {}, Connection='close')
            return c.request(method, path, head, body, key, timeout=timeout,
                             **kw)

    def get(self, path, **kw):
        return self.request('GET', path, **kw)

    def post(self, path, body=None, **kw):
        return self.request('POST', path, body=body, **kw)


signal.signal(signal.SIGTERM, lambda *args: sys.exit(1))


@atexit.register
def _no_process_left():
    for instance in list(_instances):
        if instance.process is not None:
            for pid in group_pids(instance.process.pid):
                _kill(pid, signal.SIGKILL)
