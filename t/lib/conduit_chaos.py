# Copyright (C) Conduit for nginx authors

"""Several hosts with one Redis, clients of all of them, and everything that
may go wrong.

    world = World(t)            three hosts, their proxies, Redis, a provider
    load = Load(world, seed)    clients; what they were told is in world.books
    Events(world, rng)          disturbances, one after the other or at once
    Verdict(t, world)           what must hold, when all is quiet again; see
                                conduit_verdict.py
"""

import contextlib
import random

from conduit_books import *
from conduit_hooks import *
from conduit_hub import *
from conduit_redis import *
from conduit_roam import *

HTTP_CONF = '''
    conduit_task_limit per_key=100000 total=100000;
    conduit_webhook_rate off;
    conduit_webhook_retry 200ms 400ms 800ms 2s 4s 8s 8s 8s;
    conduit_webhook_bind %s;
    conduit_hub_keepalive 1s;
'''

# its limits tell whether the counts are right at the end

COUNTED = {'carol': 'tasks 5; connections 4;'}

SANDBOXES = ('sandbox:duration=50ms', 'sandbox:duration=400ms',
             'sandbox:duration=100ms sandbox:error=provider_error',
             'sandbox:duration=2s', 'sandbox:duration=6s')
SCRIPTS = ('ok', 'quick', 'steps', 'steps', 'slow', 'slow', 'failed',
           '503-once', 'slow-submit')

# what a host has for longer than a lease

LONG = 'sandbox:duration=11s'

# a provider that knows repeats may also lose its answers

TWIN = {'sora-2': SCRIPTS, 'sora-twin': SCRIPTS + ('lost-once', 'lost-once')}


def unhurried(seconds):
    """A receiver that takes its time."""

    def answer(sock, hit):
        alive = late(seconds)(sock, hit)

        if alive:
            hit.answered_with = 200

        return alive

    return answer


def providers(name):
    """Blocks that tell the provider which host asks, the second one also what
    is a repeat."""

    def edit(text):
        text = text.replace('kind        video;',
                            'kind        video;\n    header X-Host %s;' % name)
        at = text.index('conduit_provider videos_compat')
        twin = text[at:].replace('videos_compat', 'videos_twin')
        twin = twin.replace('sora-2', 'sora-twin').replace(
            'take    id /id;',
            'take    id /id;\n        idempotency header Idempotency-Key;')
        return text + twin

    return edit


class World:
    """Hosts, each with a proxy of its own between it and Redis, and an address
    of its own from which its webhooks come."""

    NAMES = 'abcdefgh'

    def __init__(self, t, hosts=3, local=False):
        self.t = t
        self.books = Books(local)
        self.provider = Provider().start()
        self.provider.script('slow', poll=[
            {'state': 'processing', 'progress': 10, 'times': 25},
            {'state': 'completed', 'progress': 100}])
        self.sink = Sink()
        self.redis = Redis(conf=Ledger.CONF)
        self.redis.start()
        self.ledger = Ledger(self.redis)
        self.proxies = []
        self.closed = collections.Counter()
        self.hosts = []

        for n in range(hosts):
            proxy = RedisProxy(self.redis)
            proxy.listen()
            self.proxies.append(proxy)
            self.hosts.append(self.host(n, proxy))

    def host(self, n, proxy):
        return make_host(Hooks, self.t, proxy, self.NAMES[n],
                         self.hosts[0] if self.hosts else None,
                         http=HTTP_CONF % self.address(n) + MEDIA, workers=2,
                         more='on_outage=local' if self.books.local else '',
                         keys=COUNTED, provider=self.provider,
                         providers=['videos'], edit=providers(self.NAMES[n]))

    @staticmethod
    def address(n):
        return '127.0.0.%d' % (11 + n)

    def sender(self, hit):
        return int(hit.peer.split('.')[3]) - 11

    def asker(self, request):
        return self.NAMES.index(request.headers['x-host'])

    def refuse(self, n):
        """Nobody listens where the host looks for Redis, until admit()."""

        self.closed[n] += 1
        self.proxies[n].cut()

    def admit(self, n):
        self.closed[n] -= 1

        if not self.closed[n]:
            self.proxies[n].listen()

    def close(self):
        for host in self.hosts:
            host.close()

        for proxy in self.proxies:
            proxy.cut()

        self.redis.stop()
        self.sink.close()
        self.provider.stop()
        self.t.eq(self.provider.faults, [], 'the provider is sane')

    def healthy(self, host):
        try:
            return host.alice.get('/health', timeout=5)['status'] == 'Healthy'

        except (OSError, EOFError):
            return False


