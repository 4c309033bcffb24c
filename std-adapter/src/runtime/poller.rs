//! What the system has for waiting, where that isn't epoll: what `polling` knows.

use std::io;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use polling::{Event, Events, PollMode};

pub(crate) use polling::AsSource;

pub(super) struct Poller {
    poller: polling::Poller,
    /// Belongs to whoever waits.
    events: Mutex<Events>,
}

impl Poller {
    pub fn new() -> io::Result<Self> {
        Ok(Self { poller: polling::Poller::new()?, events: Mutex::new(Events::new()) })
    }

    /// # Safety
    ///
    /// The source is [deleted](Self::delete) before it is closed.
    pub unsafe fn add(&self, source: impl AsSource, key: usize) -> io::Result<()> {
        // SAFETY: the caller's promise.
        unsafe { self.poller.add_with_mode(&source.source(), Event::all(key), PollMode::Edge) }
    }

    pub fn delete(&self, source: impl AsSource) -> io::Result<()> {
        self.poller.delete(source)
    }

    /// Waits for `limit` at most; it may end before. `fire` is given the key of each source with an event,
    /// and whether there may be something to read, and room to write. Only one at a time.
    pub fn wait(&self, limit: Option<Duration>, mut fire: impl FnMut(usize, [bool; 2])) -> io::Result<()> {
        let mut events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        events.clear();
        self.poller.wait(&mut events, limit)?;
        events.iter().for_each(|event| fire(event.key, [event.readable, event.writable]));
        Ok(())
    }

    /// Ends a wait, or prevents the next.
    pub fn notify(&self) {
        // It fails when the notification is there already.
        let _ = self.poller.notify();
    }
}
