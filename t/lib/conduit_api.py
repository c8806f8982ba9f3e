# Copyright (C) Conduit for nginx authors

"""The HTTP API for tests, and an nginx that serves it.

    def test(t):
        with Api(t, workers=2, providers=['videos']) as api:
            reply = api.alice.video('script:ok', 'sora-2')
            t.eq(reply.status, 202, 'created')

    run(test)

At the end the error log must also hold no prompt and no secret.
"""

import concurrent.futures
import hashlib
import re
import threading

from conduit_harness import *
from conduit_provider import Provider

IMAGES = '/v1/images/generations'
VIDEOS = '/v1/videos/generations'
TASKS = '/v1/tasks'
WORKER = '/conduit/worker/'

FINAL = ('completed', 'failed', 'cancelled')
MEMBERS = {'task_id', 'object', 'type', 'status', 'progress', 'message',
           'estimated_seconds_remaining', 'queue_position', 'model',
           'created_at', 'started_at', 'updated_at', 'completed_at',
           'expires_at', 'sequence', 'result', 'error', 'error_code',
           'metadata', 'webhook'}

UUID = re.compile(r'[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}'
                  r'-[0-9a-f]{12}\Z')
TIME = re.compile(r'\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z\Z')

SLOW = 3 if SANITIZE else 1

# what bounds of measured times are multiplied with: the bound is told of an
# idle machine, and a busy one may stop anybody in between

BUSY = SLOW * PATIENCE


class Client:
    """The API with one key, a connection for each request."""

    def __init__(self, port, key=None, tls=False):
        self.port = port
        self.key = key
        self.tls = tls

    def connect(self, timeout=None):
        return Connection(self.port, tls=self.tls, timeout=timeout)

    def request(self, method, path, body=None, headers=None, timeout=None,
                **more):
        with self.connect(timeout) as c:
            return c.request(method, path,
                             dict(headers or {}, Connection='close'), body,
                             self.key, timeout=timeout, **more)

    def get(self, path, headers=None, timeout=None):
        return self.request('GET', path, None, headers, timeout)

    def post(self, path, body=None, headers=None, timeout=None):
        return self.request('POST', path, body, headers, timeout)

    def encode(self, method, path, body=None, headers=None):
        return encode_request(method, path, headers, body, self.key)

    # tasks

    def image(self, prompt, model='sandbox-image', headers=None, **more):
        return self.post(IMAGES + '/async',
                         dict({'model': model, 'prompt': prompt}, **more),
                         headers)

    def video(self, prompt, model='sandbox-video', headers=None, **more):
        return self.post(VIDEOS + '/async',
                         dict({'model': model, 'prompt': prompt}, **more),
                         headers)

    def sync(self, prompt, model='sandbox-image', headers=None, timeout=60,
             **more):
        return self.post(IMAGES,
                         dict({'model': model, 'prompt': prompt}, **more),
                         headers, timeout)

    def status(self, task, headers=None, suffix=''):
        return self.get('%s/%s%s' % (TASKS, task, suffix), headers)

    def document(self, task, timeout=15):
        """What is told of a task, asked again while a worker has no Redis,
        as it may right after a start or an outage."""

        return wait_for(lambda: (lambda r: r.error() != 'store_unavailable'
                                 and r.json())(self.status(task)),
                        timeout * SLOW, 'the document of ' + task)

    def create(self, prompt, timeout=30, **more):
        """A task, asked for again while it is refused for that reason."""

        return wait_for(lambda: (lambda r: r.error() != 'store_unavailable'
                                 and r)(self.image(prompt, **more)),
                        timeout * SLOW, 'a create')['task_id']

    def cancel(self, task):
        return self.request('DELETE', '%s/%s' % (TASKS, task))

    def retry(self, task):
        return self.post('%s/%s/retry' % (TASKS, task))

    def list(self, **query):
        text = '&'.join('%s=%s' % pair for pair in query.items())
        return self.get(TASKS + ('?' + text if text else ''))

    def until(self, task, predicate, timeout=15):
        """The first document that satisfies predicate, by waiting polls;
        after the timeout the one that was seen last."""

        end = time.monotonic() + timeout * SLOW * PATIENCE
        etag = document = None

        while True:
            headers = {}

            if etag:
                left = max(1, int(end - time.monotonic()))
                headers = {'If-None-Match': etag,
                           'Prefer': 'wait=%d' % min(left, 5)}

            reply = self.status(task, headers)

            if reply.status == 200:
                document = reply.json()
                etag = reply.header('etag')
                if predicate(document):
                    return document

            # a worker that has no Redis yet, or not any more, says so

            elif reply.error() == 'store_unavailable' \
                    and time.monotonic() < end:
                time.sleep(0.1)

            elif reply.status != 304:
                raise AssertionError('poll of %s: %r' % (task, reply))

            if time.monotonic() > end:
                return document

    def wait(self, task, timeout=15):
        """The document at the end of a task."""

        return self.until(task, lambda d: d['status'] in FINAL, timeout)

    def run(self, create, timeout=15):
        """The document at the end of a task that was just created."""

        if create.status != 202:
            raise AssertionError('create: %r' % create)

        return self.wait(create['task_id'], timeout)

    def worker(self, path, body=None, timeout=60):
        return self.post(WORKER + path, body, None, timeout)

    def events(self, task, headers=None, timeout=None):
        return Events(self, '%s/%s/events' % (TASKS, task), headers,
                      timeout)


