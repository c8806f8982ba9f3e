
/*
 * Copyright (C) Conduit for nginx authors
 */


#include "conduit_url.h"
#include "tap.h"


static int url_try(const char *text, size_t len,
    const conduit_addr_policy_t *policy, conduit_url_t *url);
static void test_normal(void);
static void test_accepted(void);
static void test_refused(void);
static void test_long(void);
static void test_policy(void);
static void test_own(void);
static void test_classes(void);
static void test_addresses(void);
static void test_written(void);
static void test_origin(void);
static void test_cidr(void);
static void test_header_names(void);
static void test_header_values(void);


static const conduit_addr_policy_t  plain = { .plain = 1 };

static u_char  buf[CONDUIT_URL_BUF];


int
main(void)
{
    test_normal();
    test_accepted();
    test_refused();
    test_long();
    test_policy();
    test_own();
    test_classes();
    test_addresses();
    test_written();
    test_origin();
    test_cidr();
    test_header_names();
    test_header_values();

    return done_testing();
}


/* 1: accepted; 0: refused, with a reason */

static int
url_try(const char *text, size_t len, const conduit_addr_policy_t *policy,
    conduit_url_t *url)
{
    const char  *why;

    why = NULL;

    if (conduit_url_parse(url, buf, (const u_char *) text, len, &why)
        == CONDUIT_OK
        && conduit_url_check(url, policy, &why) == CONDUIT_OK)
    {
        return 1;
    }

    return (why == NULL) ? -1 : 0;
}


static void
test_normal(void)
{
    size_t         i;
    conduit_url_t  url;

    static const struct {
        const char  *text;
        const char  *normal;
        const char  *origin;
        const char  *host;
        const char  *path;
        unsigned     port;
    } urls[] = {
        { "HTTPS://EXAMPLE.com", "https://example.com/",
          "https://example.com", "example.com", "/", 443 },
        { "https://example.com.:443/A%2fb?Q=1",
          "https://example.com/A%2fb?Q=1", "https://example.com",
          "example.com", "/A%2fb?Q=1", 443 },
        { "http://example.com:/", "http://example.com/",
          "http://example.com", "example.com", "/", 80 },
        { "http://example.com:443/", "http://example.com:443/",
          "http://example.com:443", "example.com", "/", 443 },
        { "https://example.com:08443?x", "https://example.com:8443/?x",
          "https://example.com:8443", "example.com", "/?x", 8443 },
        { "http://[2606:4700::1111]:8080/h", "http://[2606:4700::1111]:8080/h",
          "http://[2606:4700::1111]:8080", "2606:4700::1111", "/h", 8080 },
        { "https://1.1.1.1.", "https://1.1.1.1/", "https://1.1.1.1",
          "1.1.1.1", "/", 443 },
        { "https://xn--bcher-kva.example/@:[]", "https://xn--bcher-kva.example"
          "/@:[]", "https://xn--bcher-kva.example", "xn--bcher-kva.example",
          "/@:[]", 443 }
    };

    for (i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
        ok(url_try(urls[i].text, strlen(urls[i].text), &plain, &url) == 1,
           "%s", urls[i].text);
        is_mem(url.text.data, url.text.len, urls[i].normal,
               strlen(urls[i].normal), "normalised");
        is_mem(url.origin.data, url.origin.len, urls[i].origin,
               strlen(urls[i].origin), "origin");
        is_mem(url.host.data, url.host.len, urls[i].host,
               strlen(urls[i].host), "host");
        is_mem(url.path.data, url.path.len, urls[i].path,
               strlen(urls[i].path), "path");
        is_num(url.port, urls[i].port, "port");
    }
}


