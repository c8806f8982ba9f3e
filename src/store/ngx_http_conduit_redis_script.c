
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <ngx_http_conduit_redis.h>


/*
 * The member p of a task: how many events there were, and who delivers what
 * there is to be delivered; nobody if all has ended.
 */

#define NGX_HTTP_CONDUIT_REDIS_COURIER                                        \
    "local function courier(p)\n"                                             \
    "    local n, o = string.match(p or '0 ', '^(%d+) (.*)$')\n"              \
    "    return tonumber(n), o\n"                                             \
    "end\n"


/*
 * COMMIT, keys: task, leases of its shard; arguments: sequence, status, mode
 * (own, foreign, retry, or rest: what is left to be done after the end), owner,
 * end of its lease, id, TTL in ms, how many of the following fields and values
 * tell an event (0 or 4), then those and the others.  The change is made if the
 * task is the caller's (mode own), has no newer state and has not ended; the
 * rest, if it has ended so, and the same end once more; an event that is there
 * already stays as it is.  What other hosts have to deliver stays theirs, and
 * so does what comes after it.  Returns the owner it had, who delivers, and the
 * number of events; or 0 (refused) or -1 (there is no such task).
 */

#define NGX_HTTP_CONDUIT_REDIS_COMMIT                                         \
    NGX_HTTP_CONDUIT_REDIS_COURIER                                            \
    "local e = tonumber(ARGV[8])\n"                                           \
    "local t = redis.call('HMGET', KEYS[1], 'h', 'o', 'p',\n"                 \
    "                     e > 0 and ARGV[9] or 'p')\n"                        \
    "if not t[1] then return -1 end\n"                                        \
    "local q, s = string.match(t[1], '^(%d+) (%d+) ')\n"                      \
    "q = tonumber(q)\n"                                                       \
    "local n = tonumber(ARGV[1])\n"                                           \
    "if q > n then return 0 end\n"                                            \
    "if tonumber(s) > 1 then\n"                                               \
    "    local same = (ARGV[3] == 'rest')\n"                                  \
    "    for i = 8, #ARGV - 1 do\n"                                           \
    "        if ARGV[i] == 'd' then\n"                                        \
    "            same = ARGV[i + 1] == redis.call('HGET', KEYS[1], 'd')\n"    \
    "        end\n"                                                           \
    "    end\n"                                                               \
    "    if ARGV[3] ~= 'retry' and (q ~= n or not same) then return 0 end\n"  \
    "elseif ARGV[3] == 'rest' or ARGV[3] == 'own' and t[2] ~= ARGV[4] then\n" \
    "    return 0\n"                                                          \
    "end\n"                                                                   \
    "local posted, p = courier(t[3])\n"                                       \
    "local fields = {unpack(ARGV, 9 + e)}\n"                                  \
    "if e > 0 and not t[4] then\n"                                            \
    "    fields = {unpack(ARGV, 9)}\n"                                        \
    "    posted = posted + 1\n"                                               \
    "    if p == '' then p = ARGV[4] end\n"                                   \
    "    fields[#fields + 1] = 'p'\n"                                         \
    "    fields[#fields + 1] = string.format('%d %s', posted, p)\n"           \
    "end\n"                                                                   \
    "redis.call('HSET', KEYS[1], 'o', ARGV[4], unpack(fields))\n"             \
    "if ARGV[3] == 'retry' then\n"                                            \
    "    redis.call('ZADD', KEYS[2], ARGV[5], ARGV[6])\n"                     \
    "    redis.call('PEXPIRE', KEYS[1], ARGV[7])\n"                           \
    "elseif tonumber(ARGV[2]) > 1 then\n"                                     \
    "    if p ~= ARGV[4] then\n"                                              \
    "        redis.call('ZREM', KEYS[2], ARGV[6])\n"                          \
    "    elseif t[2] ~= ARGV[4] or tonumber(s) > 1 then\n"                    \
    "        redis.call('ZADD', KEYS[2], ARGV[5], ARGV[6])\n"                 \
    "    end\n"                                                               \
    "end\n"                                                                   \
    "if p ~= '' and p ~= ARGV[4] and p == t[2] then\n"                        \
    "    redis.call('ZADD', KEYS[2], ARGV[5], '+' .. ARGV[6])\n"              \
    "end\n"                                                                   \
    "return {t[2], p, posted}\n"


