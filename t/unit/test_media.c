
/*
 * Copyright (C) Conduit for nginx authors
 */


#include <stdlib.h>

#include "conduit_blob.h"
#include "conduit_media.h"
#include "tap.h"


#define sniff(s)  conduit_media_sniff((const u_char *) (s), sizeof(s) - 1)
#define classify(s)                                                          \
    conduit_media_classify((const u_char *) (s), sizeof(s) - 1)


static void test_sniff(void);
static void test_names(void);
static void test_expiry(void);
static void test_base64(void);
static void test_parts(void);
static void test_data_url(void);
static void test_blob(void);
static void test_types(void);


int
main(void)
{
    test_sniff();
    test_names();
    test_expiry();
    test_base64();
    test_parts();
    test_data_url();
    test_blob();
    test_types();

    return done_testing();
}


static void
test_sniff(void)
{
    is_str(sniff("\x89PNG\r\n\x1a\n....")->ext, "png", "png");
    is_str(sniff("\x89PNG\r\n\x1a\n....")->mime, "image/png", "image/png");
    is_str(sniff("\xff\xd8\xff\xe0..JFIF")->ext, "jpg", "jpg");
    is_str(sniff("\xff\xd8\xff\xe0..JFIF")->mime, "image/jpeg",
           "image/jpeg");
    is_str(sniff("RIFF\0\0\0\0WEBPVP8 ")->ext, "webp", "webp");
    is_str(sniff("RIFF\0\0\0\0WAVEfmt ")->ext, "bin", "wave is no picture");
    is_str(sniff("GIF87a")->ext, "gif", "gif 87");
    is_str(sniff("GIF89a")->ext, "gif", "gif 89");
    is_str(sniff("\0\0\0\x18" "ftypisom")->ext, "mp4", "mp4");
    is_str(sniff("\0\0\0\x18" "ftypmp42")->mime, "video/mp4", "video/mp4");
    is_str(sniff("\0\0\0\x18" "ftypavif")->ext, "bin", "avif is no video");
    is_str(sniff("\0\0\0\x18" "ftypM4A ")->ext, "bin", "m4a is no video");
    is_str(sniff("\x1a\x45\xdf\xa3\x9f\x42\x86\x81\x01\x42\x82\x84webm")->ext,
           "webm", "webm");
    is_str(sniff("\x1a\x45\xdf\xa3\x9f\x42\x82\x40\x04webm")->mime,
           "video/webm", "webm with a long size");
    is_str(sniff("\x1a\x45\xdf\xa3\x9f\x42\x82\x88matroska")->ext, "bin",
           "matroska is not webm");
    is_str(sniff("\x1a\x45\xdf\xa3\x9f\x42\x82\x84web")->ext, "webm",
           "webm cut short");
    is_str(sniff("\x1a\x45\xdf\xa3\x9f\x42\x86\x81\x01")->ext, "webm",
           "webm without a document type in sight");
    is_str(sniff("<html>")->ext, "bin", "text");
    is_str(sniff("<html>")->mime, "application/octet-stream",
           "application/octet-stream");
    is_str(sniff("")->ext, "bin", "nothing");
    is_str(conduit_media_sniff(NULL, 0)->ext, "bin", "no data at all");
}


