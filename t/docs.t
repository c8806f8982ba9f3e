#!/usr/bin/perl

# Copyright (C) Conduit for nginx authors

# What the module knows and what is written about it agree: every directive
# has an entry in README.md with the right contexts, a line in conf.example and
# a test; what README.md names exists.

use strict;
use warnings;

use Test::More;

my %context = (
    NGX_HTTP_MAIN_CONF => 'http',
    NGX_HTTP_SRV_CONF  => 'server',
    NGX_HTTP_LOC_CONF  => 'location',
);

my $readme = slurp('README.md');
my $example = slurp('conf.example');
my $tests = join '', map { slurp($_) }
            grep { $_ ne 't/docs.t' && -f } glob('t/*.t t/harness/*.t t/lib/*
                                                  t/providers/*');

my %directives = map { directives_of(slurp($_)) } glob('src/*.c src/*/*.c');
my %variables = map { $_ => 1 }
                map { slurp($_) =~ /\{ ngx_string\("(conduit_\w+)"\), NULL/g }
                glob('src/*.c src/*/*.c');
my %entries = entries_of($readme);

cmp_ok(scalar keys %directives, '>', 15, 'directives were found');

for my $name (sort keys %directives) {
    my $entry = $entries{$name};

    ok(defined $entry, "$name has an entry in README.md") or next;

    like($entry, qr/^\*\*Syntax:\*\*\ +\*\*`\Q$name\E`\*\*/m,
         "$name: its syntax");
    like($entry, qr/^\*\*Default:\*\*\ +\S/m, "$name: its default");
    is($entry =~ /^\*\*Context:\*\*\ +(.*?)\s*$/m ? $1 : '',
       $directives{$name}, "$name: its contexts");
    like($entry =~ s/^\*\*.*//mgr =~ s/^### .*//mr, qr/\w+.*\./s,
         "$name: what it does");

    like($example, qr/^\s*#?\Q$name\E\b/m, "$name stands in conf.example");
    like($tests, qr/\b\Q$name\E\b/, "$name is tested");
}

is(join(' ', grep { !$directives{$_} } sort keys %entries), '',
   'README.md describes nothing that does not exist');

for my $name (sort keys %variables) {
    like($readme, qr/`\$\Q$name\E`/, "\$$name is described");
    like($tests, qr/\$\{?\Q$name\E\b/, "\$$name is tested");
}

my %named = map { $_ => 1 } "$readme\n$example" =~ /\b(conduit_[a-z_]+)\b/g;

delete $named{conduit_module};

is(join(' ', grep { !$directives{$_} && !$variables{$_}
                    && !metric($_) } sort keys %named),
   '', 'no directive, variable or metric is named that does not exist');

my %targets = map { $_ => 1 } slurp('Makefile') =~ /^([a-z]+):.*## /mg;
my @made = $readme =~ /(?:^|`)make ([a-z]+)/mg;

is(join(' ', grep { !$targets{$_} } @made), '',
   'README.md names targets that there are');

for my $target (sort keys %targets) {
    like($readme, qr/\bmake \Q$target\E\b/, "make $target is described");
}

done_testing();


sub slurp {
    my $file = shift;

    open my $f, '<', $file or die "$file: $!";
    local $/;

    return <$f>;
}


# name => contexts, from the tables of commands

sub directives_of {
    my $text = shift;
    my @found;

    while ($text =~ /\{\ ngx_string\("(conduit_\w+)"\),\s*
                     ((?:NGX_\w+\s*\|?\s*)+),/gx)
    {
        my ($name, $flags) = ($1, $2);

        next unless $flags =~ /NGX_HTTP_/;

        push @found, $name,
            join ', ', map { $context{$_} }
                       grep { $flags =~ /\b$_\b/ }
                       qw( NGX_HTTP_MAIN_CONF NGX_HTTP_SRV_CONF
                           NGX_HTTP_LOC_CONF );
    }

    return @found;
}


# name => text, of each "### conduit_name"

sub entries_of {
    my $text = shift;

    return $text =~ /^\#\#\#\ (conduit_\w+)\n(.*?)(?=^\#{1,3}\ |\z)/msg;
}


my $metrics;

sub metric {
    my $name = shift;

    $metrics //= join '', map { slurp($_) } glob('src/http/*.c');

    return $metrics =~ /\b\Q$name\E/;
}