/*
 * HOOK, keys: task, leases of its shard; arguments: who delivers, how many
 * events he knows of, whether any has not ended, end of his lease, id of the
 * task, TTL in ms or 0, "again" if it begins anew, then the fields and values
 * of the delivery.  What has ended does not begin otherwise, and what another
 * host delivers is only begun or confirmed.  Returns the number of events, who
 * delivers, whether the lease is apart from that of the task, and the task's
 * owner; or -2 (refused) or -1 (there is no such task).
 */

#define NGX_HTTP_CONDUIT_REDIS_HOOK                                           \
    NGX_HTTP_CONDUIT_REDIS_COURIER                                            \
    "local t = redis.call('HMGET', KEYS[1], 'h', 'o', 'p', ARGV[8])\n"        \
    "if not t[1] then return -1 end\n"                                        \
    "local posted, p = courier(t[3])\n"                                       \
    "local was = t[4] and tonumber(string.sub(t[4], 1, 1))\n"                 \
    "local state = tonumber(string.sub(ARGV[9], 1, 1))\n"                     \
    "local again = (ARGV[7] == 'again')\n"                                    \
    "if was and not again then\n"                                             \
    "    if was > 1 and state <= 1 then return -2 end\n"                      \
    "    if p ~= ARGV[1] and p ~= '' and state ~= 2 then return -2 end\n"     \
    "end\n"                                                                   \
    "local o, live = p, string.match(t[1], '^%d+ [01] ')\n"                   \
    "if not was or again then\n"                                              \
    "    posted = posted + 1\n"                                               \
    "end\n"                                                                   \
    "if state <= 1 and p == '' then o = ARGV[1] end\n"                        \
    "if p == ARGV[1] and ARGV[3] == '0' and posted <= tonumber(ARGV[2])\n"    \
    "then o = '' end\n"                                                       \
    "redis.call('HSET', KEYS[1], 'p', string.format('%d %s', posted, o),\n"   \
    "           unpack(ARGV, 8))\n"                                           \
    "if o == '' and p ~= '' then\n"                                           \
    "    if not live then\n"                                                  \
    "        redis.call('ZREM', KEYS[2], ARGV[5], '+' .. ARGV[5])\n"          \
    "    elseif t[2] ~= ARGV[1] then\n"                                       \
    "        redis.call('ZREM', KEYS[2], '+' .. ARGV[5])\n"                   \
    "    end\n"                                                               \
    "elseif o ~= '' and p == '' then\n"                                       \
    "    redis.call('ZADD', KEYS[2], ARGV[4],\n"                              \
    "               (t[2] == o and '' or '+') .. ARGV[5])\n"                  \
    "end\n"                                                                   \
    "if ARGV[6] ~= '0' and redis.call('PTTL', KEYS[1]) < tonumber(ARGV[6])\n" \
    "then redis.call('PEXPIRE', KEYS[1], ARGV[6]) end\n"                      \
    "return {posted, o, t[2] == o and 0 or 1, t[2]}\n"


/*
 * BEAT, keys: leases of a shard; arguments: length of a lease, how many tasks
 * to take over at most, owner, what stands before the id in the name of a
 * task, whether the leases have to be looked at because they may have run out,
 * then the members whose leases are renewed, a comma behind each (one argument,
 * as there may be many).  All by the clock of Redis.  Returns
 * members whose leases had run out, and their owners; with - in front those
 * that are not the owner's any more.  Tasks tell how often that has happened.
 */