class Events:
    """An event stream: iterate to get (id, document)."""

    def __init__(self, client, path, headers=None, timeout=None):
        self.connection = client.connect(timeout)
        self.connection.send(client.encode('GET', path, None, headers))
        self.head = self.connection.read_head()
        self.comments = 0

    def __iter__(self):
        while True:
            event = self.connection.read_event()

            if event is None:
                self.connection.close()
                return

            if 'comment' in event:
                self.comments += 1

            if 'data' in event:
                yield event.get('id'), json.loads(event['data'])

    def close(self):
        self.connection.close()


KEYS = {'alice': '', 'bob': '', 'robot': 'worker on;'}

UPSTREAM_SECRET = 'upstream-secret-4711'

HTTP = '''
    conduit_zone %(zone)s;
    conduit_rate %(rate)s;
%(keys)s
%(providers)s
%(http)s
    server {
        listen 127.0.0.1:%%%%PORT%%%% backlog=8192;
%(tls)s
        keepalive_requests 1000000;
%(server)s
        location /v1/images/generations { conduit_generations image; }
        location /v1/videos/generations { conduit_generations video; }
        location /v1/tasks { conduit_tasks; }
        location /hubs/image-generation { conduit_hub image; }
        location /hubs/video-generation { conduit_hub video; }
        location /hubs/tasks { conduit_hub tasks; }
        location = /health { conduit_health; }
        location = /metrics { conduit_metrics; }
        location /conduit/worker/ { conduit_worker; }
    }
'''

SANDBOX = '''
    conduit_provider sandbox { type sandbox; duration 200ms; }
    conduit_model sandbox-image provider=sandbox kind=image;
    conduit_model sandbox-video provider=sandbox kind=video;
'''

GPU = '''
    conduit_provider gpu { type worker; kind image video; lease 1s; }
    conduit_model gpu-image provider=gpu model=sdxl kind=image;
    conduit_model gpu-video provider=gpu model=wan kind=video;
'''

MEDIA = '''
    conduit_media %%DIR%%/media url=/media max_size=8m;
'''