class Load:
    """Clients of all hosts."""

    def __init__(self, world, seed, rate, pictures=SANDBOXES):
        self.world = world
        self.books = world.books
        self.seed = seed
        self.rate = rate
        self.pictures = pictures
        self.stop = threading.Event()
        self.threads = []
        self.held = set()           # connections that wait for events

    def start(self):
        for n in range(len(self.world.hosts)):
            for what in (self.create, self.poll, self.poll, self.stream,
                         self.hub, self.list):
                rng = random.Random('%s/%s/%s/%s' % (
                    self.seed, n, what.__name__, len(self.threads)))
                self.threads.append(threading.Thread(
                    target=self.loop, args=(what, n, rng, {}), daemon=True))

        for thread in self.threads:
            thread.start()

    def end(self):
        self.stop.set()

        with self.books.lock:
            for c in self.held:
                with contextlib.suppress(OSError):
                    c.sock.shutdown(socket.SHUT_RDWR)

        for thread in self.threads:
            thread.join(60)

    @contextlib.contextmanager
    def holds(self, c):
        with self.books.lock:
            self.held.add(c)

        try:
            yield

        finally:
            with self.books.lock:
                self.held.discard(c)

    def loop(self, what, n, rng, seen):
        """seen: what this client has seen of each task, in vain or not."""

        while not self.stop.is_set():
            try:
                what(n, rng, seen)

            except (OSError, EOFError, Closed, Refused) as e:

                # a connection that was cut; what is refused is counted

                with self.books.lock:
                    self.books.replies[type(e).__name__] += 1

                self.stop.wait(0.05)

            except Exception:
                self.books.fault('client', traceback.format_exc())
                return

    def reply(self, what, r, good):
        """Counts a reply; true if it is one of the good ones."""

        with self.books.lock:
            self.books.replies['%s %d' % (what, r.status)] += 1

        if r.status in good:
            return True

        # a host that cannot ask Redis says so

        if r.status not in (429, 503) or not r.error():
            self.books.fault(what, r)

        return False

    # creates

    def create(self, n, rng, seen):
        self.stop.wait(rng.uniform(0, 2 / self.rate))

        order = self.order(rng)

        if not self.send(order, n) and order.key:
            self.again(order, rng)

    def begin(self, each=4):
        """Jobs that hosts have when the first trouble comes, and that end
        when others must have taken them over."""

        rng = random.Random(self.seed)

        for n in range(len(self.world.hosts)):
            for _ in range(each):
                self.send(self.order(rng, 'script:held'), n)

        self.world.provider.wait(lambda p: p.count('poll', 'script:held')
                                 >= each * len(self.world.hosts))
        threading.Timer(12, self.world.provider.release, ('go',)).start()

    def order(self, rng, script=None):
        """A new create; half of them have an Idempotency-Key."""

        with self.books.lock:
            number = len(self.books.orders) + 1
            self.books.orders.append(None)

        video = script is not None or rng.random() < 0.5

        if video:
            model = rng.choice(sorted(TWIN))
            prompt = script or 'script:' + rng.choice(TWIN[model])
        else:
            model, prompt = 'sandbox-image', rng.choice(self.pictures)

        body = {'model': model, 'prompt': '%s n%d.' % (prompt, number)}
        path = None

        if not video:
            body['size'] = '16x16'

        if rng.random() < 0.5:
            path = '/%d' % number
            body.update(webhook_url=self.world.sink.url(path),
                        webhook_events=['completed', 'failed'])

            chance = rng.random()

            if chance < 0.2:
                self.world.sink.script(path, 500, 200)
            elif chance < 0.4:
                self.world.sink.script(path, unhurried(0.7), 200)

        key = 'key-%d' % number if rng.random() < 0.5 else None
        order = Order(number, body['prompt'], video, path, key, body)
        self.books.orders[number - 1] = order
        return order

    def send(self, order, n, what='create'):
        """True when it has made a task, or has made one before."""

        # without Redis a key holds at one host

        order.host = n if order.host is None else order.host
        n = order.host if self.books.local else n

        r = self.world.hosts[n].alice.post(
            (VIDEOS if order.video else IMAGES) + '/async', order.body,
            {'Idempotency-Key': order.key} if order.key else None)

        # another request of its own may still be on its way

        good = (202, 409) if order.key else (202,)

        if not self.reply(what, r, good) or r.status == 409:
            return False

        self.books.accept(order, r['task_id'], n)
        return True

    def again(self, order, rng):
        """The answer is lost, or was a refusal: the same at any host."""

        for _ in range(20):
            self.stop.wait(rng.uniform(0.1, 1))

            try:
                if self.stop.is_set() or self.send(
                        order, rng.randrange(len(self.world.hosts)), 'again'):
                    return

            except (OSError, EOFError):
                pass

    def replay(self, n, rng):
        with self.books.lock:
            orders = [order for order in self.books.orders
                      if order and order.key and order.task]

        if orders:
            self.send(rng.choice(orders), n, 'replay')

    # polls

    def poll(self, n, rng, seen):
        task = self.books.pick(rng)
        client = self.world.hosts[n].alice

        if task is None:
            self.stop.wait(0.1)
            return

        what = rng.random()

        if what < 0.06:
            self.replay(n, rng)
            return

        at = time.monotonic()

        if what < 0.1:
            r = client.cancel(task)
            good = (200, 409)
        else:
            wait = {'Prefer': 'wait=2'} if rng.random() < 0.5 else None
            r = client.status(task, wait)
            good = (200,)

        if self.reply('poll', r, good) and r.status == 200:
            self.saw(r.json(), 'poll %d' % n, n, seen, at)

        self.stop.wait(rng.uniform(0, 0.1))

    def saw(self, document, by, n, seen, at):
        """What one client sees at one host does not go back; progress that
        dies with a host is judged when that is known."""

        task, sequence = document['task_id'], document['sequence']
        self.books.look(document, by)

        last, when = seen.get(task, (0, 0))

        if sequence < last:
            with self.books.lock:
                self.books.backward.append((when, at, n, by, task, last,
                                            sequence))

        if sequence > last:
            seen[task] = sequence, time.monotonic()

    def stream(self, n, rng, seen):
        task = self.books.pick(rng)

        if task is None:
            self.stop.wait(0.1)
            return

        at = time.monotonic()
        events = self.world.hosts[n].alice.events(task)

        if events.head.status != 200:
            length = int(events.head.header('content-length') or 0)
            events.head.body = events.connection.read_exactly(length)
            self.reply('stream', events.head, ())
            events.close()
            self.stop.wait(0.2)
            return

        last = 0

        try:
            with self.holds(events.connection):
                for ident, document in events:
                    if int(ident) <= last:
                        self.books.fault('stream goes back', task, last, ident)

                    if int(ident) != document['sequence']:
                        self.books.fault('id of an event', ident, document)

                    last = int(ident)
                    self.saw(document, 'stream %d' % n, n, seen, at)

                    if self.stop.is_set():
                        return

        finally:
            events.close()

    # lists

    def list(self, n, rng, seen):
        """The newest: all that was accepted before, as it has ended."""

        self.stop.wait(rng.uniform(0.5, 2))
        at = time.monotonic()

        with self.books.lock:
            known = {id: task.end and task.end['status']
                     for id, task in self.books.tasks.items()
                     if not task.local}

        r = self.world.hosts[n].alice.list(limit=100)

        if not self.reply('list', r, (200,)):
            return

        page = r.json()
        found = {d['task_id']: d for d in page['data']}

        if len(found) < len(page['data']):
            self.books.fault('listed twice', n, page)

        for d in page['data']:
            self.books.look(dict(d), 'list %d' % n)

        if not page['has_more']:
            missing = [id for id in known if id not in found]

            if missing:
                self.books.fault('not listed', n, missing[:3])

        # an end that Redis does not have yet is not listed yet

        with self.books.lock:
            self.books.behind += [
                (at, n, id, status, found[id]['status'])
                for id, status in known.items() if status and id in found
                and found[id]['status'] != status]

    # hubs

    def hub(self, n, rng, seen):
        """A client of a hub; it comes again when it is cut off."""

        host = self.world.hosts[n]

        with Hub(host.port(), host.secrets['alice'], TASKS_HUB) as hub, \
                self.holds(hub.ws.c):
            for _ in range(20):
                task = self.books.pick(rng)

                if task is None or self.stop.is_set():
                    self.stop.wait(0.1)
                    return

                r = hub.invoke('SubscribeToTask', task)

                if 'error' in r:
                    if 'not found' in r['error']:
                        self.books.fault('hub %d' % n, task, r)
                    return

                self.told(hub, task, 'hub %d' % n, n)

    def told(self, hub, task, by, n):
        begun = time.monotonic()

        while not self.stop.is_set():
            record = hub.record()

            if record == {'type': 6}:
                with self.books.lock:
                    self.books.silent.append((begun, time.monotonic(), n, task))
                continue

            if record.get('type') != 1:

                # a worker that leaves says so, and the client comes again

                raise Closed()

            name, arguments = record['target'], record['arguments']

            if arguments[0] == task and name in (
                    'TaskCompleted', 'TaskFailed', 'TaskCancelled'):

                with self.books.lock:
                    self.books.tasks[task].told.append(
                        (time.monotonic(), by, name, arguments[1:]))
                return