#define NGX_HTTP_CONDUIT_REDIS_BEAT                                           \
    NGX_HTTP_CONDUIT_REDIS_COURIER                                            \
    "local t = redis.call('TIME')\n"                                          \
    "local now = t[1] * 1000 + math.floor(t[2] / 1000)\n"                     \
    "local till = now + ARGV[1]\n"                                            \
    "local a, out = {}, {}\n"                                                 \
    "for m in string.gmatch(ARGV[6], '[^,]+') do\n"                          \
    "    local o = ARGV[3]\n"                                                \
    "    if ARGV[5] == '1' then\n"                                            \
    "        local id = string.sub(m, -36)\n"                                 \
    "        local h = redis.call('HMGET', ARGV[4] .. id, 'o', 'p')\n"        \
    "        local _, p = courier(h[2])\n"                                    \
    "        if h[1] then o = (m == id) and h[1] or p end\n"                  \
    "    end\n"                                                               \
    "    if o == ARGV[3] then\n"                                              \
    "        a[#a + 1] = till\n"                                              \
    "        a[#a + 1] = m\n"                                                 \
    "    else\n"                                                              \
    "        out[#out + 1] = '-' .. m\n"                                      \
    "        out[#out + 1] = o\n"                                             \
    "    end\n"                                                               \
    "end\n"                                                                   \
    "if #a > 0 then redis.call('ZADD', KEYS[1], 'XX', unpack(a)) end\n"       \
    "if ARGV[2] == '0' then return out end\n"                                 \
    "local due = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now,\n"         \
    "                       'LIMIT', 0, ARGV[2])\n"                           \
    "for _, m in ipairs(due) do\n"                                            \
    "    local id = string.sub(m, -36)\n"                                     \
    "    local key = ARGV[4] .. id\n"                                         \
    "    local h = redis.call('HMGET', key, 'o', 'p', 'h')\n"                 \
    "    local posted, p = courier(h[2])\n"                                   \
    "    local o, f = h[1], {}\n"                                             \
    "    local live = string.match(h[3] or '', '^%d+ [01] ')\n"               \
    "    if m == id then\n"                                                   \
    "        if not live and (p == '' or p ~= o) then o = nil end\n"          \
    "        f = {'o', ARGV[3]}\n"                                            \
    "    else\n"                                                              \
    "        if o then o = (p ~= '') and p or nil end\n"                      \
    "    end\n"                                                               \
    "    if o then\n"                                                         \
    "        if p == o and p ~= '' then\n"                                    \
    "            f[#f + 1] = 'p'\n"                                           \
    "            f[#f + 1] = string.format('%d %s', posted, ARGV[3])\n"       \
    "            if m == id then\n"                                           \
    "                redis.call('ZREM', KEYS[1], '+' .. id)\n"                \
    "            end\n"                                                       \
    "        end\n"                                                           \
    "        redis.call('ZADD', KEYS[1], till, m)\n"                          \
    "        redis.call('HSET', key, unpack(f))\n"                            \
    "        if m == id then redis.call('HINCRBY', key, 'j', 1) end\n"        \
    "        out[#out + 1] = m\n"                                             \
    "        out[#out + 1] = o\n"                                             \
    "    else\n"                                                              \
    "        redis.call('ZREM', KEYS[1], m)\n"                                \
    "    end\n"                                                               \
    "end\n"                                                                   \
    "return out\n"


/*
 * CREATE, keys: idempotency record, task, leases, tasks of the key; arguments:
 * fingerprint, id, owner, length of a lease, TTL of the record and of the task
 * in ms, code, reply, number, what stands before the id in the name of a task,
 * then fields and values; without these it only looks.  A record whose create
 * has not ended, for which nobody waits and whose task is not there any more
 * counts for nothing.  Returns 1 (made), 0 (not used), or how it has been
 * used: what (0 mismatch, 1 ended, 2 waited for, 3 waited for by the caller
 * from now on), id, code, reply.
 */

