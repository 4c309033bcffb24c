//! What the system has for waiting: epoll, and an eventfd that ends a wait.
//!
//! A wait is one system call. All is registered for edges, once; the eventfd, too: each write to it is an
//! edge, so nobody reads it.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::io::{Errno, write};

pub(crate) use std::os::fd::AsFd as AsSource;

/// The key of the eventfd; no slot has it.
const NOTIFIED: u64 = u64::MAX;

/// So many events are taken at a time.
const AT_ONCE: usize = 256;

/// Its milliseconds are an `i32`.
const LONGEST: Duration = Duration::from_secs(1_000_000);

/// What may let one read, and write; an end and an error let both.
const READS: EventFlags = EventFlags::IN.union(EventFlags::RDHUP).union(EventFlags::PRI).union(ENDS);
const WRITES: EventFlags = EventFlags::OUT.union(ENDS);
const ENDS: EventFlags = EventFlags::HUP.union(EventFlags::ERR);

pub(super) struct Poller {
    epoll: OwnedFd,
    notify: OwnedFd,
}

impl Poller {
    pub fn new() -> io::Result<Self> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        let notify = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        epoll::add(&epoll, &notify, EventData::new_u64(NOTIFIED), EventFlags::IN | EventFlags::ET)?;
        Ok(Self { epoll, notify })
    }

    /// # Safety
    ///
    /// None here; elsewhere the source is [deleted](Self::delete) before it is closed.
    pub unsafe fn add(&self, source: impl AsSource, key: usize) -> io::Result<()> {
        Ok(epoll::add(&self.epoll, source, EventData::new_u64(key as u64), READS | WRITES | EventFlags::ET)?)
    }

    pub fn delete(&self, source: impl AsSource) -> io::Result<()> {
        Ok(epoll::delete(&self.epoll, source)?)
    }

    /// Waits for `limit` at most; it may end before. `fire` is given the key of each source with an event,
    /// and whether there may be something to read, and room to write. Only one at a time.
    pub fn wait(&self, limit: Option<Duration>, mut fire: impl FnMut(usize, [bool; 2])) -> io::Result<()> {
        let mut limit = limit.and_then(|limit| Timespec::try_from(limit.min(LONGEST)).ok());
        if limit.is_some_and(|limit| limit.tv_nsec % 1_000_000 != 0) {
            // epoll_wait counts milliseconds.
            match poll(&mut [PollFd::new(&self.epoll, PollFlags::IN)], limit.as_ref()) {
                Ok(0) | Err(Errno::INTR) => return Ok(()),
                result => result?,
            };
            limit = Some(Timespec::default());
        }
        let mut events = [const { MaybeUninit::uninit() }; AT_ONCE];
        let events = match epoll::wait(&self.epoll, &mut events, limit.as_ref()) {
            Ok((events, _)) => events,
            Err(Errno::INTR) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        for &mut epoll::Event { flags, data } in events {
            if data.u64() != NOTIFIED {
                fire(data.u64() as usize, [flags.intersects(READS), flags.intersects(WRITES)]);
            }
        }
        Ok(())
    }

    /// Ends a wait, or prevents the next.
    pub fn notify(&self) {
        // It fails when there were 2^64 - 1 notifications.
        let _ = write(&self.notify, &1u64.to_ne_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::time::Instant;

    const NEVER: Duration = Duration::from_secs(600);

    #[test]
    fn a_notification_ends_one_wait_the_next_one_if_there_is_none() {
        let poller = Poller::new().unwrap();
        let nothing = |key, _| panic!("an event of {key}");
        for limit in [Some(NEVER), None] {
            poller.notify();
            poller.notify();
            poller.wait(limit, nothing).unwrap();
            let (began, span) = (Instant::now(), Duration::from_millis(3));
            poller.wait(Some(span), nothing).unwrap();
            assert!(began.elapsed() >= span);
        }
    }

    #[test]
    fn a_wait_is_as_long_as_it_should_be_not_rounded_to_milliseconds() {
        let poller = Poller::new().unwrap();
        let span = Duration::from_micros(1_100);
        let waits = (0..50).map(|_| {
            let began = Instant::now();
            poller.wait(Some(span), |key, _| panic!("an event of {key}")).unwrap();
            began.elapsed()
        });
        let shortest = waits.min().unwrap();
        assert!(shortest >= span && shortest < Duration::from_millis(2), "{shortest:?}");
    }

    #[test]
    fn of_many_events_none_is_lost_and_each_comes_once() {
        let poller = Poller::new().unwrap();
        let sources = [(); AT_ONCE + 40].map(|()| eventfd(0, EventfdFlags::CLOEXEC).unwrap());
        for (key, source) in sources.iter().enumerate() {
            // SAFETY: nothing is asked for.
            unsafe { poller.add(source, key) }.unwrap();
        }
        for happened in [[false, true], [true, true]] {
            let mut fired = Vec::new();
            for _ in 0..3 {
                let fire = |key, which| {
                    assert_eq!(which, happened);
                    fired.push(key);
                };
                poller.wait(Some(Duration::ZERO), fire).unwrap();
            }
            fired.sort_unstable();
            assert_eq!(fired, (0..sources.len()).collect::<Vec<_>>());
            for source in &sources {
                write(source, &1u64.to_ne_bytes()).unwrap();
            }
        }
        poller.delete(&sources[0]).unwrap();
        poller.wait(None, |key, _| assert_ne!(key, 0)).unwrap();
    }
}
