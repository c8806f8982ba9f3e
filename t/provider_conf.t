# Copyright (C) Conduit for nginx authors

# conduit_provider and conduit_model at "nginx -t": what is read, and what is
# said of mistakes.

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
write_file("$dir/secret", "sk-file-secret\n");
write_file("$dir/lines", "two\nlines\n");
write_file("$dir/empty", "\n");

$ENV{CONDUIT_TEST_KEY} = 'sk-env-secret';
delete $ENV{CONDUIT_TEST_NONE};

my $sync = 'submit POST /s sync { } result url /u;';
my $polled = 'submit POST /s { take id /id; } poll GET /p/${id} { }'
             . ' status /s { done completed; }';

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

sub described {
    my ($inside) = @_;

    return "conduit_provider p { kind image; base http://127.0.0.1:1;"
           . " $inside }";
}

# all blocks that the tests play, with media for those who download

for my $file (glob "$top/t/providers/*.conf") {
    open my $fh, '<', $file or die "$file: $!";
    my $text = join '', <$fh>;
    close $fh;

    $text =~ s/%%PROVIDER%%/http:\/\/127.0.0.1:1/g;
    $text =~ s/%%SECRET%%/$dir\/secret/g;

    my ($good, $said) = check("$text conduit_media $dir/media url=/m;");

    ok($good, "$file is read") or diag($said);
}

# right ones

for my $case (
    [ 'conduit_provider s { type sandbox; } conduit_model a provider=s;',
      'a sandbox' ],
    [ 'conduit_model a provider=s; conduit_provider s { type sandbox; }',
      'a model before its provider' ],
    [ 'conduit_provider g { type worker; kind video; lease 5s;'
      . ' limit concurrency=3 queue=9; }'
      . ' conduit_model a provider=g kind=video model=up;',
      'a worker' ],
    [ described($sync) . ' conduit_model a provider=p;', 'sync' ],
    [ described("$polled result url /u;"), 'polled' ],
    [ described("secret file:secret; auth query key; $sync"),
      'a secret beside the configuration' ],
    [ described("secret env:CONDUIT_TEST_KEY;"
                . " auth header X \"\${secret}\"; $sync"),
      'a secret of the environment' ],
    [ described("$polled result url /u;"
                . ' progress logs /logs "regex=^\s*(\d+)%";'),
      'an expression' ],
    [ described($sync) . ' conduit_provider q { type sandbox; }'
      . ' conduit_model a provider=p fallback=b; conduit_model b provider=q;',
      'a fallback' ],
) {
    my ($conf, $name) = @$case;
    my ($good, $said) = check($conf);

    ok($good, "$name is read") or diag($said);
}

# wrong ones, and what would be right

