# Copyright (C) Conduit for nginx authors

# webhook_url and webhook_headers of a create: every form in which an address
# inside, or a header of somebody else's, may be asked for.  What is accepted
# here is a task of a worker that nobody runs, so nothing is ever sent.

use strict;
use warnings;

use ConduitTest 'no_plan';

# what stands in an error for each rule

my %why = (
    public   => "must have a public host name",
    quad     => "must write an IPv4 address as four plain decimal numbers",
    address  => "must not have this address as its host",
    brackets => "must have a valid IPv6 address in the brackets",
    user     => "must not carry credentials",
    chars    => "must consist of visible ASCII characters other than",
    fragment => "must not have a fragment",
    host     => "must have a valid host name of ASCII letters, digits and",
    scheme   => 'must begin with \\\\"https://\\\\" or \\\\"http://\\\\"',
    port     => "must have an allowed port: 80, 443 or one above 1023 that",
    number   => "must have a number as its port",
    behind   => "must have nothing but a port behind the host",
    empty    => "must not be empty",
    long     => "must not be longer than 2048 bytes",
);

our @Refused = (
    (map { [$_, 'address'] } qw(
        http://127.0.0.1/ http://0.0.0.0/ http://127.255.255.254/
        http://169.254.169.254/latest/meta-data/ http://169.254.169.254./
        http://[::1]/ http://[::]/ http://[::ffff:127.0.0.1]/
        http://[::ffff:7f00:1]/ http://[::127.0.0.1]/ http://[::7f00:1]/
        http://[::ffff:0:127.0.0.1]/ http://[::ffff:0:7f00:1]/
        http://[64:ff9b::7f00:1]/ http://[64:ff9b::a9fe:a9fe]/
        http://[64:ff9b::127.0.0.1]/ http://[64:ff9b:1::1]/
        http://[2002:7f00:1::]/ http://[2002:a9fe:a9fe::]/
        http://[2001:0:7f00:1::1]/ http://[2001::]/ http://[fd00:ec2::254]/
        http://[fe80::1]/ http://[fec0::1]/ http://[fc00::1]/
        http://[100::1]/ http://[2001:10::1]/ http://[2001:20::1]/
        http://[2001:db8::1]/ http://[3fff::1]/ http://[5f00::1]/
        http://[ff02::1]/ http://10.0.0.1/ http://192.168.1.1/
        http://172.16.0.1/ http://172.31.255.255/ http://100.64.0.1/
        http://100.100.100.200/ http://192.0.0.192/ http://168.63.129.16/
        http://198.18.0.1/ http://198.19.255.255/ http://192.88.99.1/
        http://192.0.2.1/ http://198.51.100.1/ http://203.0.113.1/
        http://224.0.0.1/ http://240.0.0.1/ http://255.255.255.255/
    )),
    (map { [$_, 'public'] } qw(
        http://localhost/ http://LOCALHOST/ http://localhost./
        http://foo.localhost/ http://metadata.google.internal/
        http://metadata/ http://printer.local/ http://x.home.arpa/
        http://home.arpa/ http://x.onion/ http://intranet/
        http://x.LOCAL./
    )),
    (map { [$_, 'quad'] } qw(
        http://127.1/ http://2130706433/ http://0x7f000001/
        http://0x7f.0.0.0x1/ http://0177.0.0.1/
        http://00000000000000000000000000000177.1/ http://0/
        http://2852039166/ http://0xa9fea9fe/ http://025177524776/
        http://256.256.256.256/ http://4294967296/ http://a.0x1/ http://a.0x/
        http://a.1/ http://1.2.3.4.5/ http://127.0.0.01/
    )),
    (map { [$_, 'brackets'] } qw(
        http://[fe80::1%25eth0]/ http://[fe80::1%eth0]/ http://[127.0.0.1]/
        http://[::1 http://[]/ http://[::g]/ http://[1::2::3]/
    )),
    (map { [$_, 'user'] } qw(
        http://[::1]:80@example.com/ http://user:pw@example.com/
        http://user@example.com/ http://:@example.com/
        http://example.com@127.0.0.1/ http://127.0.0.1%2f@example.com/
        http://@example.com/
    )),
    (map { [$_, 'chars'] }
        'http://127.0.0.1\\@example.com/', 'http://example.com\\@127.0.0.1/',
        'http:\\\\example.com/',
        'http://1.1.1.1 &@2.2.2.2# @3.3.3.3/', 'http://exa mple.com/',
        ' http://example.com/', 'http://example.com/ ',
        "http://example.com/\r\nX: 1", "http://exa\tmple.com/",
        "http://example.com/\x7f", "http://loc\x01alhost/",
        "http://\xef\xbc\x91\xef\xbc\x92\xef\xbc\x97.\xef\xbc\x90.0.1/",
        "http://127\xe3\x80\x820\xe3\x80\x820\xe3\x80\x821/",
        "http://\xe2\x93\x9bocalhost/", "http://b\xc3\xbccher.example/",
        "http://example.com/\xc3\xa4"),
    (map { [$_, 'fragment'] } 'http://127.0.0.1#@example.com/',
        'http://example.com/#', 'http://example.com/#a', 'http://a.b#/'),
    (map { [$_, 'host'] } qw(
        http://%31%32%37.0.0.1/ http://127%2e0%2e0%2e1/
        http://%6c%6f%63alhost/ http://loc%00alhost/ http://example%2ecom/
        http:///127.0.0.1/ http://.example.com/ http://a..b/ http://-a.com/
        http://a-.com/ http://a.com../ http://./ http:// https://
        http://:80/ http://a.b;c/ http://a.b&c/ http://*.b/
        http://a.b'c/
    )),
    ['http://a.b,c/', 'host'],
    ['http://a.' . "x" x 64 . '/', 'host'],
    ['http://' . join('.', ("x" x 63) x 3, "x" x 62) . '/', 'host'],
    (map { [$_, 'scheme'] } qw(
        http:/127.0.0.1/ http:127.0.0.1 //127.0.0.1/ 127.0.0.1/ example.com
        file:///etc/passwd gopher://127.0.0.1:6379/_x dict://example.com/
        ftp://example.com/ ldap://example.com/ smb://example.com/
        ws://example.com/ wss://example.com/ unix:/x javascript:alert(1)
        httpx://example.com/ h http data:text/plain
        tftp://example.com/ https//example.com/
    )),
    (map { ["http://example.com:$_/", 'port'] } qw(
        0 65536 99999 99999999999999999999 22 25 110 143 1023 21 53 1433 2049
        2375 2376 2379 2380 3306 3389 5432 5672 5900 6379 6443 8500 9200 9300
        10250 11211 27017 08500 00022
    )),
    (map { ["http://example.com:$_/", 'number'] } qw(
        80:80 a -1 +80 8080x 0x50 1e3
    )),
    ['http://[2606:4700::1111]x/', 'behind'],
    ['http://[2606:4700::1111].example.com/', 'behind'],
    ['', 'empty'],
    ['http://example.com/' . "a" x 2030, 'long'],
);

