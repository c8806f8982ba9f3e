# Copyright (C) Conduit for nginx authors

"""Real Redis servers for tests, and a proxy in front of one.

    with Redis() as redis:
        redis.url                       what conduit_redis wants
        redis.call('GET', 'key')        one command
        redis.calls()                   commands executed so far

    Redis(password='p'), Redis(acl=('user', 'p')), Redis(tls=True),
    Redis(unix=True), Redis(replica_of=other), Sentinels(master, 'name')

    with RedisProxy(redis) as proxy:
        proxy.url
        proxy.delay(1.0)        each reply that much later
        proxy.cut()             closes what is open and refuses what is new
        proxy.mute()            accepts everything, answers nothing
        proxy.stall()           all bytes wait, both ways, for heal()
        proxy.heal()

Every server has a folder and a port of its own, is no service of the system
and is ended by its pid.
"""

import os
import queue
import re
import shutil
import signal
import socket
import ssl
import subprocess
import threading
import time

from conduit_harness import (BUILD, HOST, SANITIZE, TOP, free_port,
                             new_folder, wait_for)

SERVER = shutil.which('redis-server')

# seconds after the death of a host within which others have what it had

TAKEOVER = 15 * (3 if SANITIZE else 1)


class RedisError(Exception):
    """An error reply."""


class Client:
    """As little of the protocol as tests need."""

    def __init__(self, address, login=(), context=None):
        family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
        s = socket.socket(family)
        s.settimeout(30)
        s.connect(address)
        self.sock = context.wrap_socket(s) if context else s
        self.file = self.sock.makefile('rb')

        if login:
            self.call('AUTH', *login)

    def send(self, *args):
        out = [b'*%d\r\n' % len(args)]

        for arg in args:
            arg = arg if isinstance(arg, bytes) else str(arg).encode()
            out.append(b'$%d\r\n%s\r\n' % (len(arg), arg))

        self.sock.sendall(b''.join(out))

    def read(self):
        line = self.file.readline()

        if not line:
            raise ConnectionError('closed')

        kind, rest = line[:1], line[1:-2]

        if kind == b'+':
            return rest.decode()

        if kind == b'-':
            raise RedisError(rest.decode())

        if kind == b':':
            return int(rest)

        if kind == b'$':
            n = int(rest)
            return None if n < 0 else self.file.read(n + 2)[:-2]

        n = int(rest)
        return None if n < 0 else [self.read() for _ in range(n)]

    def call(self, *args):
        self.send(*args)
        return self.read()

    def close(self):
        self.file.close()
        self.sock.close()