for my $case (
    [ 'conduit_provider "a b" { }', qr/invalid name "a b"/ ],
    [ 'conduit_provider s { type sandbox; }' x 2, qr/duplicate/ ],
    [ 'conduit_provider s { type cloud; }',
      qr/must be "sandbox" or "worker"/ ],
    [ 'conduit_provider s { type worker; lease 10ms; }', qr/at least 1s/ ],
    [ 'conduit_provider s { type worker; base http://x; }',
      qr/"base" has no meaning with "type worker"/ ],
    [ 'conduit_provider s { }', qr/"kind" is missing/ ],
    [ described('nonsense on;'), qr/unknown directive "nonsense"/ ],
    [ described('field /a $b;'), qr/"field" directive is not allowed here/ ],
    [ described('callback field=/w;'), qr/"callback" is not supported yet/ ],
    [ described('auth jwt hs256 iss=a ttl=1;'),
      qr/jwt is not supported yet/ ],
    [ described('secret env:A env:B;'), qr/"secret".* not supported yet/ ],
    [ described('submit POST /s multipart { }'),
      qr/multipart is not supported yet/ ],
    [ described('submit POST /s { document f; }'),
      qr/"document" is not supported yet/ ],
    [ described('submit POST /s { stream { event e { } } }'),
      qr/"stream" is not supported yet/ ],
    [ described('submit POST /s { field /a $b file; }'),
      qr/file is not supported yet/ ],
    [ described('result file /v from /x;'), qr/file is not supported yet/ ],
    [ described('submit POST /s { field /a $b int'),
      qr/unexpected "\}"/ ],
    [ described('status /s;'), qr/has no opening "\{"/ ],
    [ described('submit POST /s sync { }'), qr/no result rule/ ],
    [ described('submit POST /s { } result url /u;'),
      qr/must have "take id POINTER"/ ],
    [ described('submit POST /s { take id /id; } poll GET /p/${job} { }'
                . ' status /s { d completed; } result url /u;'),
      qr/"poll" names "\$\{job\}", which no earlier step takes/ ],
    [ described('submit POST /s { take id /id; } poll GET /p { every 10ms; }'),
      qr/at least 100ms/ ],
    [ described("secret file:secret; auth header X \"\${secret}\";"
                . ' submit POST /s?k=${secret} sync { } result url /u;'),
      qr/cannot have the secret/ ],
    [ described("secret file:secret; $sync"), qr/"secret" is not used/ ],
    [ described("auth query k; $sync"), qr/"auth" needs a secret/ ],
    [ described("secret file:nowhere; auth query k; $sync"),
      qr/nowhere" of "secret" failed/ ],
    [ described("secret file:lines; auth query k; $sync"),
      qr/must be one line of text/ ],
    [ described("secret file:empty; auth query k; $sync"),
      qr/must be one line of text/ ],
    [ described("secret env:CONDUIT_TEST_NONE; auth query k; $sync"),
      qr/"CONDUIT_TEST_NONE" of "secret" is not set/ ],
    [ described("$polled result url /u; progress logs /l \"regex=\\d+\";"),
      qr/needs an expression with a group/ ],
    [ described("$polled result url /u; progress logs /l \"regex=(\";"),
      qr/pcre/ ],
    [ described("$polled result download GET /d/\${id};"),
      qr/"result download" .* needs "conduit_media/ ],
    [ 'conduit_model a;', qr/invalid number of arguments|needs "provider=/ ],
    [ 'conduit_model a model=x;', qr/needs "provider=NAME"/ ],
    [ 'conduit_model a provider=g model=' . ('x' x 257) . ';',
      qr/too long "model="/ ],
    [ 'conduit_model a provider=nobody;', qr/unknown provider "nobody"/ ],
    [ 'conduit_provider s { type sandbox; } conduit_model a provider=s b=c;',
      qr/must be provider=NAME, model=NAME, kind=/ ],
    [ 'conduit_provider s { type sandbox; } conduit_model a provider=s'
      . ' kind=sound;', qr/must be kind=image or kind=video/ ],
    [ described($sync) . ' conduit_model a provider=p kind=video;',
      qr/not a "kind" of conduit_provider "p"/ ],
    [ 'conduit_provider s { type sandbox; }'
      . ' conduit_model a provider=s;' x 2, qr/duplicate "conduit_model"/ ],
    [ 'conduit_provider s { type sandbox; } conduit_model a provider=s'
      . ' fallback=b;', qr/unknown fallback "b"/ ],
    [ 'conduit_provider s { type sandbox; } conduit_model a provider=s'
      . ' fallback=b; conduit_model b provider=s fallback=a;', qr/circle/ ],
    [ 'conduit_provider s { type sandbox; }' . described($sync)
      . ' conduit_model a provider=s fallback=b; conduit_model b provider=p;',
      qr/must be of the same kind/ ],
) {
    my ($conf, $message) = @$case;
    my ($good, $said) = check($conf);

    ok(!$good, "refused: $conf");
    like($said, qr/\[emerg\].*$message/, "with a message that helps");
    unlike($said, qr/\[alert\]|sk-file-secret|sk-env-secret|Sanitizer/,
           "and nothing else");
}

done_testing();