our @Accepted = (qw(
    http://172.15.0.1/ http://172.32.0.1/ http://11.0.0.1/
    http://[2606:4700::1111]/ http://[2606:4700::1111]:8080/ http://9.9.9.9/
    http://100.63.255.255/ http://100.128.0.1/ http://192.0.1.1/
    http://198.17.255.255/ http://198.20.0.1/ http://223.255.255.255/
    http://169.253.1.1/ http://[::ffff:8.8.8.8]/ http://[2001:200::1]/
    http://127.0.0.1.nip.io/ http://10-0-0-1.sslip.io/ HTTPS://EXAMPLE.com/
    http://example.com:/ http://example.com. http://example.com
    http://example.com/%0d%0aX-A:1 http://example.com?u=http://a@b
    http://example.com/@ http://example.com:1024/ http://example.com:65535/
    http://example.com:8080/ https://example.com:80/ http://example.com:443/
    http://xn--bcher-kva.example/ http://0x7g.a0x/ http://1.2.3.com/
    http://a_b.example.com/ http://localhost.example.com/ http://a.b/
    http://internal.example/ http://a--b.example/
    http://example.com/a/../b?c=d&e=%00
),
    'http://a.' . "x" x 63 . '/',
    'http://' . join('.', ("x" x 63) x 3, "x" x 61) . '/',
    'http://example.com/' . "a" x 2029,
);

our @BadNames = (
    '', 'X Y', 'X:Y', "\r\nFoo", "X\xc3\xa4", "X\x01", "X\t", '(x)', 'X"Y',
    "X-" . "a" x 63, ':path', ':authority',
    qw( Host HOST Content-Length Content-Type Content-Encoding
        Transfer-Encoding TE Trailer Trailers Connection Keep-Alive Upgrade
        Expect Proxy-Authorization Proxy-Connection Cookie Set-Cookie Via
        Forwarded X-Forwarded-For X-Forwarded-Host X-Real-IP Accept-Encoding
        Date User-Agent Webhook-Signature webhook-id WEBHOOK-TIMESTAMP
        Webhook-Anything X-Webhook-Type X-Webhook-Timestamp Idempotency-Key
        X-HTTP-Method-Override X-Method-Override Sec-Fetch-Mode Sec-WebSocket-Key
        X-Amz-Date X-Amzn-Trace-Id X-Goog-Api-Key X-Google-Real-IP X-GFE-Request
        X-Azure-Ref X-MS-Version X-FD-HealthProbe Metadata Metadata-Flavor
        X-aws-ec2-metadata-token X-aws-ec2-metadata-token-ttl-seconds ),
);

