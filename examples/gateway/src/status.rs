//! What there is to see, by HTTP, and on a terminal.

use std::io;
use std::sync::Arc;

use prometheus_client::encoding::prometheus_text::{CONTENT_TYPE, encode};
use trilane::exec::Cx;
use trilane::time::Duration;
use trilane_std::net::{TcpListener, TcpStream};

use crate::World;

/// The longest request's head, in bytes.
const LONGEST: usize = 4 * 1024;
/// Who takes longer to ask, or to take the answer, gets none.
const PATIENCE: Duration = Duration::from_secs(5);

/// Answers whoever asks, until the task is asked to stop.
pub async fn serve(cx: Cx, world: Arc<World>, listener: TcpListener) {
    while let Ok(accepted) = cx.run_until_cancelled(listener.accept()).await {
        let Ok((stream, _)) = accepted else {
            let _ = cx.sleep(Duration::from_millis(10)).await;
            continue;
        };
        let its_world = world.clone();
        // Of one that there is no room for, the other side sees the end.
        let _ = world.handle.spawn_with(named!("request"), move |cx| async move {
            let _ = cx.timeout(PATIENCE, answer(its_world, stream)).await;
        });
    }
}

async fn answer(world: Arc<World>, stream: TcpStream) -> io::Result<()> {
    let mut head = Vec::new();
    let mut bytes = [0; 512];
    while !head.windows(4).any(|end| end == b"\r\n\r\n") && !head.windows(2).any(|end| end == b"\n\n") {
        let length = stream.read(&mut bytes).await?;
        if length == 0 || head.len() + length > LONGEST {
            return stream.write_all(&response("400 Bad Request", "text/plain", "bad request\n")).await;
        }
        head.extend_from_slice(&bytes[..length]);
    }
    let line = String::from_utf8_lossy(&head);
    let mut words = line.split_ascii_whitespace();
    let answer = match (words.next(), words.next()) {
        (Some("GET"), Some("/metrics")) => {
            let mut metrics = String::new();
            encode(&mut metrics, &world.registry).map_err(io::Error::other)?;
            response("200 OK", CONTENT_TYPE, &metrics)
        }
        (Some("GET"), Some("/tasks")) => response("200 OK", "text/plain", &world.handle.dump().to_string()),
        (Some("GET"), Some("/tasks.json")) => {
            response("200 OK", "application/json", &serde_json::to_string(&world.handle.dump())?)
        }
        (Some("GET"), _) => {
            response("404 Not Found", "text/plain", "here are /metrics, /tasks and /tasks.json\n")
        }
        _ => response("405 Method Not Allowed", "text/plain", "GET alone\n"),
    };
    stream.write_all(&answer).await
}

fn response(status: &str, kind: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    let head = format!("HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n");
    format!("{head}Connection: close\r\n\r\n{body}").into_bytes()
}

/// Shows how far it is, on a terminal's line, until the task is asked to stop.
pub async fn show_progress(cx: Cx, world: Arc<World>) {
    while cx.sleep(Duration::from_millis(500)).await.is_ok() {
        let counts = &world.counts;
        let accepted = counts.accepted.get();
        let waiting = accepted.saturating_sub(counts.handled.get());
        eprint!("\raccepted {accepted}, waiting {waiting}, alerts {}    ", counts.alerts.get());
    }
    eprintln!();
}
