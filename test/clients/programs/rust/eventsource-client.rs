use eventsource_client::{Client, ClientBuilder, SSE};
use futures::StreamExt;
use launchdarkly_sdk_transport::HyperTransport;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let client = ClientBuilder::for_url(&std::env::args().nth(1).unwrap())?
        .build_with_transport(HyperTransport::builder().build_http()?);
    let mut stream = client.stream();
    while let Some(event) = stream.next().await {
        match event {
            Ok(SSE::Event(event)) => {
                let id = event.id.unwrap_or_default();
                println!("{}", serde_json::json!({ "event": event.event_type, "data": event.data, "id": id }));
                if event.event_type == "hub.closed" { return Ok(()) } // needed
            }
            Ok(SSE::Connected(details)) if details.response().status() == 204 => return Ok(()), // needed
            Ok(_) => {}
            Err(error) => eprintln!("{error}"),
        }
    }
    Ok(())
}
