//! The thread that changes the members.

use std::sync::atomic::Ordering::SeqCst;

use trilane::route::*;
use trilane::time::Instant;
use trilane_tests::oracle::Site;

use crate::storm::*;

impl<S: Strategy<BANKS, PER_BANK, STRIPES>> Storm<'_, S> {
    /// A random endpoint and its place; `None` if it is switched off.
    fn draw(&self, number: u64, random: &mut Random) -> (Endpoint, Option<Site>) {
        let on = random.below(8) != 0;
        let mut tags = Tags::NONE;
        for (tag, odds) in [(Tag::of::<0>(), 2), (Tag::of::<1>(), 2), (Tag::of::<2>(), 3)] {
            if random.below(odds) == 0 {
                tags = tags.with(tag);
            }
        }
        let (zone, tier) = (random.below(3) as u8, random.below(2) as u8);
        let mut endpoint = Endpoint::new(number).tags(tags).weight(1 + random.below(50) as u16);
        endpoint = endpoint.zone(Zone::new(zone).unwrap()).tier(Tier::new(tier).unwrap());
        endpoint = if random.below(2) == 0 || on { endpoint.enabled(on) } else { endpoint.weight(0) };
        // One in three has a cap that stays, one in three a cap now and then.
        let mut cap = 0;
        if number.is_multiple_of(3) {
            cap = 1 + (number / 3 % 4) as u32;
            endpoint = endpoint.cap(cap);
        } else if number % 3 == 1 && random.below(2) == 0 {
            endpoint = endpoint.cap(1 + random.below(4));
        }
        (endpoint, on.then_some(Site { tags, zone, tier, cap }))
    }

    pub fn anchor(&self, random: &mut Random) -> (Endpoint, Option<Site>) {
        let (zone, more) = (random.below(3) as u8, random.below(2) == 0);
        let tags = if more { AB } else { A };
        let endpoint = Endpoint::new(ANCHOR).tags(tags).weight(1 + random.below(50) as u16);
        (endpoint.zone(Zone::new(zone).unwrap()), Some(Site { tags, zone, tier: 0, cap: 0 }))
    }

    pub fn add(
        &self,
        (endpoint, place): (Endpoint, Option<Site>),
        healthy: bool,
    ) -> Result<EndpointId, AddError> {
        let health = if healthy { Health::Healthy } else { Health::Unhealthy };
        let began = self.history.now();
        let id = self.balancer.add(&endpoint.health(health), self.now())?;
        self.history.added(id, place, healthy, began);
        self.publish(id);
        Ok(id)
    }

    pub fn change_members(&self, random: &mut Random, exchange: &impl Fn(&Router<S>, Kind, Instant)) {
        // By slot; the numbers are those of the endpoints' own.
        let mut numbers = [0; END];
        let mut next = ANCHOR;
        while !self.over.load(SeqCst) {
            let slot = any_slot(random);
            let id = self.handle(slot);
            self.changes.fetch_add(1, SeqCst);
            match (random.below(16), id) {
                (0..3, _) => {
                    next += 1;
                    let healthy = random.below(4) != 0;
                    match self.add(self.draw(next, random), healthy) {
                        Ok(id) => numbers[usize::from(id.slot())] = next,
                        Err(error) => assert_eq!(error, AddError::Full),
                    }
                }
                (3..5, Some(id)) if slot != 0 => {
                    let remove = || self.balancer.remove(id, self.now());
                    let _out_or_stale = self.history.placing(id, None, remove);
                }
                (5..10, Some(id)) => {
                    let number = numbers[slot];
                    let (endpoint, place) =
                        if slot == 0 { self.anchor(random) } else { self.draw(number, random) };
                    // A handle that is stale already is of nobody's history: what it says then isn't taken
                    // for said.
                    if self.balancer.stats(id).is_ok() {
                        let updated = || self.balancer.update(id, &endpoint, self.now());
                        self.history.placing(id, place, updated).unwrap();
                    } else {
                        assert_eq!(self.balancer.update(id, &endpoint, self.now()), Err(UpdateError::Stale));
                    }
                }
                (10, _) => exchange(self.balancer, Kind::ALL[random.below(10) as usize], self.now()),
                (11, _) => _ = self.balancer.finish_build(),
                _ => {
                    // The others get on with it.
                    for _ in 0..random.below(2_000) {
                        std::hint::spin_loop();
                    }
                }
            }
        }
    }
}
