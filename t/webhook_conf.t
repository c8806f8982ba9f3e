#!/usr/bin/perl

# Copyright (C) Conduit for nginx authors

# The directives of webhooks at "nginx -t": what is taken, and what is said of
# mistakes.

use strict;
use warnings;

use Cwd qw( abs_path );
use File::Basename qw( dirname );
use File::Temp qw( tempdir );
use Test::More;

my $top = abs_path(dirname(__FILE__) . "/..");
my $build = $ENV{CONDUIT_BUILD} || "$top/build";
my $nginx = "$build/nginx";
my $dir = tempdir(CLEANUP => 1);

mkdir "$dir/logs";
write_file("$dir/empty.pem", "");
write_file("$dir/broken.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n");

system("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes"
       . " -days 2 -subj /CN=ca -keyout $dir/ca.key -out $dir/ca.pem"
       . " 2>/dev/null") == 0
    or die "openssl failed";

sub write_file {
    my ($name, $text) = @_;

    open my $fh, '>', $name or die "$name: $!";
    print $fh $text;
    close $fh;
}

# what nginx says of the configuration, and whether it takes it

sub check {
    my ($http) = @_;

    write_file("$dir/nginx.conf", <<"EOC");
load_module $build/ngx_http_conduit_module.so;
pid nginx.pid;
events { }
http {
    access_log off;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    $http
}
EOC

    my $said = `$nginx -t -p $dir/ -c nginx.conf -e stderr 2>&1`;

    return ($? == 0, $said);
}

sub taken {
    my ($directive) = @_;
    my ($good, $said) = check("conduit_webhook_$directive;");

    ok($good, "taken: $directive") or diag($said);
}

sub refused {
    my ($directive, $why) = @_;
    my ($good, $said) = check("conduit_webhook_$directive;");

    ok(!$good, "refused: $directive");
    like($said, qr/\[emerg\].*$why/, "what is said");
}

taken($_) for (
    'retry 2s 4s 8s',
    'retry 1ms',
    'retry 30d',
    'retry off',
    'retry 5s 5m jitter=20%',
    'retry 5s jitter=0%',
    'retry 5s jitter=100%',
    'retry ' . join(' ', ('1s') x 32),
    'timeout 10s',
    'timeout 10s connect=3s',
    'timeout 500ms',
    'timeout 1h connect=1h',
    'breaker 5 60s',
    'breaker 1 1ms',
    'breaker 100 1d',
    'rate 1000r/m',
    'rate 20r/s',
    'rate 60000000r/m',
    'rate off',
    'concurrency per_origin=10 per_key=64 total=256',
    'concurrency total=1',
    'concurrency per_key=3 per_origin=5',
    'trusted_certificate ca.pem',
    "trusted_certificate $dir/ca.pem",
    'allow 127.0.0.0/8 ::1 10.1.2.3',
    'allow 0.0.0.0/0; conduit_webhook_allow ::/0',
    'deny 8.8.8.8; conduit_webhook_deny fd00::/8',
    'plain on',
    'bind 127.0.0.1',
    'bind ::1',
);

my $time = 'must be "off", or up to 32 times such as 2s, above 0 and at most'
           . ' 30d, with "jitter=N%" as the last, N at most 100';
my $concurrency = 'must be per_origin=N, per_key=N or total=N, each once, with'
                  . ' N of at least 1';
my $cidr = 'must be an address, or a network such as 10.0.0.0/8 or fd00::/8'
           . ' without bits behind its prefix';