#define NGX_HTTP_CONDUIT_REDIS_CREATE                                         \
    "local v = redis.call('HMGET', KEYS[1], 'f', 'i', 'c', 'b', 't')\n"       \
    "local t = redis.call('TIME')\n"                                          \
    "local now = t[1] * 1000 + math.floor(t[2] / 1000)\n"                     \
    "local till = now + ARGV[4]\n"                                            \
    "if v[1] then\n"                                                          \
    "    local held = tonumber(v[5]) > now\n"                                 \
    "    if v[3] ~= '0' or held\n"                                            \
    "       or redis.call('EXISTS', ARGV[10] .. v[2]) == 1\n"                 \
    "    then\n"                                                              \
    "        if v[1] ~= ARGV[1] then return {0, v[2], 0, ''} end\n"           \
    "        if v[3] ~= '0' then return {1, v[2], v[3], v[4]} end\n"          \
    "        if held then return {2, v[2], 0, ''} end\n"                      \
    "        redis.call('HSET', KEYS[1], 'o', ARGV[3], 't', till)\n"          \
    "        return {3, v[2], 0, ''}\n"                                       \
    "    end\n"                                                               \
    "end\n"                                                                   \
    "if #ARGV == 10 then return 0 end\n"                                      \
    "redis.call('HSET', KEYS[2], unpack(ARGV, 11))\n"                         \
    "redis.call('PEXPIRE', KEYS[2], ARGV[6])\n"                               \
    "redis.call('ZADD', KEYS[4], ARGV[9], ARGV[2])\n"                         \
    "redis.call('ZADD', KEYS[3], till, ARGV[2])\n"                            \
    "if ARGV[7] ~= '0' then till = 0 end\n"                                   \
    "redis.call('HSET', KEYS[1], 'f', ARGV[1], 'i', ARGV[2], 'c', ARGV[7],\n" \
    "           'b', ARGV[8], 'o', ARGV[3], 't', till)\n"                     \
    "redis.call('PEXPIRE', KEYS[1], ARGV[5])\n"                               \
    "return 1\n"


/*
 * SETTLE, key: idempotency record; arguments: owner, and one of: how long the
 * caller goes on waiting for the end, in ms; a word, and the create has come
 * to nothing; code and reply.  Nothing is done if somebody else waits.
 */

#define NGX_HTTP_CONDUIT_REDIS_SETTLE                                         \
    "local v = redis.call('HMGET', KEYS[1], 'o', 'c')\n"                      \
    "if v[1] ~= ARGV[1] or v[2] ~= '0' then return 0 end\n"                   \
    "local t = redis.call('TIME')\n"                                          \
    "local now = t[1] * 1000 + math.floor(t[2] / 1000)\n"                     \
    "if ARGV[3] then\n"                                                       \
    "    redis.call('HSET', KEYS[1], 'c', ARGV[2], 'b', ARGV[3], 't', 0)\n"   \
    "elseif ARGV[2] == 'none' then\n"                                         \
    "    redis.call('DEL', KEYS[1])\n"                                        \
    "else\n"                                                                  \
    "    redis.call('HSET', KEYS[1], 't', now + ARGV[2])\n"                   \
    "end\n"                                                                   \
    "return 1\n"


/*
 * PERMIT, key: permits of a key; arguments: length of the window in ms, how
 * many may be given in it, how many are wanted, in how many ms they count as
 * given.  Returns how many are given, or, negative, in how many ms one may be.
 */

#define NGX_HTTP_CONDUIT_REDIS_PERMIT                                         \
    "local t = redis.call('TIME')\n"                                          \
    "local now = t[1] * 1000 + math.floor(t[2] / 1000)\n"                     \
    "local width = math.ceil(ARGV[1] / 60)\n"                                 \
    "local slot = math.floor(now / width)\n"                                  \
    "local h = redis.call('HGETALL', KEYS[1])\n"                              \
    "local total, slots, counts = 0, {}, {}\n"                                \
    "for i = 1, #h, 2 do\n"                                                   \
    "    local s, n = tonumber(h[i]), tonumber(h[i + 1])\n"                   \
    "    if s < slot - 60 or (s - slot) * width > 15000 + 60 * width then\n"  \
    "        redis.call('HDEL', KEYS[1], h[i])\n"                             \
    "    else\n"                                                              \
    "        total = total + n\n"                                             \
    "        slots[#slots + 1] = s\n"                                         \
    "        counts[s] = n\n"                                                 \
    "    end\n"                                                               \
    "end\n"                                                                   \
    "local left = ARGV[2] - total\n"                                          \
    "if left > 0 then\n"                                                      \
    "    local n = math.min(left, tonumber(ARGV[3]))\n"                       \
    "    slot = math.floor((now + ARGV[4]) / width)\n"                        \
    "    redis.call('HINCRBY', KEYS[1], slot, n)\n"                           \
    "    redis.call('PEXPIRE', KEYS[1], 62 * width + 15000)\n"                \
    "    return n\n"                                                          \
    "end\n"                                                                   \
    "table.sort(slots)\n"                                                     \
    "for _, s in ipairs(slots) do\n"                                          \
    "    left = left + counts[s]\n"                                           \
    "    if left > 0 then return now - (s + 61) * width end\n"                \
    "end\n"                                                                   \
    "return -width\n"


