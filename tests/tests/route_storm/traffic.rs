//! The threads that select: what they do with their leases, and what they say of endpoints meanwhile.

use std::sync::PoisonError;
use std::sync::atomic::Ordering::SeqCst;
use std::thread;

use trilane::route::*;
use trilane::time::{Duration, Instant};
use trilane_tests::oracle::{Pick, Site};

use crate::storm::*;

impl<'a, S: Strategy<BANKS, PER_BANK, STRIPES>> Storm<'a, S> {
    /// Ends a lease in one of three ways.
    fn end(&self, lease: Held<'a, S>, random: &mut Random) {
        let (id, now) = (lease.endpoint(), self.now());
        self.held(id).fetch_sub(1, SeqCst);
        let latency = Duration::from_micros(random.below(4_000).into());
        let outcome = if id.slot() == 0 { 0 } else { random.below(8) };
        match outcome {
            0..5 if lease.is_probe() => self.history.closing(id, || lease.succeed(latency, now)),
            0..5 => lease.succeed(latency, now),
            5..7 => {
                lease.fail(Duration::ZERO, now);
                if random.below(4) == 0 {
                    let began = self.history.now();
                    let is_open = |stats: EndpointStats| stats.breaker != BreakerState::Closed;
                    // In the critical section no breaker is about to open or close.
                    if critical_section::with(|_| self.balancer.stats(id)).is_ok_and(is_open) {
                        self.history.seen_open(id, began);
                    }
                }
            }
            _ => drop(lease),
        }
    }

