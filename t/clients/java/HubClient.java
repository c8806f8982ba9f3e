// Copyright (C) Conduit for nginx authors

// com.microsoft.signalr as it is: follows TASK to its end and cancels OTHER.

import com.google.gson.Gson;
import com.microsoft.signalr.HubConnection;
import com.microsoft.signalr.HubConnectionBuilder;
import com.microsoft.signalr.TransportEnum;
import io.reactivex.rxjava3.core.Single;
import java.util.List;
import java.util.Map;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;

public class HubClient {
    static final Gson gson = new Gson();
    static final LinkedBlockingQueue<String> happened =
        new LinkedBlockingQueue<>();

    static synchronized void say(Object... words) {
        System.out.println(gson.toJson(words));
        System.out.flush();
    }

    static void until(String what) throws Exception {
        String word;

        do {
            word = happened.poll(60, TimeUnit.SECONDS);
            if (word == null) {
                throw new Exception("no " + what);
            }
        } while (!word.equals(what));
    }

    public static void main(String[] args) throws Exception {
        Map<String, String> env = System.getenv();
        String task = env.get("TASK");
        String other = env.get("OTHER");

        HubConnection connection = HubConnectionBuilder
            .create(env.get("CONDUIT_URL"))
            .withTransport(env.get("TRANSPORT").equals("LongPolling")
                           ? TransportEnum.LONG_POLLING
                           : TransportEnum.WEBSOCKETS)
            .withAccessTokenProvider(
                Single.defer(() -> Single.just(env.get("CONDUIT_KEY"))))
            .build();

        // types and counts of arguments are checked by the client

        connection.on("TaskProgress", (id, progress) -> {
            say("TaskProgress", id, progress);
        }, String.class, Integer.class);

        connection.on("TaskCompleted", (id, result) -> {
            say("TaskCompleted", id, result);
            happened.add("end " + id);
        }, String.class, Map.class);

        connection.on("TaskFailed", (id, error) -> {
            say("TaskFailed", id, error);
            happened.add("end " + id);
        }, String.class, String.class);

        connection.onClosed(error -> {
            say("closed", String.valueOf(error));
            happened.add("closed");
        });

        connection.start().blockingAwait();
        connection.invoke("SubscribeToTask", task).blockingAwait();
        say("subscribed");

        if (!env.get("RELOAD").isEmpty()) {
            until("closed");
            connection.start().blockingAwait();
            say("reconnected");
            connection.send("SubscribeToTask", task);
        }

        until("end " + task);

        connection.invoke("SubscribeToTask", other,
                          List.of("failed", "cancelled")).blockingAwait();

        Map<?, ?> document = connection.invoke(Map.class, "CancelTask", other)
            .blockingGet();
        say("CancelTask", document.get("status"));
        until("end " + other);

        try {
            connection.invoke("Nonsense", task).blockingAwait();

        } catch (RuntimeException e) {
            say("error", e.getMessage());
        }

        connection.stop().blockingAwait();
        say("stopped");
        System.exit(0);
    }
}