class Redis:
    """A redis-server of its own."""

    def __init__(self, password=None, acl=None, tls=None, unix=False,
                 replica_of=None, port=None, conf='', may='+@all'):
        self.folder = new_folder('redis')
        self.password = password
        self.acl = acl
        self.may = may
        self.tls = tls
        self.replica_of = replica_of
        self.port = port or free_port()
        self.path = os.path.join('/tmp', 'conduit-redis-%d-%d.sock' % (
            os.getpid(), self.port)) if unix else None
        self.extra = conf
        self.process = None

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *exc):
        self.stop()

        if self.path and os.path.exists(self.path):
            os.unlink(self.path)

    def config(self):
        lines = ['bind 127.0.0.1', 'dir ' + self.folder, 'save ""',
                 'appendonly no', 'daemonize no', 'protected-mode no',
                 'logfile ' + os.path.join(self.folder, 'redis.log')]

        if self.tls:
            lines += ['port 0', 'tls-port %d' % self.port,
                      'tls-cert-file ' + self.tls.cert,
                      'tls-key-file ' + self.tls.key,
                      'tls-auth-clients no']
        else:
            lines += ['port %d' % self.port]

        if self.path:
            lines += ['unixsocket ' + self.path, 'unixsocketperm 777']

        if self.password:
            lines += ['requirepass ' + self.password,
                      'masterauth ' + self.password]

        if self.acl:
            lines += ['user default off',
                      'user %s on >%s ~conduit:* &conduit:* %s' % (
                          *self.acl, self.may)]

        if self.replica_of:
            lines += ['replicaof 127.0.0.1 %d' % self.replica_of.port,
                      'repl-diskless-sync-delay 0']

        return '\n'.join(lines) + '\n' + self.extra

    def start(self):
        conf = os.path.join(self.folder, 'redis.conf')

        with open(conf, 'w') as f:
            f.write(self.config())

        self.process = subprocess.Popen([SERVER, conf],
                                        stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL)
        wait_for(self.alive, 20, 'redis-server')

    def stop(self, sig=signal.SIGKILL):
        if self.process is None:
            return

        # a stopped process does not die of anything but SIGKILL
        self.process.send_signal(sig)
        self.process.wait(60)
        self.process = None

    def in_step(self):
        """Whether a replica has all that its master has."""

        return (self.info('master_link_status') == 'up'
                and self.info('master_repl_offset')
                == self.replica_of.info('master_repl_offset'))

    def pause(self):
        self.process.send_signal(signal.SIGSTOP)

    def resume(self):
        self.process.send_signal(signal.SIGCONT)

    def address(self):
        return self.path or (HOST, self.port)

    def login(self):
        return self.acl or ((self.password,) if self.password else ())

    def client(self):
        context = None

        if self.tls:
            context = ssl.create_default_context(cafile=self.tls.ca)
            context.check_hostname = False

        return Client(self.address(), self.login(), context)

    def alive(self):
        try:
            return self.call('PING') == 'PONG'

        except (OSError, RedisError):
            if self.process and self.process.poll() is not None:
                raise RuntimeError('redis-server has ended: ' + self.log())

            return False

    def call(self, *args):
        c = self.client()

        try:
            return c.call(*args)

        finally:
            c.close()

    def log(self):
        path = os.path.join(self.folder, 'redis.log')
        return open(path).read() if os.path.exists(path) else ''

    def info(self, name):
        for line in self.call('INFO').decode().splitlines():
            if line.startswith(name + ':'):
                return line.split(':', 1)[1]

        return None

    def calls(self):
        return int(self.info('total_commands_processed'))

    def keys(self, pattern='*'):
        return sorted(k.decode() for k in self.call('KEYS', pattern))

    @property
    def url(self):
        if self.path:
            return 'unix:' + self.path

        user = ':'.join(self.login())

        return '%s://%s127.0.0.1:%d' % (
            'rediss' if self.tls else 'redis', user + '@' if user else '',
            self.port)


class Sentinels:
    """Sentinels that watch a master; one is enough for them to agree."""

    def __init__(self, master, name='conduit-master', n=1, password=None):
        self.name = name
        self.login = (password,) if password else ()
        self.ports = [free_port() for _ in range(n)]
        self.master = master
        self.processes = []

    def __enter__(self):
        for port in self.ports:
            folder = new_folder('sentinel')
            conf = os.path.join(folder, 'sentinel.conf')

            with open(conf, 'w') as f:
                f.write('port %d\nbind 127.0.0.1\ndir %s\nlogfile %s\n'
                        'protected-mode no\n'
                        'sentinel monitor %s 127.0.0.1 %d 1\n'
                        'sentinel down-after-milliseconds %s 800\n'
                        'sentinel failover-timeout %s 3000\n' % (
                            port, folder, os.path.join(folder, 'log'),
                            self.name, self.master.port, self.name,
                            self.name)
                        + ''.join('requirepass %s\n' % word
                                  for word in self.login))

            self.processes.append(subprocess.Popen(
                [SERVER, conf, '--sentinel'], stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))

            wait_for(lambda: self.where(port), 20, 'sentinel')

        return self

    def where(self, port):
        try:
            c = Client((HOST, port), self.login)

            try:
                return c.call('SENTINEL', 'get-master-addr-by-name', self.name)

            finally:
                c.close()

        except OSError:
            return None

    def replicas(self):
        c = Client((HOST, self.ports[0]), self.login)

        try:
            return c.call('SENTINEL', 'replicas', self.name)

        finally:
            c.close()

    def __exit__(self, *exc):
        for process in self.processes:
            process.kill()
            process.wait()

    @property
    def list(self):
        return ','.join('127.0.0.1:%d' % port for port in self.ports)


