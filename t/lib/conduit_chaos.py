# Copyright (C) Conduit for nginx authors

"""Several hosts with one Redis, clients of all of them, everything that may go
wrong, and the books that tell whether anything was lost.

    world = World(t)            three hosts, their proxies, Redis, a provider
    load = Load(world, seed)    clients; what they were told is in world.books
    Events(world, rng)          one disturbance after the other
    Verdict(t, world)           what must hold, when all is quiet again
"""

import collections
import random

from conduit_hooks import *
from conduit_hub import *
from conduit_redis import *

HTTP_CONF = '''
    conduit_task_limit per_key=100000 total=100000;
    conduit_webhook_rate off;
    conduit_webhook_retry 200ms 400ms 800ms 2s 4s 8s 8s 8s;
'''

# are deliveries of a dead host taken over by others?

TAKEOVER = True

# its limits tell whether the counts are right at the end

COUNTED = {'carol': 'tasks 5; connections 4;'}

SANDBOXES = ('sandbox:duration=50ms', 'sandbox:duration=400ms',
             'sandbox:duration=2s', 'sandbox:duration=6s',
             'sandbox:duration=100ms sandbox:error=provider_error')
SCRIPTS = ('ok', 'quick', 'steps', 'steps', 'slow', 'slow', 'failed',
           '503-once')

# members of a document that stay what they are once it has ended

ENDED = ('status', 'sequence', 'completed_at', 'result', 'error',
         'error_code', 'progress', 'created_at', 'model', 'metadata')


def end_of(document):
    return {name: document.get(name) for name in ENDED}


class Task:
    """What is known of an accepted task."""

    def __init__(self, id, at, prompt, video, path):
        self.id = id
        self.at = at
        self.prompt = prompt
        self.video = video
        self.path = path            # of its webhook, or None
        self.end = None             # what was seen first
        self.seen = None            # when, and by whom
        self.held = None            # when it was seen to be processing


class Trouble:
    """A disturbance: from and to are times of the monotonic clock."""

    def __init__(self, kind, host=None):
        self.kind = kind
        self.host = host
        self.begun = time.monotonic()
        self.over = None

    def near(self, first, last):
        return (self.begun <= last
                and (self.over is None or self.over >= first))

    def __repr__(self):
        return '%s %s %.2f..%s' % (self.kind, self.host, self.begun,
                                   self.over and '%.2f' % self.over)


class Books:
    def __init__(self):
        self.lock = threading.Lock()
        self.tasks = {}
        self.faults = []
        self.troubles = []
        self.replies = collections.Counter()

    def fault(self, *what):
        with self.lock:
            self.faults.append((round(time.monotonic(), 2),) + what)

    def accept(self, task):
        with self.lock:
            self.tasks[task.id] = task

    def pick(self, rng):
        with self.lock:
            known = list(self.tasks)

        if not known:
            return None

        return rng.choice(known[-60:] if rng.random() < 0.8 else known)

    def look(self, document, by):
        """A document as somebody has got it."""

        task = self.tasks.get(document['task_id'])

        if task is None:
            return

        if document['status'] == 'processing' and task.held is None:
            task.held = time.monotonic()

        if document['status'] not in FINAL:
            return

        end = end_of(document)

        with self.lock:
            if task.end is None:
                task.end = end
                task.seen = time.monotonic(), by
                return

        if task.end != end:
            self.fault('another end', task.id, task.seen, task.end, by, end)

    def near(self, first, last, kinds=None):
        return [trouble for trouble in self.troubles
                if trouble.near(first, last)
                and (kinds is None or trouble.kind in kinds)]