    /// Selects once, and sees whether that was right.
    fn select(
        &self,
        selector: &mut Select<'a, S>,
        classes: &[(Class, Asked)],
        random: &mut Random,
    ) -> Option<Held<'a, S>> {
        let now = Instant::from_micros(self.clock.fetch_add(random.below(40).into(), SeqCst));
        let (class, asked) = &classes[random.below(6) as usize];
        let mut request = Request::new(*class);
        if random.below(2) == 0 {
            request = request.key(RoutingKey::from_id(random.below(1_000).into()));
        }
        let tried = [self.handle(any_slot(random)), self.handle(any_slot(random))];
        let tried = match tried {
            [Some(one), Some(other)] if random.below(4) == 0 => &[one, other][..],
            _ => &[],
        };
        let began = self.history.now();
        let selected = selector.select(&request.excluding(tried), now);
        let ended = self.history.now();
        match selected {
            Ok(lease) => {
                let id = lease.endpoint();
                let held = self.held(id).fetch_add(1, SeqCst) + 1;
                self.taken.fetch_add(1, SeqCst);
                assert!(!tried.contains(&id), "{id:?} was tried before");
                match self.history.judge(id, lease.is_probe(), began, ended, asked.matches) {
                    Pick::Eligible(place) => {
                        assert!(place.cap == 0 || held <= place.cap, "{held} leases, a cap of {}", place.cap);
                    }
                    Pick::Ineligible => {
                        panic!("{id:?} was ineligible all the time from {began} to {ended}: {self:?}")
                    }
                    Pick::Forgotten => _ = self.forgotten.fetch_add(1, SeqCst),
                }
                Some(lease)
            }
            Err(error) => {
                self.spoken_of[error.kind()].fetch_add(1, SeqCst);
                let anchored = (asked.matches)(&Site { tags: A, zone: 0, tier: 0, cap: 0 });
                assert!(!anchored || !tried.is_empty(), "{error} although the anchor can always serve");
                None
            }
        }
    }

    pub fn selector(&self, random: &mut Random) -> (Select<'a, S>, [(Class, Asked); 6]) {
        let mut selector = Selector::new(self.balancer, random.next().into()).unwrap();
        let classes = asked().map(|asked| (selector.class(asked.filter).unwrap(), asked));
        (selector, classes)
    }

    pub fn work(&self, worker: u32, selects: u32) {
        let mut random = Random::new(worker.into());
        let (mut selector, mut classes) = self.selector(&mut random);
        let mut own: [Option<Held<'a, S>>; 8] = [const { None }; 8];
        for turn in 0..selects {
            if turn % 256 == 0 {
                self.let_members_change(turn);
            }
            if let Some(lease) = self.select(&mut selector, &classes, &mut random) {
                self.keep(lease, &mut own, &mut random);
            }
            match random.below(64) {
                0..12 => {
                    let passed = self.passed.lock().unwrap_or_else(PoisonError::into_inner).pop();
                    if let Some(lease) = passed {
                        self.end(lease, &mut random);
                    }
                }
                12..16 => self.end_detached(&mut random),
                16..20 => self.set_health(worker, &mut random),
                20..24 => self.report(&mut random),
                24 => self.balancer.tick(self.now()),
                25 => _ = self.balancer.totals(),
                26 => _ = self.balancer.members().count(),
                27 if turn % 16 == 0 => {
                    drop(selector);
                    (selector, classes) = self.selector(&mut random);
                }
                _ => {}
            }
        }
        own.into_iter().flatten().for_each(|lease| self.end(lease, &mut random));
    }

    /// Waits for the thread that changes the members if it is behind: on a busy machine it may not run for
    /// long. Not for ever, so that its panic ends the test.
    fn let_members_change(&self, turn: u32) {
        for _ in 0..100_000 {
            // Two workers, and a change for each 1,000 selects at the least.
            if self.changes.load(SeqCst) * 400 >= turn as usize {
                break;
            }
            thread::yield_now();
        }
    }

    /// What becomes of a lease.
    fn keep(&self, lease: Held<'a, S>, own: &mut [Option<Held<'a, S>>; 8], random: &mut Random) {
        match random.below(8) {
            0..3 => self.end(lease, random),
            3..6 => {
                if let Some(before) = own[random.below(8) as usize].replace(lease) {
                    self.end(before, random);
                }
            }
            6 => {
                let mut passed = self.passed.lock().unwrap_or_else(PoisonError::into_inner);
                if passed.len() < PASSED {
                    passed.push(lease);
                } else {
                    drop(passed);
                    self.end(lease, random);
                }
            }
            _ => {
                let (id, probe) = (lease.endpoint(), lease.is_probe());
                let expires = self.now() + Duration::from_micros(random.below(2_000).into());
                // Not counted as held from here on: when it expires, nobody says whose it was.
                self.held(id).fetch_sub(1, SeqCst);
                match lease.detach(&self.detached, expires) {
                    Ok(number) => {
                        let mut numbers = self.numbers.lock().unwrap_or_else(PoisonError::into_inner);
                        if numbers.len() < PASSED {
                            numbers.push((number, id, probe));
                        }
                    }
                    Err(DetachError(lease)) => drop(lease),
                }
            }
        }
    }

    fn end_detached(&self, random: &mut Random) {
        let now = self.now();
        if random.below(4) == 0 {
            self.detached.expire(now);
            return;
        }
        let number = self.numbers.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let Some((number, id, probe)) = number else { return };
        let _ended_or_expired = match random.below(4) {
            0 if id.slot() != 0 => self.detached.fail(number, Duration::ZERO, now),
            1 => self.detached.release(number),
            2 => self.detached.attach(number).map(drop),
            _ if probe => self.history.closing(id, || self.detached.succeed(number, Duration::ZERO, now)),
            _ => self.detached.succeed(number, Duration::ZERO, now),
        };
        // In any case it doesn't end again.
        assert!(self.detached.release(number).is_err());
    }

    fn set_health(&self, worker: u32, random: &mut Random) {
        // One worker for each slot, and nobody for the anchor's.
        let slot = any_slot(random) / 2 * 2 + worker as usize;
        let Some(id) = self.handle(slot).filter(|id| id.slot() != 0) else { return };
        let health = match random.below(8) {
            0 | 1 => Health::Unhealthy,
            2 => Health::Unknown,
            3 => Health::Degraded,
            _ => Health::Healthy,
        };
        let healthy = matches!(health, Health::Healthy | Health::Degraded);
        let set = || self.balancer.set_health(id, health, self.now());
        let _was_or_stale = self.history.healing(id, healthy, set);
    }

    fn report(&self, random: &mut Random) {
        let Some(id) = self.handle(any_slot(random)) else { return };
        let cpu = random.below(1_001) as u16;
        let report = Metrics::new(cpu, cpu, cpu.into(), cpu.into(), cpu).unwrap();
        let _taken_or_stale = self.balancer.report(id, report, self.now());
        if let Ok(Some(read)) = self.balancer.metrics(id) {
            assert_eq!(
                (read.cpu(), read.response_ms()),
                (read.memory(), read.connections()),
                "a torn report"
            );
        }
    }
}