/*
 * LEND, keys: task, leases of its shard; arguments: owner, the next one, id,
 * length of a lease, then fields and values.  What there is to be delivered
 * stays the owner's.  Returns 1, or 0: it is not the owner's.
 */

#define NGX_HTTP_CONDUIT_REDIS_LEND                                           \
    NGX_HTTP_CONDUIT_REDIS_COURIER                                            \
    "local h = redis.call('HMGET', KEYS[1], 'o', 'p')\n"                      \
    "if h[1] ~= ARGV[1] then return 0 end\n"                                  \
    "local _, p = courier(h[2])\n"                                            \
    "local t = redis.call('TIME')\n"                                          \
    "local till = t[1] * 1000 + math.floor(t[2] / 1000) + ARGV[4]\n"          \
    "redis.call('HSET', KEYS[1], 'o', ARGV[2], unpack(ARGV, 5))\n"            \
    "redis.call('ZADD', KEYS[2], till, ARGV[3])\n"                            \
    "if p == ARGV[1] then\n"                                                  \
    "    redis.call('ZADD', KEYS[2], till, '+' .. ARGV[3])\n"                 \
    "end\n"                                                                   \
    "return 1\n"


/*
 * KEEP, key: idempotency record; arguments: fingerprint, id, owner, TTL in ms,
 * code and reply.  One that is there stays.
 */

#define NGX_HTTP_CONDUIT_REDIS_KEEP                                           \
    "if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end\n"               \
    "redis.call('HSET', KEYS[1], 'f', ARGV[1], 'i', ARGV[2], 'c', ARGV[5],\n" \
    "           'b', ARGV[6], 'o', ARGV[3], 't', 0)\n"                        \
    "redis.call('PEXPIRE', KEYS[1], ARGV[4])\n"                               \
    "return 1\n"


/*
 * SWEEP, key: tasks of a key; argument: what stands before the id in the name
 * of a task.  Takes the oldest ids off whose tasks are not there any more, of
 * up to 1024; a group with one that is there ends that, and the first group is
 * then looked at one by one, so that an old task does not keep all others.
 */

#define NGX_HTTP_CONDUIT_REDIS_SWEEP                                          \
    "local z = redis.call('ZRANGE', KEYS[1], 0, 1023)\n"                      \
    "local gone, i = {}, 1\n"                                                 \
    "while i <= #z do\n"                                                      \
    "    local names = {}\n"                                                  \
    "    for j = i, math.min(i + 31, #z) do\n"                                \
    "        names[#names + 1] = ARGV[1] .. z[j]\n"                           \
    "    end\n"                                                               \
    "    if redis.call('EXISTS', unpack(names)) > 0 then break end\n"         \
    "    i = i + #names\n"                                                    \
    "end\n"                                                                   \
    "for j = 1, i - 1 do gone[j] = z[j] end\n"                                \
    "if i == 1 and #z > 32 then\n"                                            \
    "    for j = 1, 32 do\n"                                                  \
    "        if redis.call('EXISTS', ARGV[1] .. z[j]) == 0 then\n"            \
    "            gone[#gone + 1] = z[j]\n"                                    \
    "        end\n"                                                           \
    "    end\n"                                                               \
    "end\n"                                                                   \
    "if #gone > 0 then redis.call('ZREM', KEYS[1], unpack(gone)) end\n"       \
    "return #gone\n"


