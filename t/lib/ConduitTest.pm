package ConduitTest;

# Copyright (C) Conduit for nginx authors

# Test::Nginx::Socket with the module loaded, on a port and in a folder of its
# own, so that files may run in parallel:
#
#     use ConduitTest 'no_plan';
#     run_tests();
#     __DATA__
#     === TEST 1: ...
#     --- config
#         location /v1/images/generations { conduit_generations image; }
#     --- request
#     GET /v1/images/generations/x
#     --- more_headers
#     Authorization: Bearer condt_acme
#     --- error_code: 404
#
# Every block is given, before its own http_config, a zone, a sandbox provider
# with the models "sandbox-image" and "sandbox-video", a provider "gpu" of type
# worker with the model "gpu-image", and the keys condt_acme, condt_other (names
# acme and other) and condt_worker (worker on).  A block with "--- bare" gets
# none of that; one without config gets the locations of conf.example.
# "--- key: acme" sends that key.  $ConduitTest::Zone and the like may be changed
# before run_tests().
#
# Every block also checks that its log has no alert, no emergency (unless it
# has "must_die") and no report of a sanitizer.

use Cwd qw( abs_path );
use Digest::SHA qw( sha256_hex );
use Fcntl qw( :flock );
use File::Basename qw( basename dirname );
use File::Path qw( make_path remove_tree );
use File::Spec::Functions qw( tmpdir );
use IO::Socket::INET;

# locks last as long as they are global: a "my" ends with this file

our @Locks;
my ($top, $build, $root);

BEGIN {
    $top = abs_path(dirname(__FILE__) . "/../..");
    $build = $ENV{CONDUIT_BUILD} || "$top/build";

    # the lock files are those of conduit_harness.py

    my $ports = tmpdir() . "/conduit-ports-$<";
    my $port;

    make_path($ports);

    for (my $n = 18000; $n < 28000; $n += 2) {
        my @held;

        for my $p ($n, $n + 1) {
            open my $lock, '>', "$ports/$p" or last;
            flock $lock, LOCK_EX | LOCK_NB or last;
            IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => $p,
                                  Listen => 1, ReuseAddr => 1) or last;
            push @held, $lock;
        }

        if (@held == 2) {
            @Locks = @held;
            $port = $n;
            last;
        }
    }

    die "no free port" unless $port;

    my $name = basename($0, '.t');

    $root = "$build/test/$name.$$";
    make_path($root);

    $ENV{TEST_NGINX_PORT} = $port;
    $ENV{TEST_NGINX_SERVROOT} = "$root/servroot";
    $ENV{TEST_NGINX_BINARY} ||= "$build/nginx";
    $ENV{TEST_NGINX_LOAD_MODULES} = "$build/ngx_http_conduit_module.so";

    # the sanitizers are slow, and so may be a machine with two cores

    $ENV{TEST_NGINX_TIMEOUT} ||= 30;
}

# blocks of END run in the order opposite to that of their definitions: this
# one after the one of Test::Nginx, which finds its nginx by the pid file

END {
    remove_tree($root) if defined $root && $? == 0;
}

use Test::Nginx::Socket -base;

our $Zone = "conduit_zone conduit:2m;";
our $Keys = join "\n", map {
    my $more = $_ eq 'worker' ? ' worker on;' : '';
    "conduit_key $_ { secret sha256:" . sha256_hex("condt_$_") . ";$more }"
} qw( acme other worker );
our $Provider = <<'_END_';
conduit_provider sandbox { type sandbox; duration 100ms; }
conduit_provider gpu { type worker; }
conduit_model sandbox-image provider=sandbox kind=image;
conduit_model sandbox-video provider=sandbox kind=video;
conduit_model gpu-image provider=gpu kind=image;
_END_
our $Config = <<'_END_';
location /v1/images/generations { conduit_generations image; }
location /v1/videos/generations { conduit_generations video; }
location /v1/tasks { conduit_tasks; }
location /conduit/worker/ { conduit_worker; }
location = /health { conduit_health; }
location = /metrics { conduit_metrics; }
_END_

our @EXPORT = qw( conduit_id_like );

my @never = ('AddressSanitizer', 'runtime error: ');

add_block_preprocessor(sub {
    my $block = shift;

    if (!defined $block->bare) {
        my $own = $block->http_config;

        $block->set_value("http_config", join "\n", $Zone, $Keys, $Provider,
                          defined $own ? $own : "");
    }

    $block->set_value("config", $Config) unless defined $block->config;

    if (defined $block->key) {
        my $line = "Authorization: Bearer condt_" . ($block->key =~ s/\s+//gr);
        my $more = $block->more_headers // '';

        $block->set_value("more_headers", ref $more eq 'ARRAY'
                          ? [map { "$_\n$line" } @$more] : "$line\n$more");
    }

    my @patterns = @never;

    if (!defined $block->must_die) {
        # the warning that tasks are forgotten is for operators
        $block->set_value("suppress_stderr", 1);

        push @patterns, '[emerg]';
        push @patterns, '[alert]' unless defined $block->alerts;
    }

    my $given = $block->no_error_log;

    if (ref $given) {
        $block->set_value("no_error_log", [@$given, @patterns]);

    } else {
        $given = defined $given ? "$given\n" : "";
        $given =~ s/\n+$/\n/;
        $block->set_value("no_error_log", $given . join "\n", @patterns);
    }

    if (!defined $block->no_shutdown_error_log
        && !defined $block->shutdown_error_log
        && !defined $block->must_die)
    {
        $block->set_value("no_shutdown_error_log",
                          join "\n", @never, '[alert]');
    }
});

# a regular expression for a task id

sub conduit_id_like () {
    return '[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}'
           . '-[0-9a-f]{12}';
}

1;