static void
test_names(void)
{
    size_t  len;
    u_char  name[CONDUIT_MEDIA_NAME_LEN];

    static const u_char  rnd[CONDUIT_MEDIA_RANDOM] = {
        0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77,
        0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff
    };

    len = conduit_media_name(name, rnd, sniff("GIF89a"));

    is_str((char *) name, "00112233445566778899aabbccddeeff.gif", "name");
    is_num(len, 36, "its length");
    is_num(conduit_media_classify(name, len), CONDUIT_MEDIA_RESULT,
           "is a result's");

    len = conduit_media_name(name, rnd,
                             sniff("\x1a\x45\xdf\xa3\x42\x82\x84webm"));

    is_num(len + 1, CONDUIT_MEDIA_NAME_LEN, "the longest name fits");

    len = conduit_media_temp_name(name, rnd);

    is_str((char *) name, "00112233445566778899aabbccddeeff.tmp",
           "temporary name");
    is_num(conduit_media_classify(name, len), CONDUIT_MEDIA_TEMP,
           "is an unfinished file's");

    is_num(classify("index.html"), CONDUIT_MEDIA_FOREIGN, "short name");
    is_num(classify("00112233445566778899aabbccddeeff"),
           CONDUIT_MEDIA_FOREIGN, "no extension");
    is_num(classify("00112233445566778899aabbccddeeff."),
           CONDUIT_MEDIA_FOREIGN, "empty extension");
    is_num(classify("00112233445566778899aabbccddeeff.txt"),
           CONDUIT_MEDIA_FOREIGN, "unknown extension");
    is_num(classify("00112233445566778899aabbccddeeff.pngx"),
           CONDUIT_MEDIA_FOREIGN, "longer extension");
    is_num(classify("00112233445566778899AABBCCDDEEFF.png"),
           CONDUIT_MEDIA_FOREIGN, "upper case");
    is_num(classify("0011223344556677889/aabbccddeeff.png"),
           CONDUIT_MEDIA_FOREIGN, "slash");
    is_num(classify("000112233445566778899aabbccddeeff.png"),
           CONDUIT_MEDIA_FOREIGN, "33 digits");
    is_num(classify(""), CONDUIT_MEDIA_FOREIGN, "empty name");
}


static void
test_expiry(void)
{
    is_num(conduit_media_expired(CONDUIT_MEDIA_RESULT, 100, 60, 159), 0,
           "a result lives");
    is_num(conduit_media_expired(CONDUIT_MEDIA_RESULT, 100, 60, 160), 1,
           "for its ttl");
    is_num(conduit_media_expired(CONDUIT_MEDIA_RESULT, 100, 60, 50), 0,
           "a file from the future lives");
    is_num(conduit_media_expired(CONDUIT_MEDIA_TEMP, 100, 60, 3699), 0,
           "an unfinished file outlives the ttl");
    is_num(conduit_media_expired(CONDUIT_MEDIA_TEMP, 100, 60, 3700), 1,
           "but not its hour");
    is_num(conduit_media_expired(CONDUIT_MEDIA_FOREIGN, 0, 1, INT64_MAX), 0,
           "a foreign file stays");
    is_num(conduit_media_left(100, 60, 130), 30, "half is left");
    is_num(conduit_media_left(100, 60, 1000), 0, "nothing is left");
}


static void
test_base64(void)
{
    size_t  i, j, n;
    u_char  in[64], coded[96], back[96];

    static const struct {
        const char  *text;
        const char  *expected;
    } good[] = {
        { "Zg==", "f" },
        { "Zm8=", "fo" },
        { "Zm9v", "foo" },
        { "Zm9vYg==", "foob" },
        { "Zm9vYmE=", "fooba" },
        { "Zm9vYmFy", "foobar" },
        { "+/+/", "\xfb\xff\xbf" }
    };

    static const char  *bad[] = {
        "", "=", "====", "Z", "Zg", "Zg=", "Zg===", "Z===", "Zm9", "Zm9v=",
        "Zh==", "Zm9=", "Zg==Zg==", "Zm9v\n", " Zm9v", "Zm9-", "Zm9_",
        "Zm=v", "Z=9v", "Zm9v====", "\xff\xff\xff\xff"
    };

    for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        is_num(conduit_base64_decode(back, &n, (u_char *) good[i].text,
                                     strlen(good[i].text)),
               CONDUIT_OK, "\"%s\" is base64", good[i].text);
        is_mem(back, n, good[i].expected, strlen(good[i].expected),
               "of \"%s\"", good[i].expected);
    }

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        is_num(conduit_base64_decode(back, &n, (u_char *) bad[i],
                                     strlen(bad[i])),
               CONDUIT_ERROR, "\"%s\" is not", bad[i]);
    }

    for (i = 0; i < sizeof(in); i++) {
        in[i] = (u_char) (i * 37 + 11);
    }

    for (i = 1; i <= sizeof(in); i++) {
        j = conduit_base64_encode(coded, in, i);

        if (j != conduit_base64_encoded_len(i)
            || conduit_base64_decode(coded, &n, coded, j) != CONDUIT_OK
            || n != i || memcmp(coded, in, n) != 0)
        {
            break;
        }
    }

    is_num(i, sizeof(in) + 1, "there and back, in place");
}