class RedisProxy:
    """Stands between nginx and a server and makes the network bad."""

    def __init__(self, redis):
        self.redis = redis
        self.port = free_port()
        self.lock = threading.Lock()
        self.open = set()
        self.late = 0.0
        self.refuse = False
        self.silent = False
        self.moving = threading.Event()
        self.moving.set()
        self.listener = None

    def __enter__(self):
        self.listen()
        return self

    def __exit__(self, *exc):
        self.cut()

    def listen(self):
        s = socket.socket()
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind((HOST, self.port))
        s.listen(64)
        self.listener = s
        threading.Thread(target=self.accept, args=(s,), daemon=True).start()

    def accept(self, listener):
        while True:
            try:
                client, _ = listener.accept()

            except OSError:
                return

            self.join(client)

    def join(self, client):
        try:
            server = socket.create_connection((HOST, self.redis.port))

        except OSError:
            client.close()
            return

        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

        with self.lock:
            self.open |= {client, server}

        replies = queue.Queue()

        for target, args in ((self.forward, (client, server)),
                             (self.receive, (server, replies)),
                             (self.answer, (client, replies))):
            threading.Thread(target=target, args=args, daemon=True).start()

    def forward(self, client, server):
        self.pump(client, lambda data: server.sendall(data))
        self.drop(server)

    def receive(self, server, replies):
        self.pump(server, lambda data: replies.put(
            (time.monotonic() + self.late, data)))
        replies.put((0, b''))

    def answer(self, client, replies):
        while True:
            when, data = replies.get()
            time.sleep(max(0, when - time.monotonic()))

            if not data:
                break

            try:
                client.sendall(data)

            except OSError:
                break

        self.drop(client)

    def pump(self, source, sink):
        while True:
            try:
                data = source.recv(65536)

                if not data:
                    break

                self.moving.wait()

                # a black hole swallows both directions
                if not self.silent:
                    sink(data)

            except OSError:
                break

        self.drop(source)

    def drop(self, s):
        with self.lock:
            self.open.discard(s)

        try:
            s.shutdown(socket.SHUT_RDWR)

        except OSError:
            pass

        s.close()

    def delay(self, seconds):
        self.late = seconds

    def mute(self):
        self.silent = True

    def stall(self):
        self.moving.clear()

    def cut(self):
        if self.listener:
            try:
                self.listener.shutdown(socket.SHUT_RDWR)

            except OSError:
                pass

            self.listener.close()
            self.listener = None

        for s in list(self.open):
            self.drop(s)

    def heal(self):
        self.late = 0.0
        self.silent = False
        self.moving.set()

        if self.listener is None:
            self.listen()

    @property
    def url(self):
        return 'redis://127.0.0.1:%d' % self.port


_CONNECTED = re.compile(r' (\d+)#\d+: conduit_redis: connected to ')


def connect_all(api, since=0):
    """Waits for each worker to have both of its connections, for commands
    and for messages.  since: how long the log was before an outage."""

    def connected():
        pids = _CONNECTED.findall(api.error_log()[since:])
        return all(pids.count(str(pid)) >= 2 for pid in api.workers())

    wait_for(connected, 30, 'all workers to be connected')


def taken_over(t, tasks, since, *apis):
    """Waits until one of these hosts, and no more, has taken over each task,
    which has to be soon after the monotonic time that is given: that of the
    kill, or of the cut."""

    def times():
        logs = ''.join(api.error_log() for api in apis)
        return [logs.count('took over task ' + task) for task in tasks]

    wait_for(lambda: all(times()), TAKEOVER, 'takeover')
    t.between(time.monotonic() - since, 0, TAKEOVER, 'taken over in time')
    t.eq(max(times()), 1, 'once')


def clock():
    """The library that gives a host another clock: preloaded, with how many
    ms it is ahead in CONDUIT_CLOCK."""

    path = os.path.join(new_folder('clock'), 'clock.so')
    subprocess.run(['cc', '-shared', '-fPIC', '-o', path,
                    os.path.join(TOP, 't', 'lib', 'clock.c')], check=True)
    return path


def settings(redis, name, more=''):
    """Directives of a host that is called so."""

    return ('conduit_store redis; conduit_redis %s %s; conduit_instance %s;'
            % (redis.url, more, name))


def make_host(cls, t, redis, name, like=None, more='', http='', **conf):
    """A cls (conduit_api.Api) that has the keys of another one."""

    api = cls(t, http=settings(redis, name, more) + http, start=False,
              **conf)

    if like is not None:
        api.secrets.update(like.secrets)

        for key in like.secrets:
            getattr(api, key).key = like.secrets[key]

        api.setup()

    api.start()
    connect_all(api)

    wait_for(lambda: api.alice.image('warm up').status == 202, 30,
             'a create with Redis')

    return api