static void
test_accepted(void)
{
    size_t         i;
    conduit_url_t  url;

    static const char  *urls[] = {
        "http://172.15.0.1/", "http://172.32.0.1/", "http://11.0.0.1/",
        "http://100.63.255.255/", "http://100.128.0.1/", "http://[2606::1]/",
        "http://127.0.0.1.nip.io/", "http://10-0-0-1.sslip.io/",
        "http://example.com/%0d%0aX-A:1", "http://example.com:1024/",
        "http://example.com:65535/", "http://a.b/", "http://0x7g.a0x/",
        "http://1.2.3.com/", "http://a_b.example.com/",
        "http://localhost.example.com/",
        "http://[::ffff:8.8.8.8]/", "http://[::ffff:0:8.8.8.8]/",
        "http://example.com?u=http://a@b"
    };

    for (i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
        is_num(url_try(urls[i], strlen(urls[i]), &plain, &url), 1,
               "accepted: %s", urls[i]);
    }
}


static void
test_refused(void)
{
    size_t         i;
    conduit_url_t  url;

    static const char  *urls[] = {
        "http://127.0.0.1/", "http://localhost/", "http://LOCALHOST/",
        "http://localhost./", "http://foo.localhost/", "http://127.1/",
        "http://2130706433/", "http://0x7f000001/", "http://0x7f.0.0.0x1/",
        "http://0177.0.0.1/", "http://00000000000000000000000000000177.1/",
        "http://0/", "http://0.0.0.0/",
        "http://169.254.169.254/latest/meta-data/", "http://2852039166/",
        "http://0xa9fea9fe/", "http://025177524776/",
        "http://169.254.169.254./", "http://256.256.256.256/",
        "http://4294967296/", "http://[::1]/", "http://[::]/",
        "http://[::ffff:127.0.0.1]/", "http://[::ffff:7f00:1]/",
        "http://[::127.0.0.1]/", "http://[::ffff:0:127.0.0.1]/",
        "http://[::ffff:0:7f00:1]/", "http://[64:ff9b::7f00:1]/",
        "http://[64:ff9b::a9fe:a9fe]/", "http://[64:ff9b:1::1]/",
        "http://[2002:7f00:1::]/", "http://[2002:a9fe:a9fe::]/",
        "http://[2001:0:1::1]/", "http://[fd00:ec2::254]/",
        "http://[fe80::1%25eth0]/", "http://[fe80::1%eth0]/",
        "http://[fe80::1]/", "http://[127.0.0.1]/", "http://[::1",
        "http://[::1]:80@example.com/", "http://10.0.0.1/",
        "http://192.168.1.1/", "http://172.16.0.1/", "http://172.31.255.255/",
        "http://100.64.0.1/", "http://100.100.100.200/", "http://192.0.0.192/",
        "http://168.63.129.16/", "http://198.18.0.1/", "http://192.88.99.1/",
        "http://240.0.0.1/", "http://224.0.0.1/", "http://255.255.255.255/",
        "http://192.0.2.1/", "http://198.51.100.1/", "http://203.0.113.1/",
        "http://metadata.google.internal/", "http://metadata/",
        "http://user:pw@example.com/", "http://example.com@127.0.0.1/",
        "http://@example.com/", "http://127.0.0.1\\@example.com/",
        "http://example.com\\@127.0.0.1/", "http://127.0.0.1#@example.com/",
        "http://127.0.0.1%2f@example.com/",
        "http://1.1.1.1 &@2.2.2.2# @3.3.3.3/", "http://exa mple.com/",
        " http://example.com/", "http://%31%32%37.0.0.1/",
        "http://127%2e0%2e0%2e1/", "http://%6c%6f%63alhost/",
        "http://loc%00alhost/", "http://\xef\xbc\x91.example.com/",
        "http://127\xe3\x80\x82" "0.0.1/", "http:/127.0.0.1/",
        "http:///127.0.0.1/", "http:127.0.0.1", "//127.0.0.1/",
        "127.0.0.1/", "file:///etc/passwd", "gopher://127.0.0.1:6379/_x",
        "dict://example.com/", "ftp://example.com/", "ldap://example.com/",
        "smb://example.com/", "ws://example.com/", "unix:/x", "",
        "http://example.com:0/", "http://example.com:65536/",
        "http://example.com:99999/", "http://example.com:80:80/",
        "http://example.com:a/", "http://example.com:22/",
        "http://example.com:25/", "http://example.com:6379/",
        "http://example.com:11211/", "http://example.com:2375/",
        "http://example.com:1023/", "http://example.com:27017/",
        "http://.example.com/", "http://a..b/", "http://-a.com/",
        "http://a-.com/", "http://a.com../", "http://example.com/\r\nX: 1",
        "http://exa\tmple.com/", "http://example.com/\x7f",
        "http://example.com/#", "http://a.0x1/", "http://a.0x/",
        "http://a.1/", "http://example/", "http://printer.local/",
        "http://x.home.arpa/", "http://home.arpa/", "http://x.onion/",
        "http://[1.2.3.4::]/", "http://[::1]x/", "http://[]/", "http://:80/",
        "http://./", "http://", "https://", "http://[fec0::1]/",
        "http://[100::1]/", "http://[2001:db8::1]/", "http://[3fff::1]/",
        "http://[5f00::1]/", "http://[ff02::1]/", "http://[fc00::1]/",
        "http://[2001:10::1]/", "http://[2001:20::1]/"
    };

    for (i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
        is_num(url_try(urls[i], strlen(urls[i]), &plain, &url), 0,
               "refused: %s", urls[i]);
    }

    is_num(url_try("http://a.b/\0", 12, &plain, &url), 0, "refused: NUL");
}