class Api(Nginx):
    """An nginx with keys, providers and all locations.

    providers:  names of files in t/providers, played by self.provider
    keys:       {name: members of the block}, more than KEYS; None: no block
    edit:       a function that changes the text of the provider blocks
    """

    def __init__(self, t, providers=(), keys=None, http='', server='',
                 zone='conduit:16m', rate='off', sandbox=SANDBOX, gpu='',
                 tls=False, edit=None, provider=None, start=True, **more):
        self.secrets = {}
        self.key_members = {}
        self.blocks = providers
        self.edit = edit or (lambda text: text)
        self.builtin = sandbox + gpu
        self.tls = tls
        self.values = dict(zone=zone, rate=rate, http=http, server=server)
        self.provider = provider
        self.own_provider = provider is None and bool(providers)
        self.private = ['script:']

        if self.own_provider:
            self.provider = Provider().start()

        for name, members in dict(KEYS, **(keys or {})).items():
            self.add_key(name, members)

        more.setdefault('connections', 4096)
        super().__init__(t, start=False, **more)

        for name, secret in self.secrets.items():
            setattr(self, name, Client(self.port(), secret))

        self.write('secret', UPSTREAM_SECRET + '\n')
        os.makedirs(self.path('media'), exist_ok=True)

        if tls:
            make_certificates(self.folder)

        self.setup()
        if start:
            self.start()

    # configuration

    def add_key(self, name, members=''):
        self.secrets[name] = 'condt_%s_%s' % (name, os.urandom(12).hex())
        self.key_members[name] = members

    def sha256(self, name):
        digest = hashlib.sha256(self.secrets[name].encode()).hexdigest()
        return 'sha256:' + digest

    def key_blocks(self):
        return '\n'.join('    conduit_key %s { secret %s; %s }'
                         % (name, self.sha256(name), members)
                         for name, members in self.key_members.items()
                         if members is not None)

    def provider_blocks(self):
        text = self.builtin

        for name in self.blocks:
            with open(os.path.join(TOP, 't', 'providers',
                                   name + '.conf')) as f:
                text += f.read()

        if self.provider is not None:
            text = text.replace('%%PROVIDER%%', self.provider.url)

        return self.edit(text.replace('%%SECRET%%', self.path('secret')))

    def setup(self, **values):
        """Writes nginx.conf; values replace what the start gave."""

        self.values.update(values)
        tls = ''

        if self.tls:
            tls = ('        listen 127.0.0.1:%%PORT1%% ssl http2;\n'
                   '        ssl_certificate %%DIR%%/server.pem;\n'
                   '        ssl_certificate_key %%DIR%%/server.key;\n')

        self.configure(HTTP % dict(self.values, tls=tls,
                                   keys=self.key_blocks(),
                                   providers=self.provider_blocks()))

    def put_keys(self, text, name='keys.json'):
        """Writes the key file of an nginx that runs, and waits until each
        worker has read it."""

        def seen():
            return len(re.findall(r'%s" was read again' % name,
                                  self.error_log()))

        before = seen()
        self.write(name, text)
        wait_for(lambda: seen() >= before + self.options['workers'],
                 what='the keys in all workers')

    # what metrics say

    def metrics(self):
        """{"name{labels}": value}"""

        result = {}

        for line in Client(self.port()).get('/metrics').text.split('\n'):
            if line and not line.startswith('#'):
                name, _, value = line.rpartition(' ')
                result[name] = float(value)

        return result

    def metric(self, name, **labels):
        """The sum of a metric over all that carry the labels."""

        return sum(value for key, value in self.metrics().items()
                   if key.partition('{')[0] == name
                   and all('%s="%s"' % pair in key
                           for pair in labels.items()))

    def close(self):
        if self.closed:
            return

        super().close()

        if self.own_provider:
            self.provider.stop()
            self.t.eq(self.provider.faults, [], 'the provider is sane')

        private = (self.private + list(self.secrets.values())
                   + [UPSTREAM_SECRET])
        self.t.eq([line for line in self.error_log().splitlines()
                   if any(word in line for word in private)][:5], [],
                  'no prompt and no secret in the log')


PID = 'location = /pid { return 200 $pid; }'