class World:
    """Hosts, each with a proxy of its own between it and Redis."""

    def __init__(self, t, hosts=3):
        self.t = t
        self.books = Books()
        self.provider = Provider().start()
        self.provider.script('slow', poll=[
            {'state': 'processing', 'progress': 10, 'times': 25},
            {'state': 'completed', 'progress': 100}])
        self.sink = Sink()
        self.redis = Redis(conf='appendonly yes\nappendfsync always\n')
        self.redis.start()
        self.proxies = []
        self.hosts = []

        for n in range(hosts):
            proxy = RedisProxy(self.redis)
            proxy.listen()
            self.proxies.append(proxy)
            self.hosts.append(self.host('abcdefgh'[n], proxy))

    def host(self, name, proxy):
        return make_host(Hooks, self.t, proxy, name,
                         self.hosts[0] if self.hosts else None,
                         http=HTTP_CONF + MEDIA, workers=2, keys=COUNTED,
                         provider=self.provider, providers=['videos'])

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

    def __init__(self, world, seed, rate):
        self.world = world
        self.books = world.books
        self.seed = seed
        self.rate = rate
        self.stop = threading.Event()
        self.number = 0
        self.threads = []

    def start(self):
        for n in range(len(self.world.hosts)):
            for what in (self.create, self.poll, self.poll, self.stream,
                         self.hub):
                rng = random.Random('%s/%s/%s/%s' % (
                    self.seed, n, what.__name__, len(self.threads)))
                self.threads.append(threading.Thread(
                    target=self.loop, args=(what, n, rng), daemon=True))

        for thread in self.threads:
            thread.start()

    def end(self):
        self.stop.set()

        for thread in self.threads:
            thread.join(60)

    def loop(self, what, n, rng):
        while not self.stop.is_set():
            try:
                what(n, rng)

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

    def create(self, n, rng):
        self.stop.wait(rng.uniform(0, 2 / self.rate))
        host = self.world.hosts[n]

        with self.books.lock:
            self.number += 1
            number = self.number

        video = rng.random() < 0.5
        prompt = ('script:%s n%d.' % (rng.choice(SCRIPTS), number)
                  if video else rng.choice(SANDBOXES))
        path, more = None, {}

        if rng.random() < 0.5:
            path = '/%d' % number
            more = {'webhook_url': self.world.sink.url(path),
                    'webhook_events': ['completed', 'failed']}

            if rng.random() < 0.2:
                self.world.sink.script(path, 500, 200)

        at = time.monotonic()

        if video:
            r = host.alice.video(prompt, 'sora-2', **more)
        else:
            r = host.alice.image(prompt, size='16x16', **more)

        if self.reply('create', r, (202,)):
            self.books.accept(Task(r['task_id'], at, prompt, video, path))

    def poll(self, n, rng):
        task = self.books.pick(rng)
        client = self.world.hosts[n].alice

        if task is None:
            self.stop.wait(0.1)
            return

        if rng.random() < 0.04:
            r = client.cancel(task)
            good = (200, 409)
        else:
            wait = {'Prefer': 'wait=2'} if rng.random() < 0.5 else None
            r = client.status(task, wait)
            good = (200,)

        if self.reply('poll', r, good) and r.status == 200:
            self.books.look(r.json(), 'poll %d' % n)

        self.stop.wait(rng.uniform(0, 0.1))

    def stream(self, n, rng):
        task = self.books.pick(rng)

        if task is None:
            self.stop.wait(0.1)
            return

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
            for ident, document in events:
                if int(ident) <= last:
                    self.books.fault('stream goes back', task, last, ident)

                last = int(ident)
                self.books.look(document, 'stream %d' % n)

                if self.stop.is_set():
                    return

        finally:
            events.close()

    def hub(self, n, rng):
        """A client of a hub; it comes again when it is cut off."""

        host = self.world.hosts[n]

        with Hub(host.port(), host.secrets['alice'], TASKS_HUB) as hub:
            for _ in range(20):
                task = self.books.pick(rng)

                if task is None or self.stop.is_set():
                    self.stop.wait(0.1)
                    return

                r = hub.invoke('SubscribeToTask', task)

                if 'error' in r:
                    if 'not found' in r['error']:
                        self.books.fault('hub', task, r)
                    return

                self.told(hub, task, 'hub %d' % n)

    def told(self, hub, task, by):
        while not self.stop.is_set():
            record = hub.next()

            if record.get('type') != 1:

                # a worker that leaves says so, and the client comes again

                raise Closed()

            name, arguments = record['target'], record['arguments']

            if arguments[0] == task and name in (
                    'TaskCompleted', 'TaskFailed', 'TaskCancelled'):
                self.ended(task, name, by)
                return

    def ended(self, id, name, by):
        """A hub tells the end in other words."""

        task = self.books.tasks[id]
        status = {'TaskCompleted': ('completed',),
                  'TaskFailed': ('failed', 'cancelled'),
                  'TaskCancelled': ('cancelled',)}[name]

        with self.books.lock:
            end = task.end

        if end is not None and end['status'] not in status:
            self.books.fault('another end', id, task.seen, end, by, name)