static void
test_long(void)
{
    char           text[2100];
    conduit_url_t  url;

    memset(text, 'a', sizeof(text));
    memcpy(text, "http://a.b/", 11);
    is_num(url_try(text, 2048, &plain, &url), 1, "2048 bytes");
    is_num(url.text.len, 2048, "all of them");
    is_num(url_try(text, 2049, &plain, &url), 0, "2049 bytes");

    text[10] = '?';
    is_num(url_try(text, 2048, &plain, &url), 1, "2048 bytes without a path");
    is_num(url.text.len, 2049, "the slash is added");

    memcpy(text, "http://a.", 9);
    memset(text + 9, 'x', 64);
    is_num(url_try(text, 9 + 63, &plain, &url), 1, "a label of 63");
    is_num(url_try(text, 9 + 64, &plain, &url), 0, "a label of 64");

    memset(text + 7, 'x', 300);
    text[7 + 63] = text[7 + 127] = text[7 + 191] = '.';
    is_num(url_try(text, 7 + 253, &plain, &url), 1, "a host of 253");
    is_num(url_try(text, 7 + 254, &plain, &url), 0, "a host of 254");
}


static void
test_policy(void)
{
    conduit_url_t          url;
    conduit_cidr_t         allow[6], deny[1];
    conduit_addr_policy_t  policy;

#define cidr(c, s)  conduit_cidr_parse(&(c), (const u_char *) (s), strlen(s))
#define try(s)      url_try(s, strlen(s), &policy, &url)

    memset(&policy, 0, sizeof(policy));

    is_num(try("http://example.com/"), 0, "plain is off");
    is_num(try("https://example.com/"), 1, "https is not");

    policy.plain = 1;
    policy.allow = allow;
    policy.nallow = 3;
    policy.deny = deny;
    policy.ndeny = 1;

    cidr(allow[0], "127.0.0.0/8");
    cidr(allow[1], "0.0.0.0/0");
    cidr(allow[2], "::/0");
    cidr(deny[0], "10.1.0.0/16");

    is_num(try("http://127.0.0.1:8080/"), 1, "an allowed loopback address");
    is_num(try("http://[::ffff:127.0.0.1]:8080/"), 1, "in its mapped form");
    is_num(try("http://localhost/"), 0, "names stay refused");
    is_num(try("http://127.1/"), 0, "odd forms stay refused");
    is_num(try("http://10.0.0.1/"), 1, "an allowed private address");
    is_num(try("http://10.1.0.1/"), 0, "deny comes first");
    is_num(try("http://[::ffff:10.1.0.1]/"), 0, "in its mapped form too");
    is_num(try("http://169.254.169.254/"), 0, "not by a wide entry: metadata");
    is_num(try("http://169.254.1.1/"), 0, "link-local");
    is_num(try("http://[fe80::1]/"), 0, "link-local, IPv6");
    is_num(try("http://168.63.129.16/"), 0, "wireserver");
    is_num(try("http://[fd00:ec2::254]/"), 0, "metadata, IPv6");
    is_num(try("http://[fd00:ec2::253]/"), 1, "its neighbour");

    cidr(allow[0], "169.254.0.0/16");
    cidr(allow[1], "fd00:ec2::254");
    cidr(allow[2], "fe80::/64");

    is_num(try("http://169.254.169.254/"), 1, "by an entry inside the block");
    is_num(try("http://[fd00:ec2::254]/"), 1, "by the address itself");
    is_num(try("http://[fe80::1]/"), 1, "by an entry inside fe80::/10");
    is_num(try("http://127.0.0.1/"), 0, "nothing else is opened");

    policy.nallow = 1;
    cidr(allow[0], "::/0");
    is_num(try("http://10.2.0.1/"), 0, "::/0 says nothing about IPv4");

    cidr(allow[0], "64:ff9b::/96");
    is_num(try("http://[64:ff9b::a02:1]/"), 1, "NAT64 opened");
    is_num(try("http://[64:ff9b::a01:1]/"), 0, "deny goes for what is inside");
    is_num(try("http://[64:ff9b::a9fe:a9fe]/"), 0, "so do metadata addresses");

    cidr(allow[0], "64:ff9b::a9fe:a9fe");
    is_num(try("http://[64:ff9b::a9fe:a9fe]/"), 1, "unless by the address");

    cidr(allow[0], "2002::/16");
    is_num(try("http://[2002:a02:1::]/"), 1, "6to4 opened");
    is_num(try("http://[2002:a01:1::]/"), 0, "with the same deny");

    policy.ndeny = 0;
    policy.nallow = 0;
    is_num(try("http://8.8.8.8/"), 1, "public addresses need no entry");

    policy.ndeny = 1;
    cidr(deny[0], "8.8.8.8");
    is_num(try("http://8.8.8.8/"), 0, "but may be denied");
    is_num(try("http://[::ffff:0:8.8.8.8]/"), 0, "in every form");
    is_num(try("http://8.8.8.9/"), 1, "one by one");

    policy.nallow = 1;
    cidr(allow[0], "8.8.8.8");
    is_num(try("http://8.8.8.8/"), 0, "allow does not win over deny");
}