class Pulse:
    """Asks each worker of an Api with server=PID every 20 ms, over a
    connection of its own, for its health and whatever else it has to answer
    at once."""

    def __init__(self, api, paths=()):
        self.paths = ['/health'] + list(paths)
        self.key = api.alice.key
        self.port = api.port()
        self.asked = {pid: 0 for pid in api.workers()}
        self.longest = (0, None, None)
        self.statuses = {}
        self.lock = threading.Lock()
        self.ends = threading.Event()
        self.threads = [threading.Thread(target=self.beat, args=worker,
                                         daemon=True)
                        for worker in self.reach()]

        for thread in self.threads:
            thread.start()

    def reach(self):
        """A connection to each worker."""

        found = {}

        def missing():
            c = Connection(self.port)
            pid = int(c.request('GET', '/pid').body)

            if pid in found or pid not in self.asked:
                c.close()
            else:
                found[pid] = c

            return len(found) < len(self.asked)

        wait_for(lambda: not missing(), what='a connection to each worker',
                 pause=0.001)

        return found.items()

    def beat(self, pid, c):
        with c:
            while not self.ends.wait(0.02):
                path = self.paths[self.asked[pid] % len(self.paths)]
                begun = time.monotonic()
                status = c.request('GET', path, key=self.key).status
                took = time.monotonic() - begun

                with self.lock:
                    self.asked[pid] += 1
                    self.statuses.setdefault(path, set()).add(status)
                    self.longest = max(self.longest, (took, path, pid))

    def end(self, t, name, least=100):
        """No worker has been blocked, not even by half a second."""

        self.ends.set()

        for thread in self.threads:
            thread.join()

        t.ok(min(self.asked.values()) >= least, name + ': all were asked') \
            or t.diag(self.asked)
        t.ok(self.longest[0] < 0.5 * SLOW, name + ': no worker is blocked') \
            or t.diag(self.longest)
        t.eq(self.statuses, {path: {200} for path in self.paths},
             name + ': and they answer')


def make_certificates(folder):
    """An authority and a certificate for localhost and 127.0.0.1."""

    def openssl(*arguments):
        subprocess.run(('openssl',) + arguments, cwd=folder, check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    with open(os.path.join(folder, 'ext'), 'w') as f:
        f.write('subjectAltName=DNS:localhost,IP:127.0.0.1\n')

    openssl('req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2',
            '-subj', '/CN=test CA', '-keyout', 'ca.key', '-out', 'ca.pem')
    openssl('req', '-newkey', 'rsa:2048', '-nodes', '-subj',
            '/CN=localhost', '-keyout', 'server.key', '-out', 'server.csr')
    openssl('x509', '-req', '-in', 'server.csr', '-CA', 'ca.pem',
            '-CAkey', 'ca.key', '-CAcreateserial', '-days', '2',
            '-extfile', 'ext', '-out', 'server.pem')


def together(port, requests, timeout=60):
    """Sends encoded requests at the same instant, each on a connection of
    its own, to a port, or to a list of them in turn; Responses, or the
    exceptions, in order."""

    ports = port if isinstance(port, list) else [port]

    async def one(stream):
        reader, writer = stream

        try:
            head = await reader.readuntil(b'\r\n\r\n')
            lines = head[:-4].decode('latin1').split('\r\n')
            r = Response(int(lines[0].split(' ')[1]), [
                tuple(line.split(': ', 1)) for line in lines[1:]
                if ': ' in line])

            if 'chunked' in (r.header('transfer-encoding') or ''):
                while True:
                    size = int(await reader.readuntil(b'\r\n'), 16)
                    r.body += (await reader.readexactly(size + 2))[:size]
                    if size == 0:
                        break

            elif r.status not in (204, 304):
                r.body = await reader.readexactly(
                    int(r.header('content-length')))

            return r

        except (OSError, EOFError) as error:
            return error

        finally:
            writer.close()

    async def all_of_them():
        streams = [await asyncio.open_connection(HOST, ports[i % len(ports)])
                   for i in range(len(requests))]

        for (_, writer), data in zip(streams, requests):
            writer.write(data)

        return await asyncio.wait_for(
            asyncio.gather(*map(one, streams)), timeout * SLOW * PATIENCE)

    return asyncio.run(all_of_them())


def parallel(function, arguments, threads=16):
    """Calls function for each argument in threads; results in order."""

    with concurrent.futures.ThreadPoolExecutor(threads) as pool:
        return list(pool.map(function, arguments))