class Events:
    """One disturbance after the other, in random order."""

    KINDS = ('worker', 'host', 'reload', 'redis_kill', 'redis_stop',
             'redis_pause', 'clients', 'cut', 'stall', 'drop')

    def __init__(self, world, rng, kinds=None, longest=13, log=None):
        self.world = world
        self.books = world.books
        self.rng = rng
        self.kinds = kinds or self.KINDS
        self.lengths = [n for n in (0.5, 2, 6, 13) if n <= longest]
        self.log = log or (lambda text: None)
        self.left = []

    def next(self):
        """All kinds come before one comes again."""

        if not self.left:
            self.left = list(self.kinds)
            self.rng.shuffle(self.left)

        kind = self.left.pop()
        n = self.rng.randrange(len(self.world.hosts))
        length = self.rng.choice(self.lengths)

        self.log('%s, host %d, %.1f s' % (kind, n, length))

        trouble = Trouble(kind, n)
        self.books.troubles.append(trouble)
        getattr(self, kind)(n, length)
        trouble.over = time.monotonic()

    def pause(self):
        time.sleep(self.rng.uniform(0.2, 2.5))

    def worker(self, n, length):
        host = self.world.hosts[n]
        host.kill_worker(self.rng.choice(host.workers()))

    def host(self, n, length):
        host = self.world.hosts[n]
        host.kill_all()
        time.sleep(length)
        host.stderr.close()
        host.start()

    def reload(self, n, length):
        self.world.hosts[n].reload()

    def redis_kill(self, n, length):
        self.world.redis.stop()
        time.sleep(min(length, 6))
        self.world.redis.start()

    def redis_stop(self, n, length):
        self.world.redis.stop(signal.SIGTERM)
        time.sleep(min(length, 6))
        self.world.redis.start()

    def redis_pause(self, n, length):
        self.world.redis.pause()
        time.sleep(length)
        self.world.redis.resume()

    def clients(self, n, length):
        self.world.redis.call('CLIENT', 'KILL', 'TYPE', 'normal')
        self.world.redis.call('CLIENT', 'KILL', 'TYPE', 'pubsub')

    def cut(self, n, length):
        self.world.proxies[n].cut()
        time.sleep(length)
        self.world.proxies[n].heal()

    def stall(self, n, length):
        self.world.proxies[n].stall()
        time.sleep(length)
        self.world.proxies[n].heal()

    def drop(self, n, length):
        """Nothing of what is sent arrives, and nobody tells."""

        self.world.proxies[n].mute()
        time.sleep(length)
        self.world.proxies[n].cut()
        self.world.proxies[n].heal()