typedef struct {
    ngx_http_conduit_redis_t         *redis;
    ngx_uint_t                        script;
} ngx_http_conduit_redis_load_t;


/* a call by digest, with a copy of its arguments */

typedef struct {
    ngx_http_conduit_redis_t         *redis;
    ngx_uint_t                        script;
    ngx_conduit_redis_call_pt         handler;
    void                             *data;
    ngx_uint_t                        nargs;
    ngx_str_t                         args[1];
} ngx_http_conduit_redis_eval_t;


static ngx_str_t ngx_http_conduit_redis_text(ngx_uint_t script);
static void ngx_http_conduit_redis_load(ngx_http_conduit_redis_t *redis,
    ngx_uint_t script);
static void ngx_http_conduit_redis_loaded(void *data,
    ngx_conduit_redis_reply_t *reply);
static ngx_http_conduit_redis_eval_t *ngx_http_conduit_redis_eval(
    ngx_str_t *args, ngx_uint_t nargs, ngx_log_t *log);
static void ngx_http_conduit_redis_evaluated(void *data,
    ngx_conduit_redis_reply_t *reply);


static ngx_str_t
ngx_http_conduit_redis_text(ngx_uint_t script)
{
    ngx_str_t  text;

    switch (script) {

    case NGX_HTTP_CONDUIT_SCRIPT_COMMIT:
        ngx_str_set(&text, NGX_HTTP_CONDUIT_REDIS_COMMIT);
        break;

    case NGX_HTTP_CONDUIT_SCRIPT_HOOK:
        ngx_str_set(&text, NGX_HTTP_CONDUIT_REDIS_HOOK);
        break;

    case NGX_HTTP_CONDUIT_SCRIPT_BEAT:
        ngx_str_set(&text, NGX_HTTP_CONDUIT_REDIS_BEAT);
        break;

    case NGX_HTTP_CONDUIT_SCRIPT_CREATE:
        ngx_str_set(&text, NGX_HTTP_CONDUIT_REDIS_CREATE);
        break;

    case NGX_HTTP_CONDUIT_SCRIPT_SETTLE:
        ngx_str_set(&text, NGX_HTTP_CONDUIT_REDIS_SETTLE);
        break;

    case NGX_HTTP_CONDUIT_SCRIPT_PERMIT:
        ngx_str_set(&text, NGX_HTTP_CONDUIT_REDIS_PERMIT);
        break;

    case NGX_HTTP_CONDUIT_SCRIPT_LEND:
        ngx_str_set(&text, NGX_HTTP_CONDUIT_REDIS_LEND);
        break;

    case NGX_HTTP_CONDUIT_SCRIPT_KEEP:
        ngx_str_set(&text, NGX_HTTP_CONDUIT_REDIS_KEEP);
        break;

    default: /* NGX_HTTP_CONDUIT_SCRIPT_SWEEP */
        ngx_str_set(&text, NGX_HTTP_CONDUIT_REDIS_SWEEP);
    }

    return text;
}


/*
 * The text goes with the first call on a connection, then its digest does; and
 * the text once more if the server has forgotten it.
 */

ngx_int_t
ngx_http_conduit_redis_script(ngx_http_conduit_redis_t *redis,
    ngx_uint_t script, ngx_str_t *args, ngx_uint_t nargs,
    ngx_conduit_redis_call_pt handler, void *data)
{
    ngx_int_t                       rc;
    ngx_http_conduit_redis_eval_t  *eval;

    if (redis->sha[script].len == 0) {
        ngx_str_set(&args[0], "EVAL");
        args[1] = ngx_http_conduit_redis_text(script);

        ngx_http_conduit_redis_load(redis, script);

        return ngx_conduit_redis_call(&redis->calls, args, nargs, handler,
                                      data);
    }

    ngx_str_set(&args[0], "EVALSHA");
    args[1] = redis->sha[script];

    eval = ngx_http_conduit_redis_eval(args, nargs, redis->log);
    if (eval == NULL) {
        return NGX_ERROR;
    }

    eval->redis = redis;
    eval->script = script;
    eval->handler = handler;
    eval->data = data;

    rc = ngx_conduit_redis_call(&redis->calls, args, nargs,
                                ngx_http_conduit_redis_evaluated, eval);
    if (rc != NGX_OK) {
        ngx_free(eval);
    }

    return rc;
}


