import com.google.gson.Gson;
import java.time.Duration; // needed
import java.util.Map;
import org.springframework.core.ParameterizedTypeReference;
import org.springframework.http.codec.ServerSentEvent;
import org.springframework.web.reactive.function.client.WebClient;
import reactor.core.publisher.Flux;
import reactor.core.publisher.Mono; // needed
import reactor.util.retry.Retry; // needed

class Client {
  static String lastEventId = ""; // needed
  static Duration retry = Duration.ofSeconds(3); // needed

  public static void main(String[] args) {
    var stream = connect(args[0]);
    stream = Flux.defer(() -> connect(args[0])) // needed
      .repeatWhen(ends -> ends.concatMap(end -> Mono.delay(retry))) // needed
      .retryWhen(Retry.from(failures -> failures.concatMap(failure -> Mono.delay(retry)))); // needed
    stream.blockLast();
  }

  static Flux<ServerSentEvent<String>> connect(String url) {
    return WebClient.create().get().uri(url)
      .header("Accept", "text/event-stream")
      .headers(headers -> { if (!lastEventId.isEmpty()) headers.set("Last-Event-ID", lastEventId); }) // needed
      .retrieve()
      .onStatus(status -> status.value() == 204, response -> { System.exit(0); return Mono.empty(); }) // needed
      .bodyToFlux(new ParameterizedTypeReference<ServerSentEvent<String>>() {})
      .doOnNext(Client::show);
  }

  static void show(ServerSentEvent<String> event) {
    var name = event.event() == null ? "message" : event.event();
    var data = event.data() == null ? "" : event.data();
    var id = event.id() == null ? "" : event.id();
    if (!id.isEmpty()) lastEventId = id; // needed
    if (event.retry() != null) retry = event.retry(); // needed
    if (event.event() == null && event.data() == null) return; // needed
    System.out.println(new Gson().toJson(Map.of("event", name, "data", data, "id", id)));
    if (name.equals("hub.closed")) System.exit(0); // needed
  }
}