class Events:
    """Disturbances.  Which, where and how long follows from rng alone; a host
    has one at a time, and so has Redis."""

    KINDS = ('worker', 'host', 'reload', 'redis_kill', 'redis_stop',
             'redis_pause', 'redis_hang', 'clients', 'cut', 'stall', 'drop')

    # seconds; a lease lasts 10

    LENGTHS = (0.5, 2, 6, 13, 18)

    # a SIGTERM and a kill of Redis: it has to load its file then

    DOWN = 12

    def __init__(self, world, rng, kinds=None, longest=18, log=None):
        self.world = world
        self.books = world.books
        self.rng = rng
        self.kinds = kinds or self.KINDS
        self.lengths = [n for n in self.LENGTHS if n <= longest]
        self.log = log or (lambda text: None)
        self.left = []
        self.busy = {}              # what is disturbed, and by which thread

    def next(self):
        """All kinds come before one comes again; some do not wait for the
        end of the last one."""

        if not self.left:
            self.left = list(self.kinds)
            self.rng.shuffle(self.left)

        kind = self.left.pop()
        n = self.rng.randrange(len(self.world.hosts))
        length = self.rng.choice(self.lengths)
        wait = self.rng.random() < 0.6

        thread = self.begin(kind, n, length)

        if wait:
            thread.join()

    def begin(self, kind, n, length):
        place = 'redis' if kind in REDIS else n

        if place in self.busy:
            self.busy[place].join()

        self.log('%s, host %d, %.1f s' % (kind, n, length))

        thread = threading.Thread(target=self.disturb, daemon=True, args=(
            kind, n, length, self.rng.random()))
        self.busy[place] = thread
        thread.start()
        return thread

    def disturb(self, kind, n, length, chance):
        trouble = Trouble(kind, None if kind in REDIS else n)

        with self.books.lock:
            self.books.troubles.append(trouble)

        try:
            getattr(self, kind)(n, length, chance)

        except Exception:
            self.books.fault('trouble', kind, traceback.format_exc())

        trouble.over = time.monotonic()

    def short(self):
        """What outlasts a lease, in half a minute: a host is killed while
        another one is parted from Redis, then Redis hangs."""

        a, b, c = self.rng.sample(range(3), 3)
        long = [self.begin('host', a, 13)]
        self.pause(0.1, 0.5)
        long.append(self.begin(self.rng.choice(APART), b, 13))

        for kind in self.rng.sample(('worker', 'reload', 'worker'), 3):
            self.pause(1, 3)
            self.begin(kind, c, 0)

        for thread in long:
            thread.join()

        self.begin('redis_hang', c, 10.5)

        for kind, n, length in (('worker', a, 0), ('stall', b, 2),
                                ('cut', c, 3)):
            self.pause(0.5, 3)
            self.begin(kind, n, length)

    def pause(self, least=0.2, most=2.5):
        time.sleep(self.rng.uniform(least, most))

    def end(self):
        for thread in self.busy.values():
            thread.join()

    def worker(self, n, length, chance):
        host = self.world.hosts[n]
        workers = host.workers()
        host.kill_worker(workers[int(chance * len(workers))])

    def host(self, n, length, chance):
        host = self.world.hosts[n]
        host.kill_all()
        time.sleep(length)
        host.stderr.close()
        host.start()

    def reload(self, n, length, chance):
        self.world.hosts[n].reload()

    def redis_kill(self, n, length, chance):
        """Nobody listens, as at a host whose Redis has died."""

        hosts = range(len(self.world.hosts))
        self.world.redis.stop()

        for i in hosts:
            self.world.refuse(i)

        time.sleep(min(length, self.DOWN))
        self.world.redis.start()

        for i in hosts:
            self.world.admit(i)

    def redis_stop(self, n, length, chance):
        """The proxies still listen, as a balancer does."""

        self.world.redis.stop(signal.SIGTERM)
        time.sleep(min(length, self.DOWN))
        self.world.redis.start()

    def redis_pause(self, n, length, chance):
        self.world.redis.pause()
        time.sleep(length)
        self.world.redis.resume()

    def redis_hang(self, n, length, chance):
        """It is killed in the end, with all that it has not read yet."""

        self.world.redis.pause()
        time.sleep(length)
        self.world.redis.stop()
        self.world.redis.start()

    def clients(self, n, length, chance):
        self.world.redis.call('CLIENT', 'KILL', 'TYPE', 'normal')
        self.world.redis.call('CLIENT', 'KILL', 'TYPE', 'pubsub')

    def cut(self, n, length, chance):
        self.world.refuse(n)
        time.sleep(length)
        self.world.admit(n)

    def stall(self, n, length, chance):
        self.world.proxies[n].stall()
        time.sleep(length)
        self.world.proxies[n].moving.set()

    def drop(self, n, length, chance):
        """Nothing of what is sent arrives, and nobody tells."""

        self.world.proxies[n].mute()
        time.sleep(length)
        self.world.refuse(n)
        self.world.proxies[n].silent = False
        self.world.admit(n)
