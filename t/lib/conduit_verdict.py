# Copyright (C) Conduit for nginx authors

"""What must hold after chaos.

Something is done twice only if the host that did it first could not keep that:
it was killed in between, or was parted from Redis and has lost the task.  What
Redis has is never done again.
"""

from conduit_chaos import *

# seconds in which a host has told Redis what it has done, if it can

SOON = 2 * BUSY

# and in which a host that has lost a task may still send what it had begun

LATE = 2 * BUSY


class Verdict:
    """All is quiet: what has become of everything?"""

    def __init__(self, t, world):
        self.t = t
        self.world = world
        self.books = world.books
        self.tasks = list(world.books.tasks.values())

    def check(self):
        self.quiet()
        self.replays()
        self.ends()
        self.roamers()
        self.hooks()
        self.lists()
        self.counts()

        self.kept = self.world.ledger.read().tasks
        self.t.diag('%d commands of Redis tell of %d tasks' % (
            sum(len(values) for record in self.kept.values()
                for values in record.fields.values()), len(self.kept)))

        self.accepted()
        self.same()
        self.backward()
        self.behind()
        self.silent()
        self.lost()
        self.periods()
        self.rewound()
        self.deliveries()
        self.submits()
        self.owners()
        self.takeovers()

    def quiet(self):
        for host in self.world.hosts:
            wait_for(lambda: self.world.healthy(host), 30 * SLOW, 'health')

    def name(self, host):
        return self.world.NAMES[host]

    # what hosts tell

    def answer(self, send):
        """A reply that is not 503."""

        end = time.monotonic() + 60 * SLOW
        r = None

        while time.monotonic() < end:
            try:
                r = send()

                if r.status != 503:
                    break

            except (OSError, EOFError) as e:
                r = e

            time.sleep(0.05)

        return r

    def replays(self):
        """An Idempotency-Key leads to its task at every host; what nobody
        has an answer for is asked again, and gets one."""

        orders = [order for order in self.books.orders if order and order.key]
        wrong = []

        for n, host in enumerate(self.world.hosts):
            got = parallel(lambda order: self.answer(lambda: host.alice.post(
                (VIDEOS if order.video else IMAGES) + '/async', order.body,
                {'Idempotency-Key': order.key})), orders, 8)

            for order, r in zip(orders, got):
                if getattr(r, 'status', 0) != 202:
                    wrong.append((n, order.key, order.task, r))
                    continue

                if order.task is None:
                    self.books.accept(order, r['task_id'], n)

                if r['task_id'] != order.task:
                    wrong.append((n, order.key, order.task, r['task_id']))

        self.t.eq(wrong[:3], [], 'each of %d Idempotency-Keys leads to its '
                  'task, at every host' % len(orders))
        self.tasks = list(self.books.tasks.values())

    def poll(self, host, task):
        """The document once it has ended; 503 is no answer."""

        end = time.monotonic() + 60 * SLOW
        r = None

        while time.monotonic() < end:
            r = self.answer(lambda: host.alice.status(
                task.id, {'Prefer': 'wait=5'}))

            if getattr(r, 'status', 0) != 200:
                break

            if r['status'] in FINAL:
                return r.json()

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

    def roamers(self):
        """All that is followed has ended: every hub client is told so."""

        roamers = self.world.roamers

        try:
            wait_for(lambda: not roamers.missing(), 30 * SLOW, 'hub clients')

        except TimeoutError:
            pass

        self.t.eq([(by, host, tasks[:3]) for by, host, tasks
                   in roamers.missing()], [],
                  'clients of hubs are told all ends, wherever they go')
        roamers.end()

    def hooks(self):
        """Each at least once, with one id and one body for an end."""

        sink = self.world.sink
        want = [task for task in self.tasks
                if task.path and task.end and task.end['status'] != 'cancelled']
        missing = []

        def came():
            missing[:] = [task.id for task in want if not any(
                hit.answered_with == 200 for hit in sink.hits(task.path))]
            return not missing

        try:
            wait_for(came, 45 * SLOW, 'all webhooks', pause=0.2)

        except TimeoutError:
            pass

        self.t.eq(missing[:3], [], 'all %d webhooks came' % len(want))

        wrong = []

        for task in want:
            hits = sink.hits(task.path)

            # more ends than one are judged where all of them are known

            if len({(hit.id, hit.body) for hit in hits}) \
                    > len({hit.id for hit in hits}):
                wrong.append((task.id, task.ends, hits,
                              [hit.body for hit in hits][:2]))

        self.t.eq(wrong[:2], [], 'each time with the same body')

    def tells(self, event, end):
        names = ['task_id', 'status', 'sequence', 'model']
        names += [name for name in ('image_urls', 'video_url', 'error',
                                    'error_code',
                                    'generation_duration_seconds')
                  if event.get(name) is not None]

        return (event['timestamp'] == end['completed_at']
                and all(event[name] == end.get(name) for name in names))

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
            self.last = [self.listed(host) for host in self.world.hosts]
            return (all(isinstance(one, list) for one in self.last)
                    and all(one == self.last[0] for one in self.last)
                    and want <= set(self.last[0]))

        try:
            wait_for(all_of_them, 30 * SLOW, 'lists', pause=0.5)
            self.t.ok(True, 'all hosts list the same')

        except TimeoutError:
            self.t.ok(False, 'all hosts list the same')
            self.t.diag([len(one) if isinstance(one, list) else one
                         for one in self.last])
            for one in self.last:
                if isinstance(one, list):
                    self.t.diag('missing %r' % list(want - set(one))[:3])
                    self.t.diag('other order %s, more %r' % (
                        one != self.last[0], [item for item in one if item
                                              not in self.last[0]][:3]))

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

    # what Redis had when

    def accepted(self):
        """A task is in Redis before its 202, and one create makes one."""

        late = [task.id for task in self.tasks
                if task.id not in self.kept or not task.local
                and self.kept[task.id].fields['h'][0].low > task.at]
        self.t.eq(late[:3], [], 'a task was kept before it was accepted')

        made = collections.defaultdict(set)

        for id, record in self.kept.items():
            number = re.search(rb' n(\d+)\.', record.fields['q'][0].value)

            if number:
                made[int(number.group(1))].add(id)

        twice = [(self.books.orders[number - 1].key, ids)
                 for number, ids in made.items() if len(ids) > 1]
        self.t.eq(twice[:2], [], 'no create has made two tasks')

        if isinstance(self.last[0], list):
            more = {id for id, _ in self.last[0]} - set(self.kept)
            self.t.eq(list(more)[:3], [], 'nothing else is listed')

    def same(self):
        """Whoever told an end told the one that was kept.  Each host has an
        address of Redis of its own, so none may believe that it is gone for
        all, and end its tasks without it."""

        other, early = [], []

        for task in self.tasks:
            record = self.kept.get(task.id)
            kept = record and record.ended()

            if not kept or not task.end:
                continue

            if len({end[1:] for end in record.ends()}) > 1:
                other.append((task.id, 'kept', record.ends()))

            hits = self.world.sink.hits(task.path) if task.path else []
            claims = [(at, by, end == task.end) for at, by, end in task.ends]
            claims += [(told[0], told[1], self.hub_tells(told, task.end))
                       for told in task.told]
            claims += [(hit.at, 'hook %d' % self.world.sender(hit),
                        self.tells(hit.json(), task.end)) for hit in hits]

            other += [(task.id, at, by, record.holders('o'), record.ends(),
                       self.books.near(at - 15, at + 5, Events.KINDS))
                      for at, by, same in claims if not same]

            first = min(claims)

            if kept.low > first[0] and not task.local:
                early.append((task.id, first, kept, record.holders('o'),
                              self.books.near(first[0] - 15, first[0],
                                              Events.KINDS)))

        self.t.eq(other[:2], [], 'everybody was told the end that was kept') \
            or self.t.diag('%d of them' % len(other))
        self.t.eq(early[:2], [], 'when it had been kept')
        self.t.eq(self.books.faults[:3], [], 'nobody saw anything odd') \
            or self.t.diag('%d faults' % len(self.books.faults))

    def hub_tells(self, told, end):
        _, _, name, arguments = told

        if name == 'TaskCancelled':
            return end['status'] == 'cancelled'

        if name == 'TaskFailed':
            return end['status'] == 'failed' and arguments[0] == end['error']

        result = arguments[0]

        return (end['status'] == 'completed'
                and result['taskId'] == end['task_id']
                and result['model'] == end['model']
                and result['data'] == end['result']['data']
                and result['durationSeconds']
                == end['generation_duration_seconds'])

    def had(self, record, field, first, last):
        """Hosts that had it at any time between the two."""

        holders = record.holders(field)
        result = set()

        for i, (kept, name, _) in enumerate(holders):
            left = (holders[i + 1][0].high if i + 1 < len(holders)
                    else float('inf'))

            if kept.low <= last and left >= first:
                result.add(name)

        return result

    def backward(self):
        """Progress is not kept: it may go back when the host that had it, or
        the one that is asked, has died."""

        wrong = []

        for what in self.books.backward:
            when, at, n, by, id = what[:5]
            names = self.had(self.kept[id], 'o', when - 15, at)

            if not self.books.near(when - 15, at + 1, ('host',), n) and not any(
                    self.books.near(when - 15, at + 1, ('host',),
                                    self.world.NAMES.index(name))
                    for name in names):
                wrong.append(what)

        self.t.eq(wrong[:3], [], 'nobody saw a task go back') \
            or self.t.diag('%d times' % len(wrong))

    def behind(self):
        """What a list told of tasks whose ends Redis had, for as long as a
        host needs to hear of that."""

        wrong = [(what, self.kept[what[2]].ended(),
                  self.kept[what[2]].holders('o'),
                  self.books.near(what[0] - 15, what[0], Events.KINDS))
                 for what in self.books.behind
                 if self.kept[what[2]].ended().high + SOON < what[0]
                 and not self.books.parted(what[1], what[0] - SOON, what[0])]
        self.t.eq(wrong[:3], [], 'lists tell the ends that there are') \
            or self.t.diag('%d times' % len(wrong))

    def silent(self):
        """Nothing but pings from a hub long after the end, which a host reads
        again after 11 seconds."""

        wrong = []

        for begun, at, n, id in self.books.silent:
            kept = self.kept[id].ended()

            if kept and max(kept.high, begun) + TAKEOVER + SOON < at \
                    and not self.books.parted(n, at - TAKEOVER - SOON, at):
                wrong.append((begun, at, n, id, kept,
                              self.books.near(begun, at, Events.KINDS)))

        self.t.eq(wrong[:2], [], 'hubs tell all ends') \
            or self.t.diag('%d times' % len(wrong))

    def lost(self):
        """A session that a stateful client has not found again."""

        wrong = [what for what in self.books.lost
                 if what[2] - what[1] < 10
                 and not self.books.near(what[0] - 1, what[2],
                                         ('host', 'worker', 'reload'), what[3])
                 and not any(self.books.parted(n, what[1], what[2])
                             for n in what[3:])]
        self.t.eq(wrong[:2], [], 'sessions are lost with hosts only') \
            or self.t.diag('%d of %d' % (len(wrong), len(self.books.lost)))

    def periods(self):
        """Who follows all tasks is told of each that ends meanwhile."""

        wrong = []
        local = {task.id for task in self.tasks if task.local}

        for begun, at, n, by, told in self.books.periods:
            if self.books.parted(n, at - TAKEOVER - SOON, at):
                continue

            for id, record in self.kept.items():
                kept = record.ended()

                # what ended without Redis may have been told before

                if kept and id in local:
                    continue

                if kept and begun < kept.low and id not in told \
                        and kept.high + TAKEOVER + SOON < at:
                    wrong.append((by, n, begun, at, id, kept,
                                  record.holders('o'),
                                  self.books.near(kept.low - 15, kept.high + 20,
                                                  Events.KINDS)))

        self.t.eq(wrong[:2], [], 'who follows all tasks misses no end') \
            or self.t.diag('%d of %d ends' % (len(wrong), sum(
                len(period[4]) for period in self.books.periods)))

    def rewound(self):
        """Progress goes back only if it has died with somebody."""

        def excused(when, at, by, id, *more):
            return (self.books.near(when - 15, at, ('host', 'worker'))
                    or any(kept.high >= when - 15 and kept.low <= at + SOON
                           for kept, _, _ in self.kept[id].holders('o')[1:]))

        wrong = [what for what in self.books.rewound if not excused(*what)]
        self.t.eq(wrong[:3], [], 'no hub told less than before') \
            or self.t.diag('%d times' % len(wrong))

    # what was done twice

    def excused(self, record, field, one, at, two, again):
        """Host one has done it at a time, and two does it again; Redis did
        not know."""

        soon = min(at + SOON, again)

        # it tried as long as it was parted from Redis

        for trouble in self.books.parted(one, at, soon):
            soon = max(soon, min(again, (trouble.over or again) + BACK + SOON))

        dead = self.books.killed(one, at - 0.1, soon, ('host',))
        hurt = self.books.killed(one, at - 0.1, soon)
        left = [name for kept, name, _ in record.holders(field)
                if kept.high >= at and kept.low <= again
                and name != self.name(one)]

        if one == two and not left:
            return bool(hurt)

        return bool(dead or hurt
                    or left and self.books.parted(one, at, soon))

    def deliveries(self):
        """What is confirmed in Redis is not sent again."""

        again, more = [], 0

        for task in self.tasks:
            if not task.path or task.id not in self.kept:
                continue

            record = self.kept[task.id]
            good = [hit for hit in self.world.sink.hits(task.path)
                    if hit.answered_with == 200]

            for one, two in zip(good, good[1:]):
                more += 1
                kept = record.confirmed(one.id)
                hosts = self.world.sender(one), self.world.sender(two)
                known = kept and kept.high < two.at

                # it has it from Redis, and somebody else confirms it then

                if known and hosts[0] != hosts[1]:
                    known = kept.high + LATE < two.at

                if known or not self.excused(record, 'p', hosts[0], one.at,
                                             hosts[1], two.at):
                    again.append((task.id, hosts, one, two, kept,
                                  record.holders('p'),
                                  self.books.near(one.at - 15, two.at,
                                                  Events.KINDS)))

        self.t.eq(again[:2], [], 'no webhook was delivered again in vain')
        self.t.diag('%d were delivered again' % more)

    def submits(self):
        """A job whose id is in Redis is not submitted again."""

        twice, more, keys = [], 0, []

        for task in self.tasks:
            if not task.video or task.id not in self.kept:
                continue

            record = self.kept[task.id]
            made = [r for r in self.world.provider.select('submit',
                                                          task.prompt)
                    if r.status < 300]
            sent = {r.headers.get('idempotency-key') for r in made}

            if task.order.body['model'] == 'sora-twin' \
                    and sent - {task.id}:
                keys.append((task.id, sent))

            # the provider has cut off the answer to the first one

            if 'lost-once' in task.prompt:
                made = made[1:]

            for one, two in zip(made, made[1:]):
                more += 1
                hosts = self.world.asker(one), self.world.asker(two)
                kept = record.knows(one.job.id)

                if kept and kept.high < two.time or not self.excused(
                        record, 'o', hosts[0], one.time, hosts[1], two.time):
                    twice.append((task.id, task.prompt, hosts, one.time,
                                  two.time, kept, record.holders('o'),
                                  self.books.near(one.time - 15, two.time,
                                                  Events.KINDS)))

        self.t.eq(twice[:2], [], 'no job is submitted twice') \
            or self.t.diag('%d of %d' % (len(twice), len(self.tasks)))
        self.t.eq(keys[:2], [], 'repeats have the key of the first submit')
        self.t.diag('%d jobs were submitted again' % more)

    def owners(self):
        """Only the host that has a task asks the provider for it."""

        wrong = []
        ids = {task.prompt: task.id for task in self.tasks if not task.local}

        for r in self.world.provider.select():
            if r.operation not in ('submit', 'poll') \
                    or ids.get(r.prompt) not in self.kept:
                continue

            host = self.world.asker(r)
            names = self.had(self.kept[ids[r.prompt]], 'o', r.time - LATE,
                             r.time)

            if self.name(host) not in names:
                wrong.append((ids[r.prompt], r.operation, host, r.time, names,
                              self.books.near(r.time - 15, r.time,
                                              Events.KINDS, host)))

        self.t.eq(wrong[:2], [], 'only who has a task works at it') \
            or self.t.diag('%d times' % len(wrong))

    # takeovers

    def clean(self, host, first, last):
        """Seconds between the two in which somebody could take over what the
        host had: Redis is there, and another host has it."""

        bad = [(trouble.begun, trouble.over + BACK + GRACE)
               for trouble in self.books.troubles if trouble.kind in REDIS]
        away = [[(trouble.begun, trouble.over + BACK + GRACE)
                 for trouble in self.books.troubles if trouble.host == other
                 and trouble.kind in APART + ('host',)]
                for other in range(len(self.world.hosts)) if other != host]
        step = 0.1
        good = 0

        for i in range(int((last - first) / step)):
            at = first + i * step

            def within(spans):
                return any(begin <= at <= end for begin, end in spans)

            good += not within(bad) and not all(map(within, away))

        return good * step

    def takeovers(self):
        """What a host had that was killed, or parted for as long."""

        late, longest, n = [], 0, 0
        now = time.monotonic()

        for trouble in self.books.troubles:
            if trouble.kind not in APART + ('host',):
                continue

            begun = trouble.begun
            until = now if trouble.kind == 'host' else trouble.over
            known = {}

            for id, record in self.kept.items():
                for field in 'op':
                    left = self.left(record, field, self.name(trouble.host),
                                     trouble, until)

                    if left is None:
                        continue

                    if left not in known:
                        known[left] = self.clean(trouble.host, begun, left)

                    n += 1
                    longest = max(longest, known[left])

                    if known[left] > TAKEOVER + 0.5:
                        late.append((id, field, trouble, left,
                                     record.holders(field),
                                     record.states()[-1]))

        self.t.eq(late[:2], [], 'what a host had is taken over in time') \
            or self.t.diag('%d of them' % len(late))
        self.t.diag('%d takeovers and deliveries, %.1f s at most' % (
            n, longest))

    def left(self, record, field, name, trouble, until):
        """When somebody else had what the host had when the trouble began;
        None if it had nothing, or has come to its end itself."""

        holders = record.holders(field)
        had = [i for i, (kept, _, _) in enumerate(holders)
               if kept.high < trouble.begun - 0.1]

        if not had or holders[had[-1]][1] != name:
            return None

        ended = record.ended()

        if field == 'o' and ended and ended.low < until:
            until = ended.low

            if until <= trouble.begun:
                return None

        rest = holders[had[-1] + 1:]

        if rest and rest[0][0].low < until:
            until = rest[0][0].low

        return until
