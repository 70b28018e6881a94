use futures::StreamExt;
use sse_stream::SseByteStream;
use std::time::Duration;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let url = std::env::args().nth(1).unwrap();
    let (mut last_event_id, mut retry) = (String::new(), 3000);
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
            let mut stream = SseByteStream::new(response.bytes_stream());
            while let Some(Ok(block)) = stream.next().await {
                last_event_id = block.id.unwrap_or(last_event_id);
                retry = block.retry.unwrap_or(retry);
                let Some(data) = block.data else { continue };
                let event = block.event.unwrap_or("message".into());
                println!("{}", serde_json::json!({ "event": event, "data": data, "id": last_event_id }));
                if event == "hub.closed" {
                    return;
                }
            }
        }
        tokio::time::sleep(Duration::from_millis(retry)).await; // disconnected: reconnect
    }
}
