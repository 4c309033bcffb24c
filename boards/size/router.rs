//! What the firmwares with a router have in common: endpoints with tags, zones and tiers, breakers, and one
//! request after the other.

use core::hint::black_box;

use trilane::route::*;
use trilane::time::{Duration, Instant};

const NEAR: Zone = Zone::of::<0>();
const GPU: Tags = Tags::NONE.with(Tag::of::<0>());

/// Half of them are far away, and the last two in the second tier.
fn endpoint(number: u64) -> Endpoint {
    let zone = if number.is_multiple_of(2) { NEAR } else { Zone::of::<1>() };
    let tier = if number < 6 { Tier::of::<0>() } else { Tier::of::<1>() };
    Endpoint::new(number).zone(zone).tier(tier).tags(GPU)
}

/// Adds eight endpoints and serves requests, of which those to one endpoint fail at first; then one goes.
pub fn serve<S, const BANKS: usize, const PER_BANK: usize>(
    fleet: &'static Balancer<S, BANKS, PER_BANK>,
) -> Option<()>
where
    S: Strategy<BANKS, PER_BANK, 1>,
{
    let mut now = Instant::ZERO;
    fleet.configure(Options::new().failures(3)).ok()?;
    for number in 0..black_box(8) {
        fleet.add(&endpoint(number), now).ok()?;
    }
    let mut selector = fleet.selector::<2>(1).ok()?;
    let class = selector.class(Filter::ANY.tags(GPU).prefer(NEAR).ok()?).ok()?;
    for turn in 0..black_box(64) {
        let request = Request::new(class).key(RoutingKey::from_id(turn));
        let lease = selector.select(&request, now).ok()?;
        if turn < 32 && lease.endpoint().slot() == 2 {
            lease.fail(Duration::from_millis(1), now);
        } else {
            lease.succeed(Duration::from_millis(1), now);
        }
        now += Duration::from_secs(3);
    }
    let gone = fleet.find(2)?;
    fleet.set_health(gone, Health::Unhealthy, now).ok()?;
    fleet.remove(gone, now).ok()?;
    (fleet.totals().breakers_opened > 0).then_some(())
}