static void
test_parts(void)
{
    int     end;
    size_t  n, used;
    u_char  back[16];

    is_num(conduit_base64_decode_part(back, &n, (u_char *) "Zm9vYm", 6,
                                      &used, &end),
           CONDUIT_OK, "a part");
    is_num(used, 4, "whole quads are used");
    is_num(n, 3, "and decoded");
    is_num(end, 0, "no end yet");

    is_num(conduit_base64_decode_part(back, &n, (u_char *) "YmE=", 4,
                                      &used, &end),
           CONDUIT_OK, "the last part");
    is_num(end, 1, "ends it");
    is_mem(back, n, "ba", 2, "its bytes");

    is_num(conduit_base64_decode_part(back, &n, (u_char *) "YmE=Y", 5,
                                      &used, &end),
           CONDUIT_ERROR, "something after the end");

    is_num(conduit_base64_decode_part(back, &n, (u_char *) "Ym", 2, &used,
                                      &end),
           CONDUIT_OK, "less than a quad");
    is_num(used, 0, "waits");
}


static void
test_data_url(void)
{
    u_char         url[] = "data:image/png;base64,Zm9v";
    u_char         plain[] = "data:text/plain,foo";
    u_char         none[] = "data:,;base64";
    u_char         cut[] = "data:;base64";
    u_char         raw[] = "Zm9v";
    conduit_str_t  value;

    value.data = url;
    value.len = sizeof(url) - 1;

    is_num(conduit_media_data_url(&value), CONDUIT_OK, "a data URL");
    is_mem(value.data, value.len, "Zm9v", 4, "loses its head");

    value.data = raw;
    value.len = sizeof(raw) - 1;

    is_num(conduit_media_data_url(&value), CONDUIT_OK, "no data URL");
    is_mem(value.data, value.len, "Zm9v", 4, "stays");

    value.data = plain;
    value.len = sizeof(plain) - 1;

    is_num(conduit_media_data_url(&value), CONDUIT_DECLINED, "no base64");

    value.data = none;
    value.len = sizeof(none) - 1;

    is_num(conduit_media_data_url(&value), CONDUIT_DECLINED,
           "base64 behind the comma is data");

    value.data = cut;
    value.len = sizeof(cut) - 1;

    is_num(conduit_media_data_url(&value), CONDUIT_DECLINED, "no comma");
}


static void
test_blob(void)
{
    size_t          i;
    conduit_blob_t  blob;

    conduit_blob_init(&blob, 10000);

    for (i = 0; i < 10000; i++) {

        if (conduit_blob_append(&blob, i % 2 ? "b" : "a", 1) != CONDUIT_OK) {
            break;
        }
    }

    is_num(i, 10000, "a blob grows to its cap");
    is_num(conduit_blob_append(&blob, "c", 1), CONDUIT_DECLINED,
           "and no further");
    is_num(blob.len, 10000, "what it holds stays");
    is_mem(blob.data + 9998, 2, "ab", 2, "in order");
    is_num(conduit_blob_reserve(&blob, (size_t) -1), CONDUIT_DECLINED,
           "a size that would wrap is refused");
    is_num(conduit_blob_append(&blob, NULL, 0), CONDUIT_OK,
           "nothing always fits");

    conduit_blob_free(&blob);
    is_num(blob.len, 0, "freed");
}


static void
test_types(void)
{
    size_t       i;
    const char  *type;

    static const struct {
        const char  *url;
        const char  *type;
    } cases[] = {
        { "https://example.com/a.png", "image/png" },
        { "https://example.com/a.b/c.JPEG?x=/y.gif", "image/jpeg" },
        { "https://example.com/a.mp4#t.png", "video/mp4" },
        { "/a.webm", "video/webm" },
        { "https://example.com/a.html", "" },
        { "https://example.com/a.png/", "" },
        { "https://example.com/png", "" },
        { "https://example.com/a?b.png", "" },
        { "a.", "" },
        { "", "" }
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        type = conduit_media_url_type((const u_char *) cases[i].url,
                                      strlen(cases[i].url));
        is_str(type ? type : "", cases[i].type, "type of %s", cases[i].url);
    }
}