class Verdict:
    """All is quiet: what has become of everything?"""

    def __init__(self, t, world):
        self.t = t
        self.world = world
        self.books = world.books
        self.tasks = list(world.books.tasks.values())

    def check(self):
        self.quiet()
        self.ends()
        self.hooks()
        self.submits()
        self.lists()
        self.counts()

    def quiet(self):
        for host in self.world.hosts:
            wait_for(lambda: self.world.healthy(host), 30 * SLOW, 'health')

    def poll(self, host, task):
        """The document once it has ended; 503 is no answer."""

        end = time.monotonic() + 60 * SLOW
        r = None

        while time.monotonic() < end:
            try:
                r = host.alice.status(task.id, {'Prefer': 'wait=5'})

                if r.status == 200 and r['status'] in FINAL:
                    return r.json()

                if r.status == 404:
                    break

            except (OSError, EOFError) as e:
                r = e

            time.sleep(0.05)

        return r

    def ends(self):
        late = []

        for n, host in enumerate(self.world.hosts):
            got = parallel(lambda task: self.poll(host, task), self.tasks, 8)

            for task, document in zip(self.tasks, got):
                if isinstance(document, dict):
                    self.books.look(document, 'end %d' % n)
                else:
                    late.append((n, task.id, task.prompt, document
                                 and getattr(document, 'body', document)))

        self.t.eq(late[:3], [], 'all %d accepted tasks have ended, on every '
                  'host' % len(self.tasks))
        self.t.eq(self.books.faults[:3], [], 'everybody has seen the same') \
            or self.t.diag('%d faults' % len(self.books.faults))

    def hooks(self):
        """Each at least once, with one id; again only after trouble."""

        sink = self.world.sink
        want = [task for task in self.tasks
                if task.path and task.end and task.end['status'] != 'cancelled']
        missing = []

        def came():
            missing[:] = [task.id for task in want if not any(
                hit.answered_with == 200 for hit in sink.hits(task.path))
                and (TAKEOVER or not self.books.near(
                    task.at, time.monotonic(), ('host',)))]
            return not missing

        try:
            wait_for(came, 45 * SLOW, 'all webhooks', pause=0.2)

        except TimeoutError:
            pass

        self.t.eq(missing[:3], [], 'all %d webhooks came' % len(want))

        wrong, again = [], []

        for task in want:
            hits = sink.hits(task.path)

            if len({hit.id for hit in hits}) > 1 \
                    or any(hit.json()['status'] != task.end['status']
                           for hit in hits):
                wrong.append((task.id, task.end, hits))

            good = [hit for hit in hits if hit.answered_with == 200]

            for one, two in zip(good, good[1:]):
                if not self.books.near(one.at - 1, two.at):
                    again.append((task.id, one, two))

        self.t.eq(wrong[:2], [], 'they tell the end that was seen')
        self.t.eq(again[:2], [], 'and come again only after trouble')

    def submits(self):
        """A job that is known to be there is not submitted again."""

        twice, extra = [], 0

        for task in self.tasks:
            if not task.video:
                continue

            made = [r for r in self.world.provider.select('submit',
                                                          task.prompt)
                    if r.status < 300]

            for one, two in zip(made, made[1:]):
                extra += 1
                known = task.held is not None and task.held < two.time

                # its host may have died when Redis did not know of it yet

                lost = (self.books.near(one.time, two.time, ('host',))
                        and self.books.near(one.time, two.time, (
                            'redis_kill', 'redis_stop', 'redis_pause', 'cut',
                            'stall', 'drop')))

                if (known and not lost) or not self.books.near(
                        one.time - 1, two.time):
                    twice.append((task.id, task.prompt, task.held, one.time,
                                  two.time,
                                  self.books.near(one.time - 1, two.time)))

        self.t.eq(twice[:2], [], 'no job is submitted twice') \
            or self.t.diag('%d of %d' % (len(twice), len(self.tasks)))
        self.t.diag('%d jobs were submitted again' % extra)

    def listed(self, host):
        """Ids and states of all tasks, newest first."""

        found, after = [], None

        while True:
            query = dict({'limit': 100}, **({'after': after} if after else {}))
            r = host.alice.list(**query)

            if r.status != 200:
                return r

            page = r.json()
            found += [(d['task_id'], d['status']) for d in page['data']]

            if not page.get('has_more'):
                return found

            after = page['data'][-1]['task_id']

    def lists(self):
        want = {(task.id, task.end['status']) for task in self.tasks
                if task.end}

        def all_of_them():
            lists = [self.listed(host) for host in self.world.hosts]
            good = (all(isinstance(one, list) for one in lists)
                    and all(one == lists[0] for one in lists)
                    and want <= set(lists[0]))
            return good or self.note(lists)

        try:
            wait_for(all_of_them, 30 * SLOW, 'lists', pause=0.5)
            self.t.ok(True, 'all hosts list the same')

        except TimeoutError:
            lists = self.last
            self.t.ok(False, 'all hosts list the same')
            self.t.diag([len(one) if isinstance(one, list) else one
                         for one in lists])
            for one in lists:
                if isinstance(one, list):
                    self.t.diag('missing %r' % list(want - set(one))[:3])
                    self.t.diag('other order %s, more %r' % (
                        one != lists[0], [item for item in one if item
                                          not in lists[0]][:3]))

    def note(self, lists):
        self.last = lists
        return False

    def counts(self):
        left = []

        def none():
            left[:] = [
                (n, name) for n, host in enumerate(self.world.hosts)
                for name, labels in (
                    ('conduit_tasks', {'status': 'pending'}),
                    ('conduit_tasks', {'status': 'processing'}),
                    ('conduit_provider_tasks_running', {}),
                    ('conduit_provider_tasks_waiting', {}),
                    ('conduit_hub_connections', {}))
                if host.metric(name, **labels)]
            return not left

        try:
            wait_for(none, 30 * SLOW, 'counts', pause=0.2)

        except TimeoutError:
            pass

        self.t.eq(left, [], 'nothing is counted any more')
        self.tasks_of_carol()
        self.hubs_of_carol()

    def tasks_of_carol(self):
        """All that she may have, and no more; made and ended anywhere."""

        hosts = self.world.hosts
        made = []

        for n in range(5):
            r = hosts[n % len(hosts)].carol.image('sandbox:duration=60s')
            made.append(r.status == 202 and r['task_id'] or r)

        self.t.ok(all(isinstance(one, str) for one in made),
                  'a key has its tasks') or self.t.diag(made)

        def refused():
            r = hosts[-1].carol.image('sandbox:duration=60s')
            if r.status == 202:
                made.append(r['task_id'])
            return r.status == 429

        wait_for(refused, 20, 'the limit to hold')

        for task in made:
            if isinstance(task, str):
                hosts[0].carol.cancel(task)

    def hubs_of_carol(self):
        hosts = self.world.hosts
        hubs = []

        try:
            for n in range(4):
                hubs.append(Hub(hosts[n % len(hosts)].port(),
                                hosts[0].secrets['carol'], TASKS_HUB))

            self.t.ok(True, 'and its connections')

        except (Refused, Closed, OSError) as e:
            self.t.ok(False, 'and its connections')
            self.t.diag(repr(e))

        finally:
            for hub in hubs:
                hub.close()
