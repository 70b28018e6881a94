use eventsource_stream::Eventsource;
use futures::StreamExt;
use std::time::Duration;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let url = std::env::args().nth(1).unwrap();
    let (mut last_event_id, mut retry) = (String::new(), Duration::from_secs(3));
    loop {
        let request = reqwest::Client::new().get(&url).header("Accept", "text/event-stream");
        let request = match last_event_id.as_str() {
            "" => request,
            id => request.header("Last-Event-ID", id),
        };
        if let Ok(response) = request.send().await {
            if response.status() == 204 {
                return;
            }
            let mut stream = response.bytes_stream().eventsource();
            while let Some(Ok(event)) = stream.next().await {
                println!("{}", serde_json::json!({ "event": event.event, "data": event.data, "id": event.id }));
                if event.event == "hub.closed" {
                    return;
                }
                last_event_id = event.id;
                retry = event.retry.unwrap_or(retry);
            }
        }
        tokio::time::sleep(retry).await; // disconnected: reconnect
    }
}
