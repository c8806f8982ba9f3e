# Copyright (C) Conduit for nginx authors

# conduit_key and conduit_key_file at "nginx -t": what is read, and what is
# said of mistakes.

use strict;
use warnings;

use Cwd qw( abs_path );
use Digest::SHA qw( sha256_hex );
use File::Basename qw( dirname );
use File::Temp qw( tempdir );
use Test::More;

my $top = abs_path(dirname(__FILE__) . "/..");
my $build = $ENV{CONDUIT_BUILD} || "$top/build";
my $nginx = "$build/nginx";
my $dir = tempdir(CLEANUP => 1);

my $A = "sha256:" . sha256_hex("condt_a");
my $B = "sha256:" . sha256_hex("condt_b");
my $WHSEC = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

mkdir "$dir/logs";

# the public key of RFC 7517, A.1, and what may be wrong with one

my $X = '"x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4"';
my $Y = '"y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"';
my $EC = '"kty":"EC","crv":"P-256"';

write_file("$dir/public.jwk", qq({$EC,$X,$Y,"use":"enc","kid":"1"}));
write_file("$dir/private.jwk", qq({$EC,$X,$Y,"d":"c"}));
write_file("$dir/broken.jwk", '{"kty":');
write_file("$dir/off.jwk", qq({$EC,$X,@{[$Y =~ s/"4/"5/r]}}));
write_file("$dir/short.jwk", qq({$EC,$X,"y":"AAAA"}));
write_file("$dir/curve.jwk", qq({"kty":"EC","crv":"P-224",$X,$Y}));
write_file("$dir/rsa.jwk", '{"kty":"RSA","n":"AQAB","e":"AQAB"}');
write_file("$dir/sig.jwk", qq({$EC,$X,$Y,"use":"sig"}));
write_file("$dir/long.jwk", qq({$EC,$X,$Y,"x5c":"@{["a" x 65536]}"}));

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
    my ($http, $name) = @_;
    my ($good, $said) = check($http);

    ok($good, $name) or diag($said);
}

sub refused {
    my ($http, $why, $name) = @_;
    my ($good, $said) = check($http);

    ok(!$good, $name);
    like($said, $why, "$name: what is said");
    unlike($said, qr/condt_|$WHSEC/, "$name: nothing secret is said");
}

# blocks

taken("conduit_key a { secret $A; }", "the shortest key");
taken("conduit_key a-B.c:d\@e_1 { secret $A; }", "any letters of a name");
taken("conduit_key " . "n" x 64 . " { secret $A; }", "a name of 64");
taken("conduit_key a { secret $A; secret $B expires=2026-12-31T00:00:00Z;"
      . " models dall-e-3 minimax-*; models x; rate 1200r/m burst=200;"
      . " connections 100; tasks 1000; webhook_rate 1000r/m;"
      . " webhook_secret $WHSEC; webhook_jwk public.jwk;"
      . " expires 2027-01-01T00:00:00Z; admin on; worker on; disabled; }",
      "all members");
taken("conduit_key a { secret $A; rate off; webhook_rate off; admin off;"
      . " worker off; disabled off; webhook_secret $WHSEC"
      . " expires=2027-01-01T00:00:00Z; }", "everything off");

