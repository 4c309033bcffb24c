//! An echo server, and one thread that has a request on the way on each of its connections.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Instant;

use futures::executor::block_on;
use polling::{Event, Events, Poller};

use super::sides::{Socket, Tasks};
use super::taken::{Taken, Window};

const CONNECTIONS: usize = 16;
/// The bytes of a request, and of its answer.
const MESSAGE: usize = 64;

/// Sends all back, until the other side closes.
async fn serve(mut socket: impl Socket) -> io::Result<()> {
    let mut bytes = [0; MESSAGE];
    loop {
        match socket.read(&mut bytes).await? {
            0 => return Ok(()),
            read => socket.write_all(&bytes[..read]).await?,
        }
    }
}

pub fn run(tasks: impl Tasks, requests: u64) -> io::Result<Taken> {
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    let (mut streams, mut servers) = (Vec::new(), Vec::new());
    for _ in 0..CONNECTIONS {
        let stream = TcpStream::connect(listener.local_addr()?)?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        streams.push(stream);
        let (stream, _) = listener.accept()?;
        stream.set_nodelay(true)?;
        servers.push(tasks.spawn(move |tasks| async move { serve(tasks.socket(stream)?).await }));
    }
    let mut client = Client::new(&streams)?;
    // What sockets and tasks need of memory they need once.
    client.send(CONNECTIONS as u64)?;
    client.latencies = Vec::with_capacity(requests as usize);
    let window = Window::open(tasks.threads());
    client.send(requests)?;
    let mut taken = window.close(requests);
    taken.latencies = client.end();
    drop(streams);
    for server in servers {
        block_on(server)?;
    }
    Ok(taken)
}

struct Client<'a> {
    poller: Poller,
    events: Events,
    /// The connections whose answers are there.
    answered: Vec<usize>,
    streams: &'a [TcpStream],
    /// When the request on each was sent.
    sent: Vec<Instant>,
    latencies: Vec<f64>,
}

impl<'a> Client<'a> {
    fn new(streams: &'a [TcpStream]) -> io::Result<Self> {
        let poller = Poller::new()?;
        for (key, stream) in streams.iter().enumerate() {
            // SAFETY: it is deleted before the stream is closed.
            unsafe { poller.add_with_mode(stream, Event::readable(key), polling::PollMode::Level)? };
        }
        let sent = vec![Instant::now(); streams.len()];
        let answered = Vec::with_capacity(streams.len());
        Ok(Self { poller, events: Events::new(), answered, streams, sent, latencies: Vec::new() })
    }

    fn request(&mut self, key: usize) -> io::Result<()> {
        self.sent[key] = Instant::now();
        // There is room for so few.
        (&self.streams[key]).write_all(&[7; MESSAGE])
    }

    /// Sends so many, one after the other on each connection, and waits for all answers.
    fn send(&mut self, requests: u64) -> io::Result<()> {
        let at_once = requests.min(self.streams.len() as u64);
        for key in 0..at_once as usize {
            self.request(key)?;
        }
        let (mut sent, mut left) = (at_once, requests);
        let mut bytes = [0; MESSAGE];
        while left > 0 {
            self.events.clear();
            self.poller.wait(&mut self.events, None)?;
            self.answered.extend(self.events.iter().map(|event| event.key));
            while let Some(key) = self.answered.pop() {
                // An answer of this size comes in one piece.
                (&self.streams[key]).read_exact(&mut bytes)?;
                self.latencies.push(self.sent[key].elapsed().as_nanos() as f64);
                left -= 1;
                if sent < requests {
                    self.request(key)?;
                    sent += 1;
                }
            }
        }
        Ok(())
    }

    fn end(self) -> Vec<f64> {
        for stream in self.streams {
            self.poller.delete(stream).expect("it was added");
        }
        self.latencies
    }
}
