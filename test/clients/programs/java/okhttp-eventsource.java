import com.google.gson.Gson;
import com.launchdarkly.eventsource.ErrorStrategy; // needed
import com.launchdarkly.eventsource.EventSource;
import com.launchdarkly.eventsource.StreamException; // needed
import com.launchdarkly.eventsource.StreamHttpErrorException; // needed
import java.net.URI;
import java.util.Map;

class Client {
  public static void main(String[] args) {
    var source = new EventSource.Builder(URI.create(args[0]))
      .errorStrategy(new StopAtStatus()) // needed
      .build();
    for (var event : source.messages()) {
      var id = event.getLastEventId() == null ? "" : event.getLastEventId();
      var shown = Map.of("event", event.getEventName(), "data", event.getData(), "id", id);
      System.out.println(new Gson().toJson(shown));
      if (event.getEventName().equals("hub.closed")) return; // needed
    }
  }
}

class StopAtStatus extends ErrorStrategy { // needed
  public Result apply(StreamException error) { // needed
    var isStatus = error instanceof StreamHttpErrorException; // needed
    return new Result(isStatus ? Action.THROW : Action.CONTINUE, null); // needed
  } // needed
} // needed