static void
test_own(void)
{
    conduit_url_t          url;
    conduit_cidr_t         allow[1], own[1];
    conduit_listener_t     ls[2];
    conduit_addr_policy_t  policy;

    memset(&policy, 0, sizeof(policy));
    memset(ls, 0, sizeof(ls));

    cidr(own[0], "8.8.4.4");

    policy.plain = 1;
    policy.own = own;
    policy.nown = 1;

    is_num(try("http://8.8.4.4/"), 0, "an address of this machine");
    is_num(try("http://8.8.8.8/"), 1, "another one");

    policy.allow = allow;
    policy.nallow = 1;
    cidr(allow[0], "0.0.0.0/0");
    is_num(try("http://8.8.4.4/"), 1, "opened by allow");

    ls[0].port = 80;
    ls[0].any = 1;
    ls[1].port = 8080;
    conduit_addr_parse(ls[1].addr, (const u_char *) "127.0.0.1", 9);

    policy.listeners = ls;
    policy.nlisteners = 2;

    is_num(try("http://8.8.4.4/"), 0, "where nginx listens stays refused");
    is_num(try("http://127.0.0.1/"), 0, "by any own address");
    is_num(try("http://8.8.4.4:8080/"), 1, "another port");
    is_num(try("http://127.0.0.1:8080/"), 0, "a listener on one address");
    is_num(try("http://127.0.0.2:8080/"), 1, "its neighbour");
    is_num(try("http://8.8.8.8/"), 1, "a foreign address");

    is_num(try("http://0.0.0.0/"), 0, "the wildcard address is an own one");
    is_num(try("http://0.0.0.0:8080/"), 0, "that leads to loopback");
    is_num(try("http://0.0.0.0:8081/"), 1, "where nobody listens it is not");

    cidr(allow[0], "::");
    is_num(try("http://[::]/"), 0, "nor that of IPv6");
}