static ngx_http_conduit_redis_eval_t *
ngx_http_conduit_redis_eval(ngx_str_t *args, ngx_uint_t nargs, ngx_log_t *log)
{
    u_char                         *p;
    size_t                          len;
    ngx_uint_t                      i;
    ngx_http_conduit_redis_eval_t  *eval;

    len = 0;

    for (i = 2; i < nargs; i++) {
        len += args[i].len;
    }

    eval = ngx_alloc(sizeof(ngx_http_conduit_redis_eval_t)
                     + nargs * sizeof(ngx_str_t) + len, log);
    if (eval == NULL) {
        return NULL;
    }

    eval->nargs = nargs;
    p = (u_char *) &eval->args[nargs];

    for (i = 2; i < nargs; i++) {
        eval->args[i].data = p;
        eval->args[i].len = args[i].len;

        if (args[i].len) {
            p = ngx_cpymem(p, args[i].data, args[i].len);
        }
    }

    return eval;
}


static void
ngx_http_conduit_redis_evaluated(void *data, ngx_conduit_redis_reply_t *reply)
{
    ngx_http_conduit_redis_eval_t  *eval = data;

    ngx_str_t  text;

    text = ngx_conduit_redis_text(reply);

    if (ngx_conduit_redis_type(reply) == NGX_CONDUIT_REDIS_FAILED
        && text.len > 8 && ngx_strncmp(text.data, "NOSCRIPT", 8) == 0)
    {
        ngx_str_set(&eval->args[0], "EVAL");
        eval->args[1] = ngx_http_conduit_redis_text(eval->script);

        if (ngx_conduit_redis_call(&eval->redis->calls, eval->args,
                                   eval->nargs, eval->handler, eval->data)
            == NGX_OK)
        {
            ngx_free(eval);
            return;
        }
    }

    if (eval->handler) {
        eval->handler(eval->data, reply);
    }

    ngx_free(eval);
}


static void
ngx_http_conduit_redis_load(ngx_http_conduit_redis_t *redis,
    ngx_uint_t script)
{
    ngx_str_t                       args[3];
    ngx_http_conduit_redis_load_t  *load;

    load = ngx_alloc(sizeof(ngx_http_conduit_redis_load_t), redis->log);
    if (load == NULL) {
        return;
    }

    load->redis = redis;
    load->script = script;

    ngx_str_set(&args[0], "SCRIPT");
    ngx_str_set(&args[1], "LOAD");
    args[2] = ngx_http_conduit_redis_text(script);

    if (ngx_conduit_redis_call(&redis->calls, args, 3,
                               ngx_http_conduit_redis_loaded, load)
        != NGX_OK)
    {
        ngx_free(load);
    }
}


static void
ngx_http_conduit_redis_loaded(void *data, ngx_conduit_redis_reply_t *reply)
{
    ngx_http_conduit_redis_load_t  *load = data;

    ngx_str_t                  sha;
    ngx_uint_t                 script;
    ngx_http_conduit_redis_t  *redis;

    redis = load->redis;
    script = load->script;

    ngx_free(load);

    if (ngx_conduit_redis_type(reply) != NGX_CONDUIT_REDIS_STRING) {
        return;
    }

    sha = ngx_conduit_redis_text(reply);

    if (sha.len == 40 && redis->calls.up) {
        ngx_memcpy(redis->digests[script], sha.data, 40);
        redis->sha[script].data = redis->digests[script];
        redis->sha[script].len = 40;
    }
}