my @blocks = (
    ['', qr/"a" has no "secret"/],
    ['secret condt_clear;', qr/"secret" in "conduit_key" "a" must be "sha256:/],
    ['secret sha256:12;', qr/must be "sha256:"/],
    ['secret sha256:' . 'g' x 64 . ';', qr/must be "sha256:"/],
    ["secret $A 2027;", qr/takes nothing but "expires=/],
    ["secret $A expires=2027-02-30T00:00:00Z;", qr/takes nothing but/],
    ["secret $A; secret $A;", qr/"a" and "a" have the same "secret"/],
    ["secret $A; rate 5;", qr/"rate" .* must be "off" or a rate such as/],
    ["secret $A; rate 5r/s nodelay;", qr/only "burst=NUMBER"/],
    ["secret $A; rate 5r/s burst=0;", qr/only "burst=NUMBER"/],
    ["secret $A; tasks 0;", qr/"tasks" .* must be a number, at least 1/],
    ["secret $A; connections many;", qr/"connections" .* must be a number/],
    ["secret $A; tasks 1; tasks 2;", qr/"tasks" .* is duplicate/],
    ["secret $A; worker yes;", qr/"worker" .* must be "on" or "off"/],
    ["secret $A; disabled maybe;", qr/must be "on" or "off"/],
    ["secret $A; expires tomorrow;", qr/"expires" .* must be a time such as/],
    ["secret $A; webhook_secret whsec_abc;", qr/must be "whsec_" and the base/],
    ["secret $A; webhook_secret " . substr($WHSEC, 6) . ";", qr/"whsec_" and/],
    ["secret $A; " . "webhook_secret $WHSEC; " x 17, qr/16 of them are the m/],
    ["secret $A; webhook_secret $WHSEC expires=soon;", qr/nothing but "expir/],
    ["secret $A; webhook_rate 5r/s burst=3;", qr/wrong number of parameters/],
    ["secret $A; webhook_rate 5;", qr/"webhook_rate" .* must be "off" or/],
    ["secret $A; webhook_jwk none.jwk;", qr/"webhook_jwk" .* must name a fil/],
    ["secret $A; webhook_jwk none.jwk;", qr/Key, which must be a regular fil/],
    ["secret $A; webhook_jwk logs;", qr/must be a regular file that can be/],
    ["secret $A; webhook_jwk broken.jwk;", qr/which must be a JSON object/],
    ["secret $A; webhook_jwk private.jwk;", qr/must be the public half only/],
    ["secret $A; webhook_jwk off.jwk;", qr/a point that lies on its curve/],
    ["secret $A; webhook_jwk short.jwk;", qr/must have "x" and "y", each the/],
    ["secret $A; webhook_jwk curve.jwk;", qr/"P-256", "P-384" or "P-521"/],
    ["secret $A; webhook_jwk rsa.jwk;", qr/must have a "kty" of "EC"/],
    ["secret $A; webhook_jwk sig.jwk;", qr/must have a "use" of "enc", or no/],
    ["secret $A; webhook_jwk long.jwk;", qr/must not be longer than 64 KB/],
    ["secret $A; colour red;", qr/"colour" .* is no member of a key/],
    ["secret $A; models;", qr/"models" .* wrong number of parameters/],
    ["secret $A; models '';", qr/must not have an empty name/],
);

for my $case (@blocks) {
    refused("conduit_key a { $case->[0] }", $case->[1],
            "block: " . ($case->[0] =~ s/(?:sha256:\w{8})\K\w+//gr
                         =~ s/whsec_\K\w+|condt_\w+/.../gr));
}

refused("conduit_key a { secret $A; } conduit_key b { secret $A; }",
        qr/the keys "a" and "b" have the same "secret"/, "one secret of two");
refused("conduit_key a { secret $A; } conduit_key a { secret $B; }",
        qr/duplicate "conduit_key" "a"/, "one name for two");
refused("conduit_key 'a b' { secret $A; }", qr/invalid name "a b"/,
        "a blank in a name");
refused("conduit_key " . "n" x 65 . " { secret $A; }", qr/1 to 64 letters/,
        "a name of 65");

# files

sub file {
    my ($json) = @_;

    write_file("$dir/keys.json", $json);

    return "conduit_key_file keys.json;";
}

taken(file('{}'), "a file without keys");
taken(file(qq({"a":{"secret":"$A"},"b":{"secret":["$B"]}})), "two keys");
taken(file(qq({"a":{"secret":[{"sha256":"@{[substr $A, 7]}",
              "expires":"2027-01-01T00:00:00Z"},"$B"],"models":["x","y*"],
              "rate":"1200r/m burst=200","connections":5,"tasks":7,
              "webhook_rate":"20r/s","webhook_secret":"$WHSEC",
              "webhook_jwk":"public.jwk","expires":null,"admin":false,
              "worker":true,"disabled":false}})), "all members");

my @files = (
    ['', qr/keys\.json" is not valid JSON: it is empty/],
    ['{"a":', qr/is not valid JSON: it ends too early at byte 5/],
    ['[]', qr/must be a JSON object of keys by name/],
    ['{"a":1}', qr/every member must be an object under a name/],
    ['{"a b":{}}', qr/every member must be an object under a name/],
    ['{"a":{}}', qr/key "a" has no "secret"/],
    [qq({"a":{"secret":"$A"},"a":{"secret":"$B"}}), qr/same member twice/],
    [qq({"a":{"secret":"$A"},"b":{"secret":"$A"}}), qr/have the same "secr/],
    ['{"a":{"secret":[]}}', qr/key "a" has no "secret"/],
    ['{"a":{"secret":[1]}}', qr/"secret" of key "a" must be a string/],
    [qq({"a":{"secret":{"sha256":"$A","x":1}}}), qr/must be a string, an obj/],
    ['{"a":{"secret":"condt_clear"}}', qr/"secret" of key "a" must be "sha/],
    [qq({"a":{"secret":"$A","tasks":1.5}}), qr/"tasks" .* wrong type/],
    [qq({"a":{"secret":"$A","tasks":-1}}), qr/"tasks" .* must be a number/],
    [qq({"a":{"secret":"$A","models":[]}}), qr/"models" .* must not be empty/],
    [qq({"a":{"secret":"$A","models":[1]}}), qr/must be a list of strings/],
    [qq({"a":{"secret":"$A","worker":"yes"}}), qr/must be "on" or "off"/],
    [qq({"a":{"secret":"$A","webhook_jwk":"none"}}), qr/has a key "a" whose "/],
    [qq({"a":{"secret":"$A","webhook_jwk":"none"}}), qr/must be a regular fi/],
    [qq({"a":{"secret":"$A","webhook_jwk":"off.jwk"}}), qr/lies on its curve/],
    [qq({"a":{"secret":"$A","webhook_secret":"whsec_x"}}), qr/must be "whsec_/],
    [qq({"a":{"secret":"$A","webhook_rate":"5r/h"}}), qr/"webhook_rate" .* mu/],
    [qq({"a":{"secret":"$A","colour":1}}), qr/"colour" .* is no member/],
);

for my $case (@files) {
    refused(file($case->[0]), $case->[1],
            "file: " . ($case->[0] =~ s/(?:sha256:\w{8})\K\w+//gr
                        =~ s/condt_\w+/.../gr));
}

refused("conduit_key a { secret $A; } " . file(qq({"a":{"secret":"$B"}})),
        qr/key "a" is in nginx\.conf as well/, "a name of both");
refused("conduit_key a { secret $A; } " . file(qq({"b":{"secret":"$A"}})),
        qr/the keys "a" and "b" have the same "secret"/, "a secret of both");
refused("conduit_key_file none.json;", qr/none\.json" cannot be read \(2: /,
        "no such file");
refused("conduit_key_file logs;", qr/is no regular file/, "a folder");
refused(file('{}') . " conduit_key_file b.json;", qr/is duplicate/,
        "two files");

done_testing();