static void
test_classes(void)
{
    size_t  i;
    u_char  addr[CONDUIT_ADDR_LEN];

    static const char  *addrs[][2] = {
        { "8.8.8.8", "public" }, { "2606:4700::1111", "public" },
        { "10.255.255.255", "private" }, { "100.127.255.255", "private" },
        { "fdff::1", "private" }, { "127.255.0.1", "loopback" },
        { "::1", "loopback" }, { "::ffff:127.0.0.1", "loopback" },
        { "169.254.0.1", "link-local" }, { "fe80::1", "link-local" },
        { "febf::1", "link-local" }, { "0.1.2.3", "reserved" },
        { "::", "reserved" }, { "::2", "reserved" },
        { "192.0.0.1", "reserved" }, { "198.19.255.255", "reserved" },
        { "239.1.1.1", "reserved" }, { "2002::1", "reserved" },
        { "ff02::1", "reserved" }, { "168.63.129.16", "reserved" },
        { "::ffff:0:10.0.0.1", "private" }, { "2001:1ff::1", "public" },
        { "1fff::1", "reserved" }, { "4000::1", "reserved" }
    };

    for (i = 0; i < sizeof(addrs) / sizeof(addrs[0]); i++) {
        is_num(conduit_addr_parse(addr, (const u_char *) addrs[i][0],
                                  strlen(addrs[i][0])),
               CONDUIT_OK, "%s", addrs[i][0]);
        is_str(conduit_addr_class_word(conduit_addr_class(addr)), addrs[i][1],
               "its class");
    }
}


static void
test_addresses(void)
{
    size_t  i;
    u_char  addr[CONDUIT_ADDR_LEN];

    static const char  *good[] = {
        "0.0.0.0", "255.255.255.255", "::", "1::", "::1", "1:2:3:4:5:6:7:8",
        "1:2:3:4:5:6:7::", "::2:3:4:5:6:7:8", "1:2:3:4:5:6:1.2.3.4",
        "::1.2.3.4", "ABCD:ef01::"
    };

    static const char  *bad[] = {
        "", "1.2.3", "1.2.3.4.5", "1.2.3.256", "01.2.3.4", "1.2.3.04",
        "1.2.3.", ".1.2.3", "1.2.3.4 ", "1:2:3:4:5:6:7", ":", ":::", "1:",
        ":1", "1::2::3", "1:2:3:4:5:6:7:8:9", "1:2:3:4:5:6:7:8::",
        "::1:2:3:4:5:6:7:8", "12345::", "g::", "1:2:3:4:5:6:7:1.2.3.4",
        "::1.2.3", "::1.2.3.4:1", "::%1", "1:2:3:4:5:6:7:8:", "1..2"
    };

    for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        is_num(conduit_addr_parse(addr, (const u_char *) good[i],
                                  strlen(good[i])),
               CONDUIT_OK, "address: %s", good[i]);
    }

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        is_num(conduit_addr_parse(addr, (const u_char *) bad[i],
                                  strlen(bad[i])),
               CONDUIT_ERROR, "no address: \"%s\"", bad[i]);
    }

    conduit_addr_parse(addr, (const u_char *) "1:2::7:8", 8);
    is_mem(addr, 16, "\0\1\0\2\0\0\0\0\0\0\0\0\0\7\0\10", 16, "the gap");
    conduit_addr_parse(addr, (const u_char *) "10.1.2.3", 8);
    is_mem(addr, 16, "\0\0\0\0\0\0\0\0\0\0\xff\xff\12\1\2\3", 16, "IPv4");
}


