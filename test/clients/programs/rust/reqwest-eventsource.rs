use futures::StreamExt;
use reqwest_eventsource::{Event, EventSource};

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let mut source = EventSource::get(std::env::args().nth(1).unwrap());
    while let Some(event) = source.next().await {
        match event {
            Ok(Event::Open) => {}
            Ok(Event::Message(event)) => {
                println!("{}", serde_json::json!({ "event": event.event, "data": event.data, "id": event.id }));
            }
            Err(error) => eprintln!("{error}"),
        }
    }
}
