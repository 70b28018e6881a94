import com.google.gson.Gson;
import jakarta.ws.rs.client.ClientBuilder;
import jakarta.ws.rs.sse.InboundSseEvent;
import jakarta.ws.rs.sse.SseEventSource;
import java.util.Map;

class Client {
  static String lastEventId; // needed

  public static void main(String[] args) throws InterruptedException {
    open(args[0]);
    Thread.currentThread().join();
  }

  static void open(String url) {
    var target = ClientBuilder.newClient().target(url);
    if (lastEventId != null) target = target.queryParam("lastEventId", lastEventId); // needed
    var source = SseEventSource.target(target).build();
    source.register(Client::show);
    source.register(event -> {}, error -> { // needed
      try { Thread.sleep(3000); } catch (InterruptedException end) { return; } // needed
      open(url); // needed
    }); // needed
    source.open();
  }

  static void show(InboundSseEvent event) {
    if (event.getId() == null) return; // needed
    lastEventId = event.getId(); // needed
    var name = event.getName() == null ? "message" : event.getName();
    var id = event.getId() == null ? "" : event.getId();
    System.out.println(new Gson().toJson(Map.of("event", name, "data", event.readData(), "id", id)));
    if (name.equals("hub.closed")) System.exit(0); // needed
  }
}