/* RFC 5952, and IPv4 however it was written */

static void
test_written(void)
{
    size_t  i;
    u_char  addr[CONDUIT_ADDR_LEN], text[CONDUIT_ADDR_TEXT], *end;

    static const char  *addrs[][2] = {
        { "1.2.3.4", "1.2.3.4" }, { "255.255.255.255", "255.255.255.255" },
        { "::ffff:1.2.3.4", "1.2.3.4" }, { "::ffff:102:304", "1.2.3.4" },
        { "::", "::" }, { "::1", "::1" }, { "1::", "1::" },
        { "::1.2.3.4", "::102:304" }, { "2001:DB8::1", "2001:db8::1" },
        { "2001:0db8:0000:0000:0000:0000:0000:0001", "2001:db8::1" },
        { "2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1" },
        { "2001:0:0:1:0:0:0:1", "2001:0:0:1::1" },
        { "2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1" },
        { "0:0:1::", "0:0:1::" }, { "0:1:0:0:0:1:0:0", "0:1::1:0:0" },
        { "fe80::abcd:10:0", "fe80::abcd:10:0" },
        { "::ffff:0:1.2.3.4", "::ffff:0:102:304" },
        { "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
          "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff" }
    };

    for (i = 0; i < sizeof(addrs) / sizeof(addrs[0]); i++) {
        conduit_addr_parse(addr, (const u_char *) addrs[i][0],
                           strlen(addrs[i][0]));
        end = conduit_addr_write(text, addr);
        is_mem(text, end - text, addrs[i][1], strlen(addrs[i][1]), "%s",
               addrs[i][0]);
    }
}


static void
test_origin(void)
{
    size_t         i;
    u_char         text[CONDUIT_ORIGIN_MAX], *end;
    char           longest[CONDUIT_URL_MAX];
    conduit_url_t  url;

    static const char  *urls[][2] = {
        { "https://Example.COM", "https://example.com" },
        { "https://example.com.:443/a?b", "https://example.com" },
        { "http://example.com:80/", "http://example.com" },
        { "http://example.com:443/", "http://example.com:443" },
        { "https://example.com:08443", "https://example.com:8443" },
        { "http://8.8.8.8/", "http://8.8.8.8" },
        { "http://[::ffff:8.8.8.8]:8080/", "http://8.8.8.8:8080" },
        { "http://[::FFFF:808:808]/", "http://8.8.8.8" },
        { "https://[2606:4700:0:0::1111]/", "https://[2606:4700::1111]" },
        { "https://[2606:4700::1111]:8443/", "https://[2606:4700::1111]:8443" }
    };

    for (i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
        ok(url_try(urls[i][0], strlen(urls[i][0]), &plain, &url) == 1, "%s",
           urls[i][0]);
        end = conduit_url_origin(text, &url);
        is_mem(text, end - text, urls[i][1], strlen(urls[i][1]),
               "its receiver");
    }

    memcpy(longest, "https://", 8);
    memset(longest + 8, 'x', 253);
    longest[8 + 63] = longest[8 + 127] = longest[8 + 191] = '.';
    memcpy(longest + 8 + 253, ":65535", 6);

    ok(url_try(longest, 8 + 253 + 6, &plain, &url) == 1, "the longest");
    end = conduit_url_origin(text, &url);
    is_num(end - text, CONDUIT_ORIGIN_MAX, "fits");
}


