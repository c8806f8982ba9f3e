
/*
 * Copyright (C) Conduit for nginx authors
 */


/*
 * The least that posts by libcurl: a multi handle, kept connections, so many
 * transfers at a time.  It is what the delivery of webhooks is compared with.
 *
 *     poster URL COUNT PARALLEL SIZE
 *
 * posts COUNT bodies of SIZE bytes with the headers of a webhook, and prints
 * the CPU time that it has used, in microseconds for each.
 */


#include <curl/curl.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>


#define POSTER_PARALLEL  256


static void poster_start(CURLM *multi, CURL *easy);
static struct curl_slist *poster_headers(int n);
static size_t poster_write(char *p, size_t size, size_t n, void *data);


static const char         *url;
static char               *body;
static long                size;
static int                 started;
static struct curl_slist  *lists[POSTER_PARALLEL];


int
main(int argc, char **argv)
{
    int             i, n, count, parallel, running, done, left;
    CURL           *easy;
    CURLM          *multi;
    CURLMsg        *msg;
    struct rusage   usage;

    if (argc < 5) {
        return 1;
    }

    url = argv[1];
    count = atoi(argv[2]);
    parallel = atoi(argv[3]);
    size = atol(argv[4]);

    if (parallel > POSTER_PARALLEL) {
        parallel = POSTER_PARALLEL;
    }

    body = malloc((size_t) size);
    multi = curl_multi_init();

    if (body == NULL || multi == NULL) {
        return 1;
    }

    memset(body, 'x', (size_t) size);
    curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, 256L);

    for (i = 0; i < parallel && started < count; i++) {
        poster_start(multi, curl_easy_init());
    }

    done = 0;

    while (done < count) {
        curl_multi_perform(multi, &running);

        for ( ;; ) {
            msg = curl_multi_info_read(multi, &left);

            if (msg == NULL) {
                break;
            }

            if (msg->data.result != CURLE_OK) {
                fprintf(stderr, "poster: %s\n",
                        curl_easy_strerror(msg->data.result));
                return 1;
            }

            easy = msg->easy_handle;
            curl_multi_remove_handle(multi, easy);
            done++;

            if (started < count) {
                curl_easy_reset(easy);
                poster_start(multi, easy);
            }
        }

        if (done < count) {
            curl_multi_poll(multi, NULL, 0, 1000, &n);
        }
    }

    getrusage(RUSAGE_SELF, &usage);

    printf("%.2f\n", ((double) (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec)
                      * 1e6 + (double) (usage.ru_utime.tv_usec
                                        + usage.ru_stime.tv_usec))
                     / count);

    return 0;
}


static void
poster_start(CURLM *multi, CURL *easy)
{
    int  slot;

    slot = started++ % POSTER_PARALLEL;

    curl_slist_free_all(lists[slot]);
    lists[slot] = poster_headers(started);

    curl_easy_setopt(easy, CURLOPT_URL, url);
    curl_easy_setopt(easy, CURLOPT_POSTFIELDS, body);
    curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE, size);
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, lists[slot]);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, poster_write);
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, 10000L);
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, 3000L);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_PROXY, "");

    curl_multi_add_handle(multi, easy);
}


static struct curl_slist *
poster_headers(int n)
{
    char                text[128];
    struct curl_slist  *list;

    list = curl_slist_append(NULL, "Content-Type: application/json");
    list = curl_slist_append(list, "Expect:");
    list = curl_slist_append(list, "User-Agent: poster");

    snprintf(text, sizeof(text), "webhook-id: whe_%022d", n);
    list = curl_slist_append(list, text);
    snprintf(text, sizeof(text), "Idempotency-Key: whe_%022d", n);
    list = curl_slist_append(list, text);

    list = curl_slist_append(list, "webhook-timestamp: 1700000000");
    list = curl_slist_append(list, "webhook-signature: v1,"
                             "g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    list = curl_slist_append(list,
                             "X-Webhook-Type: image_generation_completed");
    list = curl_slist_append(list, "X-Webhook-Timestamp: 1700000000");

    return list;
}


static size_t
poster_write(char *p, size_t len, size_t n, void *data)
{
    return len * n;
}
