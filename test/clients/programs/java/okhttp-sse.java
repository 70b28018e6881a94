import com.google.gson.Gson;
import java.time.Duration;
import java.util.Map;
import java.util.concurrent.CompletableFuture; // needed
import java.util.concurrent.TimeUnit; // needed
import okhttp3.OkHttpClient;
import okhttp3.Request;
import okhttp3.Response;
import okhttp3.sse.EventSource;
import okhttp3.sse.EventSourceListener;
import okhttp3.sse.EventSources;

class Client extends EventSourceListener {
  // A stream may be silent until its next heartbeat; okhttp gives up after 10 s by itself.
  static final OkHttpClient http = new OkHttpClient.Builder().readTimeout(Duration.ofSeconds(60)).build();
  static Request request;
  static String lastEventId; // needed

  public static void main(String[] args) {
    request = new Request.Builder().url(args[0]).build();
    new Client().connect();
  }

  void connect() {
    if (lastEventId != null) request = request.newBuilder().header("Last-Event-ID", lastEventId).build(); // needed
    EventSources.createFactory(http).newEventSource(request, this);
  }

  @Override
  public void onEvent(EventSource source, String id, String type, String data) {
    var shown = Map.of("event", type == null ? "message" : type, "data", data, "id", id == null ? "" : id);
    System.out.println(new Gson().toJson(shown));
    if (id != null) lastEventId = id; // needed
    if ("hub.closed".equals(type)) System.exit(0); // needed
  }

  void connectLater() { // needed
    var ms = 3000 + (long) (Math.random() * 3000); // needed
    CompletableFuture.delayedExecutor(ms, TimeUnit.MILLISECONDS).execute(this::connect); // needed
  } // needed

  @Override // needed
  public void onClosed(EventSource source) { connectLater(); } // needed

  @Override // needed
  public void onFailure(EventSource source, Throwable error, Response response) { // needed
    if (response != null && response.code() == 204) System.exit(0); // needed
    connectLater(); // needed
  } // needed
}