static void
test_cidr(void)
{
    size_t          i;
    conduit_cidr_t  c;

    static const char  *bad[] = {
        "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/08", "10.0.0.1/8", "fe80::/129",
        "fe80::1/64", "/8", "10.0.0.0/8/8", "10.0.0.0/-1", "", "10/8"
    };

    ok(cidr(c, "10.0.0.0/8") == CONDUIT_OK && c.bits == 104, "10.0.0.0/8");
    ok(cidr(c, "0.0.0.0/0") == CONDUIT_OK && c.bits == 96, "0.0.0.0/0");
    ok(cidr(c, "10.0.0.1") == CONDUIT_OK && c.bits == 128, "one address");
    ok(cidr(c, "fe80::/10") == CONDUIT_OK && c.bits == 10, "fe80::/10");
    ok(cidr(c, "::/0") == CONDUIT_OK && c.bits == 0, "::/0");

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        is_num(cidr(c, bad[i]), CONDUIT_ERROR, "no CIDR: \"%s\"", bad[i]);
    }
}


static void
test_header_names(void)
{
    char         text[66];
    size_t       i;
    const char  *why;

#define name(s)  conduit_webhook_header_name((const u_char *) (s),            \
                                             strlen(s), &why)

    static const char  *good[] = {
        "Authorization", "X-Api-Key", "x_y.z~", "Accept", "X-Custom-Webhook",
        "Hosts", "Content-Language", "x-msx", "!#$%&'*+-.^_`|~"
    };

    static const char  *bad[] = {
        "", "X Y", "X:Y", "\r\nFoo", "X\xc3\xa4", "X\x01", "(x)", "Host",
        "HOST", "Content-Length", "Content-Type", "Content-Encoding",
        "Transfer-Encoding", "TE", "Trailer", "Trailers", "Connection",
        "Keep-Alive", "Upgrade", "Expect", "Proxy-Authorization", "Cookie",
        "Set-Cookie", "Via", "Forwarded", "X-Forwarded-For", "X-Real-IP",
        "Accept-Encoding", "Date", "User-Agent", "Webhook-Signature",
        "webhook-id", "X-Webhook-Type", "X-HTTP-Method-Override",
        "X-Method-Override", "Sec-Fetch-Mode", "X-Amz-Date", "x-amzn-x",
        "X-Goog-Api-Key", "X-Google-Real-IP", "X-GFE-x", "X-Azure-Ref",
        "X-MS-Version", "X-FD-HealthProbe", "Metadata", "Metadata-Flavor",
        "X-aws-ec2-metadata-token", "X-aws-ec2-metadata-token-ttl-seconds",
        "Idempotency-Key", ":path"
    };

    for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        is_num(name(good[i]), CONDUIT_OK, "may be set: %s", good[i]);
    }

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        is_num(name(bad[i]), CONDUIT_DECLINED, "may not: %s", bad[i]);
    }

    memset(text, 'x', sizeof(text));
    is_num(conduit_webhook_header_name((u_char *) text, 64, &why), CONDUIT_OK,
           "64 bytes");
    is_num(conduit_webhook_header_name((u_char *) text, 65, &why),
           CONDUIT_DECLINED, "65 bytes");
}


static void
test_header_values(void)
{
    char         text[1025];
    size_t       i;
    const char  *why;

    static const char  *good[] = { "", "x", "Bearer a.b-c", "a \t b", "~!\"" };

    static const char  *bad[] = {
        " x", "x ", "\tx", "x\t", " ", "a\r\nHost: evil", "a\nb", "a\rb",
        "a\x7f", "\xc3\xa4", "a\x01"
    };

#define value(s)  conduit_webhook_header_value((const u_char *) (s),          \
                                               strlen(s), &why)

    for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        is_num(value(good[i]), CONDUIT_OK, "a value: \"%s\"", good[i]);
    }

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        is_num(value(bad[i]), CONDUIT_DECLINED, "no value: \"%s\"", bad[i]);
    }

    is_num(conduit_webhook_header_value((const u_char *) "a\0b", 3, &why),
           CONDUIT_DECLINED, "NUL");

    memset(text, 'x', sizeof(text));
    is_num(conduit_webhook_header_value((u_char *) text, 1024, &why),
           CONDUIT_OK, "1024 bytes");
    is_num(conduit_webhook_header_value((u_char *) text, 1025, &why),
           CONDUIT_DECLINED, "1025 bytes");
}