refused($_->[0], qr/$_->[1]/) for (
    ['retry', 'invalid number of arguments in "conduit_webhook_retry"'],
    ['retry 0', "\"0\" of conduit_webhook_retry: $time"],
    ['retry 2s soon', "\"soon\" of conduit_webhook_retry: $time"],
    ['retry 31d', "\"31d\" of conduit_webhook_retry: $time"],
    ['retry 2s off', "\"off\" of conduit_webhook_retry: $time"],
    ['retry -2s', "\"-2s\" of conduit_webhook_retry: $time"],
    ['retry jitter=20%', "\"jitter=20%\" of conduit_webhook_retry: $time"],
    ['retry jitter=20% 2s', "\"jitter=20%\" of conduit_webhook_retry: $time"],
    ['retry 2s jitter=20', "\"jitter=20\" of conduit_webhook_retry: $time"],
    ['retry 2s jitter=%', "\"jitter=%\" of conduit_webhook_retry: $time"],
    ['retry 2s jitter=101%', "\"jitter=101%\" of conduit_webhook_retry"],
    ['retry ' . join(' ', ('1s') x 32) . ' 2s', "\"2s\" of .*: $time"],
    ['retry 2s; conduit_webhook_retry 2s', '"conduit_webhook_retry" .*is dup'],

    ['timeout 0', 'invalid conduit_webhook_timeout "0": must be above 0 and'],
    ['timeout 2h', 'invalid conduit_webhook_timeout "2h": .* at most 1h'],
    ['timeout 10s 3s', '"3s" of conduit_webhook_timeout: must be connect='],
    ['timeout 10s connect=', '"connect=" of conduit_webhook_timeout: must be'],
    ['timeout 10s connect=11s', 'not longer than the whole attempt'],
    ['timeout connect=3s', 'invalid conduit_webhook_timeout "connect=3s"'],
    ['timeout 1s; conduit_webhook_timeout 1s', 'is duplicate'],

    ['breaker 5', 'invalid number of arguments in "conduit_webhook_breaker"'],
    ['breaker 0 60s', 'number "0" of failures in conduit_webhook_breaker: mus'],
    ['breaker many 60s', 'number "many" of failures'],
    ['breaker 5 0', 'time "0" in conduit_webhook_breaker: must be above 0 and'],
    ['breaker 5 2d', 'time "2d" in conduit_webhook_breaker: .* at most 1d'],
    ['breaker 5 1s; conduit_webhook_breaker 5 1s', 'is duplicate'],

    ['rate 1000', '"1000": must be "off" or a rate such as 1000r/m or 20r/s'],
    ['rate 0r/m', 'invalid conduit_webhook_rate "0r/m"'],
    ['rate 5r/h', 'invalid conduit_webhook_rate "5r/h"'],
    ['rate 60000001r/m', 'invalid conduit_webhook_rate'],
    ['rate 5r/m burst=2', 'invalid number of arguments in "conduit_webhook_r'],
    ['rate off; conduit_webhook_rate off', 'is duplicate'],

    ['concurrency', 'invalid number of arguments'],
    ['concurrency 10', "\"10\" of conduit_webhook_concurrency: $concurrency"],
    ['concurrency total=0', "\"total=0\" of .*: $concurrency"],
    ['concurrency total=', "\"total=\" of .*: $concurrency"],
    ['concurrency per_host=1', "\"per_host=1\" of .*: $concurrency"],
    ['concurrency total=5 total=6', "\"total=6\" of .*: $concurrency"],
    ['concurrency total=5; conduit_webhook_concurrency total=5',
     'is duplicate'],

    ['trusted_certificate none.pem', 'cannot read certificates from .*none\.p'],
    ['trusted_certificate empty.pem', 'conduit_webhook_trusted_certificate: m'],
    ['trusted_certificate broken.pem', 'must be a file in PEM form'],
    ['trusted_certificate ca.pem; conduit_webhook_trusted_certificate ca.pem',
     'is duplicate'],

    ['allow all', "\"all\" in conduit_webhook_allow: $cidr"],
    ['allow 10.0.0.1/8', "\"10.0.0.1/8\" in conduit_webhook_allow: $cidr"],
    ['allow 10.0.0.0/33', "\"10.0.0.0/33\" in conduit_webhook_allow: $cidr"],
    ['allow 10.0.0.0/08', "\"10.0.0.0/08\" in conduit_webhook_allow: $cidr"],
    ['allow 127.1', "\"127.1\" in conduit_webhook_allow: $cidr"],
    ['allow [::1]', 'in conduit_webhook_allow: '],
    ['deny example.com', "\"example.com\" in conduit_webhook_deny: $cidr"],
    ['deny ::1/129', "\"::1/129\" in conduit_webhook_deny: $cidr"],
    ['deny 8.8.8.8 fd00::/8 x', "\"x\" in conduit_webhook_deny: $cidr"],

    ['plain yes', 'invalid value "yes" in "conduit_webhook_plain"'],

    ['bind example.com', 'conduit_webhook_bind "example.com": must be an IPv4'],
    ['bind 127.0.0.1:80', 'of this machine, without port and brackets'],
    ['bind [::1]', 'invalid conduit_webhook_bind'],
    ['bind 127.0.0.1; conduit_webhook_bind ::1', 'is duplicate'],
);

done_testing();