our @GoodNames = (
    qw( Authorization X-Custom-Header X-Api-Key x_y.z~ Accept Hosts Content
        X-Custom-Webhook Accept-Language Origin Referer If-Match ),
    "!#\$%&'*+-.^_`|~", "X-" . "a" x 62,
);

our @BadValues = (
    (map { json($_) } "a\r\nHost: evil", "a\nb", "a\rb", " a", "a ", "\ta",
        "a\t", " ", "a\x7f", "\xc3\xa4", "a\x01", "a" x 1025),
    '"a\u0000b"', '"a\u000d\u000aHost: evil"', 7, 1.5, '{}', '[]', 'null',
    'true', '["a"]',
);

our @GoodValues = (
    map { json($_) } '', 'a', 'Bearer a.b-c_d~e+f/g=', "a \t b", '~!"\\',
        "a" x 1024,
);

our @Objects = (
    many(16, 0), many(17, 0), many(8, 1021), many(7, 1021, 1022), '{}', 'null',
    '[]', '"a"', '{"X-A":"a","x-a":"b"}', '{"X-A":"a","X-A":"b"}',
);

# so many headers with values of that length, and perhaps one of another

sub many {
    my ($n, $length, $last) = @_;
    my @values = map { "a" x $_ } ($length) x $n, defined $last ? $last : ();

    return '{' . join(',', map { "\"X-$_\":\"$values[$_]\"" } 0 .. $#values)
           . '}';
}

sub json {
    my $text = shift;

    $text =~ s/(["\\])/\\$1/g;
    $text =~ s/([\x00-\x1f])/sprintf '\\u%04x', ord $1/ge;

    return qq("$text");
}

# the request of a create with these members

sub create {
    my $members = shift;

    return "POST /v1/images/generations/async\n"
           . qq({"model":"gpu-image","prompt":"a","webhook_events":["failed"],)
           . "$members}";
}

sub url {
    return create('"webhook_url":' . json(shift));
}

sub headers {
    return create(qq("webhook_url":"https://example.com/",)
                  . qq("webhook_headers":$_[0]));
}

sub refused {
    my ($param, $why) = @_;
    my $code = $param eq 'webhook_url' ? 'invalid_webhook_url'
                                       : 'invalid_webhook_header';

    $why =~ s/ /\\ /g;

    return qr/^\{"error":\{"message":"'\Q$param\E'\ $why[^{}]*",
              "type":"invalid_request_error","param":"\Q$param\E",
              "code":"$code"\}\}/x;
}

sub why {
    return $why{$_[0]};
}

repeat_each(1);
run_tests();

__DATA__

=== TEST 1: URLs that are refused, and why
--- http_config
    conduit_webhook_plain on;
    conduit_rate off;
--- key: acme
--- request eval
[map { ::url($_->[0]) } @::Refused]
--- error_code eval
[(400) x @::Refused]
--- response_body_like eval
[map { ::refused('webhook_url', ::why($_->[1])) } @::Refused]



=== TEST 2: URLs that are accepted
--- http_config
    conduit_webhook_plain on;
    conduit_rate off;
--- key: acme
--- request eval
[map { ::url($_) } @::Accepted]
--- error_code eval
[(202) x @::Accepted]



=== TEST 3: NUL as an escape is refused before anything else looks at it
--- http_config
    conduit_webhook_plain on;
--- key: acme
--- request eval
[::create('"webhook_url":"http://loc\u0000alhost/"'),
 ::create('"webhook_url":"http://example.com/\u0000"')]
--- error_code eval
[400, 400]



=== TEST 4: no TLS where it is needed
--- key: acme
--- request eval
[::url('http://example.com/'), ::url('https://example.com/')]
--- error_code eval
[400, 202]
--- response_body_like eval
[::refused('webhook_url', 'must begin with .*https://'), qr/pending/]



=== TEST 5: allow opens addresses, and nothing else
--- http_config
    conduit_webhook_plain on;
    conduit_webhook_allow 127.0.0.0/8 ::1 10.0.0.0/8;
    conduit_webhook_deny 10.1.0.0/16 9.9.9.9;
    conduit_rate off;
--- key: acme
--- request eval
[map { ::url($_) } qw(
    http://127.0.0.1:8089/ http://[::1]:8089/ http://[::ffff:127.0.0.1]:8089/
    http://10.0.0.1/ http://8.8.8.8/
    http://localhost:8089/ http://127.1:8089/ http://0x7f000001:8089/
    http://[::1%25lo]:8089/ http://127.0.0.1:22/ http://127.0.0.1:6379/
    http://10.1.0.1/ http://[::ffff:10.1.0.1]/ http://9.9.9.9/
    http://192.168.0.1/ http://169.254.169.254/ http://[::2]/
)]
--- error_code eval
[(202) x 5, (400) x 12]



=== TEST 6: this nginx itself stays refused
--- http_config
    conduit_webhook_plain on;
    conduit_webhook_allow 0.0.0.0/0 ::/0;
    conduit_rate off;
--- key: acme
--- request eval
[(map { ::url("http://$_:$ENV{TEST_NGINX_PORT}/") }
      qw( 127.0.0.1 127.8.8.8 0.0.0.0 [::ffff:127.0.0.1] )),
 ::url("http://127.0.0.1:8089/"), ::url("http://0.0.0.0:8089/")]
--- error_code eval
[400, 400, 400, 400, 202, 202]



=== TEST 7: a wide entry opens neither link-local nor metadata addresses
--- http_config
    conduit_webhook_plain on;
    conduit_webhook_allow 0.0.0.0/0 ::/0 64:ff9b::/96;
    conduit_rate off;
--- key: acme
--- request eval
[map { ::url("http://$_/") } qw(
    169.254.169.254 169.254.0.1 100.100.100.200 168.63.129.16 192.0.0.192
    [fd00:ec2::254] [fe80::1] [64:ff9b::a9fe:a9fe] [::ffff:169.254.169.254]
    10.0.0.1 100.100.100.201 [fd00:ec2::253]
)]
--- error_code eval
[(400) x 9, (202) x 3]



=== TEST 8: an entry inside, or the address itself, does
--- http_config
    conduit_webhook_plain on;
    conduit_webhook_allow 169.254.0.0/16 fe80::/64;
    conduit_webhook_allow 168.63.129.16 fd00:ec2::254;
    conduit_rate off;
--- key: acme
--- request eval
[map { ::url("http://$_/") } qw(
    169.254.169.254 [fe80::1] 168.63.129.16 [fd00:ec2::254] [fe80:1::1]
    100.100.100.200
)]
--- error_code eval
[202, 202, 202, 202, 400, 400]



=== TEST 9: names of headers that are refused
--- http_config
    conduit_rate off;
--- key: acme
--- request eval
[map { ::headers('{' . ::json($_) . ':"a"}') } @::BadNames]
--- error_code eval
[(400) x @::BadNames]
--- response_body_like eval
[(qr/"code":"invalid_webhook_header"/) x @::BadNames]



=== TEST 10: names of headers that are accepted
--- http_config
    conduit_rate off;
--- key: acme
--- request eval
[map { ::headers('{' . ::json($_) . ':"a"}') } @::GoodNames]
--- error_code eval
[(202) x @::GoodNames]



=== TEST 11: values of headers that are refused
--- http_config
    conduit_rate off;
--- key: acme
--- request eval
[map { ::headers("{\"X-A\":$_}") } @::BadValues]
--- error_code eval
[(400) x @::BadValues]



=== TEST 12: the fault of a value names its header
--- key: acme
--- request eval
[map { ::headers("{\"X-A\":$_}") } '"a\r\nHost: evil"', 7, 'null']
--- error_code eval
[400, 400, 400]
--- response_body_like eval
[::refused('webhook_headers.X-A', 'must consist of visible ASCII characters'),
 ::refused('webhook_headers.X-A', 'must be a string'),
 ::refused('webhook_headers.X-A', 'must be a string')]



=== TEST 13: values of headers that are accepted
--- http_config
    conduit_rate off;
--- key: acme
--- request eval
[map { ::headers("{\"X-A\":$_}") } @::GoodValues]
--- error_code eval
[(202) x @::GoodValues]



=== TEST 14: how many headers, and how much of them
--- key: acme
--- request eval
[map { ::headers($_) } @::Objects]
--- error_code eval
[202, 400, 202, 400, 202, 202, 400, 400, 400, 400]
--- response_body_like eval
[qr/pending/, ::refused('webhook_headers', 'must have at most 16 members'),
 qr/pending/, ::refused('webhook_headers', 'must have at most 8192 bytes'),
 qr/pending/, qr/pending/,
 ::refused('webhook_headers', 'must be an object of strings'),
 ::refused('webhook_headers', 'must be an object of strings'),
 qr/"param":"webhook_headers\.[Xx]-[Aa]"/, qr/"error"/]
