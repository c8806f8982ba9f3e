#!/usr/bin/perl

# Copyright (C) Conduit for nginx authors

# The style of the C sources, their sizes, and who includes whom.  One test
# per rule; what breaks it is listed with its line.

use strict;
use warnings;

use File::Basename qw( basename dirname );
use Test::More;

use constant {
    COLUMNS         => 80,
    FILE_LINES      => 700,
    FUNCTION_MEDIAN => 25,
    FUNCTION_P95    => 80,
    FUNCTION_MAX    => 120,
};

# who may include what, by folder; "module" is ngx_http_conduit_module.h, the
# configuration as all parts above the zone see it

my %may = (
    proto   => [qw( proto )],
    zone    => [qw( proto zone )],
    event   => [qw( proto zone event )],
    module  => [qw( proto zone event )],
    store   => [qw( proto zone event module store )],
    task    => [qw( proto zone event module store task )],
    webhook => [qw( proto zone event module store task webhook )],
    hub     => [qw( proto zone event module store task hub )],
    cluster => [qw( proto zone event module store task cluster )],
    conf    => [qw( proto zone event module store task webhook hub cluster
                    conf http )],
    http    => [qw( proto zone event module store task webhook hub cluster
                    conf http )],
);

my @src = sort(glob("src/*.[ch] src/*/*.[ch]"));
my @tests = sort(glob("t/unit/*.[ch] t/fuzz/*.[ch]"));
my @all = (@src, @tests);

my (%lines, %code, %functions, %broken);

for my $file (@all) {
    open my $f, '<', $file or die "$file: $!";
    $lines{$file} = [map { chomp; $_ } <$f>];
    close $f;

    $code{$file} = code_of(@{$lines{$file}});
    $functions{$file} = [functions_of(@{$code{$file}})];
}

for my $file (@all) {
    check_header($file);
    check_lines($file);
    check_blank_lines($file);
    check_declarations($file);
}

for my $file (@src) {
    check_allocations($file);
    check_prototypes($file);
    check_globals($file);
    check_includes($file);
    check_built($file);
}

report();
check_sizes();
check_map();

done_testing();


sub bad {
    my ($rule, $file, $line, $text) = @_;

    push @{$broken{$rule}}, "$file:$line: " . ($text // "");
}


# every rule has its test, also when nothing breaks it

sub report {
    my @rules = (
        "begins with a blank line and the copyright",
        "has a header guard named after the file",
        "no line is longer than 80 columns",
        "no tabs and no trailing spaces",
        "no // comments",
        "a blank after if, for, while, switch",
        "a blank before {",
        "for ever is \"for ( ;; )\"",
        "else stands beside }, a blank line before",
        "labels stand at the margin between blank lines",
        "two blank lines after a function, never three",
        "declarations are aligned, two blanks after the type",
        "what was allocated is compared with NULL at once",
        "static functions have prototypes at the top",
        "no variables at file level outside event/",
        "no assert() in the module",
        "no marks of unfinished work",
        "nothing includes upward",
        "headers of nginx come before those of the system",
        "only event/ knows libcurl and hiredis",
        "every source is built",
        "a function's type stands on a line of its own",
    );

    my %known = map { $_ => 1 } @rules;

    for my $rule (@rules, sort grep { !$known{$_} } keys %broken) {
        my $found = $broken{$rule} // [];

        ok(!@$found, $rule);
        diag(join "\n", map { "  $_" } @$found) if @$found;
    }
}


# lines with comments, strings and character constants blanked out

sub code_of {
    my $text = join "\n", @_;

    $text =~ s{(/\*.*?\*/)|"((?:\\.|[^"\\\n])*)"|'((?:\\.|[^'\\\n])*)'}
              { defined $1 ? blank($1)
                : defined $2 ? '"' . ('x' x length $2) . '"'
                : "'" . ('x' x length $3) . "'" }gsex;

    return [split /\n/, $text, -1];
}


sub blank {
    my $text = shift;

    $text =~ s/[^\n]/ /g;

    return $text;
}


# name, first and last line of each function body, static or not

sub functions_of {
    my @code = @_;
    my @found;

    for my $n (0 .. $#code) {
        next unless $code[$n] eq '{';

        my $head = $n - 1;
        $head-- while $head > 0 && $code[$head] =~ /^\s/;

        next unless $code[$head] =~ /^(\w+)\(/;

        my $name = $1;
        my $end = $n;
        $end++ while $end < $#code && $code[$end] ne '}';

        my $type = $code[$head - 1] // '';

        push @found, { name => $name, head => $head, open => $n,
                       end => $end, static => ($type =~ m{\bstatic\b}) ? 1 : 0,
                       inline => ($type =~ m{inline}) ? 1 : 0 };
    }

    return @found;
}


sub check_header {
    my $file = shift;
    my @l = @{$lines{$file}};

    if (join("\n", @l[0 .. 3]) ne
        "\n/*\n * Copyright (C) Conduit for nginx authors\n */")
    {
        bad("begins with a blank line and the copyright", $file, 1);
    }

    return unless $file =~ /\.h$/;

    my $guard = '_' . uc(basename($file, '.h')) . '_H_INCLUDED_';
    my $text = join "\n", @l;

    if ($text !~ /^#ifndef \Q$guard\E\n#define \Q$guard\E\n/m
        || $l[-1] ne "#endif /* $guard */")
    {
        bad("has a header guard named after the file", $file, 1, $guard);
    }
}


sub check_lines {
    my $file = shift;
    my ($l, $c) = ($lines{$file}, $code{$file});

    for my $n (0 .. $#$l) {
        my ($line, $code, $at) = ($l->[$n], $c->[$n], $n + 1);

        bad("no line is longer than 80 columns", $file, $at)
            if length $line > COLUMNS;

        bad("no tabs and no trailing spaces", $file, $at)
            if $line =~ /\t|\s$/;

        bad("no // comments", $file, $at, $line)
            if $code =~ m{//};

        bad("a blank after if, for, while, switch", $file, $at, $line)
            if $code =~ /\b(?:if|for|while|switch)\(/;

        bad("a blank before {", $file, $at, $line)
            if $code =~ /\)\{|\belse\{|\bdo\{/;

        bad("for ever is \"for ( ;; )\"", $file, $at, $line)
            if $code =~ /\bfor \(\s*;\s*;\s*\)/ && $code !~ /for \( ;; \)/
               || $code =~ /\bwhile \(1\)/;

        bad("no assert() in the module", $file, $at, $line)
            if $file =~ /^src/ && $code =~ /(?<!_Static_)\bassert\(/
               && $code !~ /static_assert/;

        bad("no marks of unfinished work", $file, $at, $line)
            if $line =~ /\b(?:TODO|FIXME|XXX|HACK)\b/;

        bad("a function's type stands on a line of its own", $file, $at,
            $line)
            if ($c->[$n + 1] // '') eq '{' && $code =~ /^\w[\w *]*\s\**\w+\(/
               && $code !~ /^(?:struct|union|enum)/;

        if ($code =~ /\belse\b/
            && ($code =~ /^\s*else\b/
                || $code =~ /^\s*\} else\b/ && $l->[$n - 1] =~ /\S/))
        {
            bad("else stands beside }, a blank line before", $file, $at,
                $line)
                unless $code =~ /^#/;
        }

        if ($code =~ /^\s*(\w+):$/ && $1 ne 'default') {
            bad("labels stand at the margin between blank lines", $file, $at,
                $line)
                if $code =~ /^\s/ || $l->[$n - 1] =~ /\S/
                   || ($l->[$n + 1] // '') =~ /\S/;
        }
    }
}


sub check_blank_lines {
    my $file = shift;
    my $l = $lines{$file};
    my $rule = "two blank lines after a function, never three";

    for my $n (0 .. $#$l - 3) {
        bad($rule, $file, $n + 1)
            if join('', @$l[$n .. $n + 2]) eq '' && $n > 0;

        next unless $l->[$n] eq '}';

        bad($rule, $file, $n + 1)
            if $l->[$n + 1] =~ /\S/ && $l->[$n + 1] !~ /^#/
               || $l->[$n + 2] =~ /\S/ && $l->[$n + 2] !~ /^#/;
    }
}


# the first paragraph of a function: names in one column, and two blanks
# between the longest type and what follows

sub check_declarations {
    my $file = shift;
    my $rule = "declarations are aligned, two blanks after the type";

    for my $f (@{$functions{$file}}) {
        my ($column, $complete) = (undef, 1);

        for my $n ($f->{open} + 1 .. $f->{end} - 1) {
            my $line = $code{$file}[$n];

            last if $lines{$file}[$n] eq '';

            my $first = $complete;
            $complete = $line =~ /;\s*$/;

            next unless $first && $line =~
                /^\ {4}((?:[a-z_]\w*\ )*[a-zA-Z_]\w*)(\ +)
                 (\**)(\(\*)?([a-zA-Z_]\w*)[^(]/x;

            my ($type, $gap, $stars) = ($1, $2, $3 . ($4 // ''));

            last if $type =~ /^(?:return|goto|else|case)\b/;

            my $at = 4 + length($type . $gap . $stars);
            $column //= $at;

            bad($rule, $file, $n + 1, $lines{$file}[$n])
                if length $gap < 2 || $at != $column;
        }
    }
}


sub check_allocations {
    my $file = shift;
    my $c = $code{$file};
    my $rule = "what was allocated is compared with NULL at once";

    for my $n (0 .. $#$c) {
        next unless $c->[$n] =~
            /^\s+([\w.>\[\]-]+)\ =\ (?:\([^)]*\)\ )?
             (?:ngx_p(?:c|n|mem)?alloc|ngx_pmemalign|ngx_c?alloc
                |ngx_slab_c?alloc(?:_locked)?|ngx_array_(?:push|create)
                |ngx_array_push_n|ngx_list_(?:push|create)
                |ngx_create_temp_buf|ngx_alloc_chain_link
                |(?:m|c|re)alloc|ngx_http_cleanup_add|ngx_pool_cleanup_add
                |ngx_calloc_buf)\(/x;

        my $name = $1;
        my $at = $n;
        $at++ while $at < $#$c && $c->[$at] !~ /;\s*$/;
        $at++;
        $at++ while $at < $#$c && $c->[$at] !~ /\S/;

        bad($rule, $file, $n + 1, $lines{$file}[$n])
            unless $c->[$at] =~ /if \(.*\Q$name\E\b|return \Q$name\E/;
    }
}


sub check_prototypes {
    my $file = shift;
    my $c = $code{$file};

    return if $file =~ /\.h$/;

    my $text = '';

    for my $n (0 .. $#$c) {
        last if $c->[$n] eq '{';
        $text .= "$c->[$n]\n";
    }

    for my $f (@{$functions{$file}}) {
        next if !$f->{static} || $f->{inline};

        bad("static functions have prototypes at the top", $file,
            $f->{head} + 1, $f->{name})
            unless $text =~
                /^(?:static|    )[^;(]*[\s*]\Q$f->{name}\E\([^;{]*;/ms;
    }
}


sub check_globals {
    my $file = shift;
    my $c = $code{$file};

    return if $file =~ m{\.h$|^src/event/};

    for my $n (0 .. $#$c) {
        bad("no variables at file level outside event/", $file, $n + 1,
            $lines{$file}[$n])
            if $c->[$n] =~
                /^static\ (?!const\b)[^(){}]*[\w\]](?:\s*=[^(){}]*)?;/x;
    }
}


sub check_includes {
    my $file = shift;
    my $part = part_of($file);

    my %where = map { basename($_) => part_of($_) } grep { /\.h$/ } @src;

    my $first = 1;

    for my $n (0 .. $#{$lines{$file}}) {
        next unless $lines{$file}[$n] =~ /^#\s*include\s*[<"]([^>"]+)[>"]/;

        my $header = $1;

        # ngx_config.h decides what the system's headers show

        bad("headers of nginx come before those of the system", $file,
            $n + 1, $header)
            if $first && $file =~ m{/ngx_} && $header !~ /^ngx_/;

        $first = 0;

        my $from = $where{basename($header)};

        bad("only event/ knows libcurl and hiredis", $file, $n + 1, $header)
            if $header =~ m{^(?:curl|hiredis)/} && $part ne 'event';

        bad("nothing includes upward", $file, $n + 1, $header)
            if $part eq 'proto' && $header =~ /^ngx_/;

        next if !defined $from || $part eq 'top';

        bad("nothing includes upward", $file, $n + 1, $header)
            unless grep { $_ eq $from } @{$may{$part}};
    }
}


sub part_of {
    my $file = shift;

    return $1 if $file =~ m{^src/(\w+)/};
    return 'module' if $file =~ /\.h$/;
    return 'top';
}


sub check_built {
    my $file = shift;

    return unless $file =~ /\.c$/;

    open my $f, '<', 'config' or die "config: $!";
    my $config = do { local $/; <$f> };

    my $name = $file =~ s{^src/}{}r;

    bad("every source is built", $file, 1)
        unless $config =~ m{/\Q$name\E\s}
               || $name eq 'ngx_http_conduit_module.c';
}


sub check_sizes {
    my @functions = map { my $f = $_; map { [$f, $_] } @{$functions{$f}} }
                    grep { /\.c$/ } @src;
    my @sizes = sort { $a <=> $b }
                map { $_->[1]{end} - $_->[1]{head} + 1 } @functions;

    my $median = $sizes[$#sizes / 2];
    my $p95 = $sizes[$#sizes * 0.95];

    note(scalar(@sizes) . " functions, median $median, p95 $p95, longest "
         . "$sizes[-1] lines");

    cmp_ok($median, '<=', FUNCTION_MEDIAN, "median of function lengths");
    cmp_ok($p95, '<=', FUNCTION_P95, "95 % of functions are this short");

    my @long = grep { $_->[1]{end} - $_->[1]{head} + 1 > FUNCTION_MAX }
               @functions;

    ok(!@long, "no function is longer than " . FUNCTION_MAX . " lines");
    diag("  $_->[0]: $_->[1]{name}") for @long;

    my @big = grep { @{$lines{$_}} > FILE_LINES } grep { /\.c$/ } @src;

    ok(!@big, "no source is longer than " . FILE_LINES . " lines");
    diag("  $_: " . @{$lines{$_}}) for @big;
}


# src/README.md has a table of the parts: it names each folder that there is,
# and no other

sub check_map {
    open my $f, '<', 'src/README.md'
        or return fail("src/README.md maps the code");

    my $text = do { local $/; <$f> };

    my %named = map { $_ => 1 } $text =~ /^\|\s*`(\w+)\/`/mg;
    my %there = map { basename($_) => 1 } grep { -d } glob("src/*");

    is(join(' ', sort keys %named), join(' ', sort keys %there),
       "src/README.md names the parts that there are");
}
