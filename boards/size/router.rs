//! What the firmwares with a router have in common: endpoints with tags, zones and tiers, breakers, and a
//! request after the other.

use trilane::route::*;
use trilane::time::{Duration, Instant};

pub type Fleet<S, const BANKS: usize, const PER_BANK: usize> = Balancer<S, BANKS, PER_BANK>;

/// Adds endpoints, half of them far away, a few of the second tier, and serves requests until a breaker has
/// opened and closed.
#[inline(never)]
pub fn serve<S, const BANKS: usize, const PER_BANK: usize>(fleet: &'static Fleet<S, BANKS, PER_BANK>) -> bool
where
    S: Strategy<BANKS, PER_BANK, 1>,
{
    run(fleet).is_some()
}

fn run<S, const BANKS: usize, const PER_BANK: usize>(fleet: &'static Fleet<S, BANKS, PER_BANK>) -> Option<()>
where
    S: Strategy<BANKS, PER_BANK, 1>,
{
    fleet.configure(Options::new().failures(3)).ok()?;
    let mut now = Instant::ZERO;
    let (near, gpu) = (Zone::of::<0>(), Tag::of::<0>());
    for number in 0..8 {
        let zone = if number % 2 == 0 { near } else { Zone::of::<1>() };
        let tier = if number < 6 { Tier::of::<0>() } else { Tier::of::<1>() };
        let tags = if number < 7 { Tags::NONE.with(gpu) } else { Tags::NONE };
        fleet.add(&Endpoint::new(number).zone(zone).tier(tier).tags(tags), now).ok()?;
    }
    let mut selector = fleet.selector::<2>(1).ok()?;
    let class = selector.class(Filter::ANY.tags(Tags::NONE.with(gpu)).prefer(near).ok()?).ok()?;
    for turn in 0..64u32 {
        let request = Request::new(class).key(RoutingKey::from_id(turn.into()));
        let lease = selector.select(&request, now).ok()?;
        if turn < 32 && lease.endpoint().slot() == 2 {
            lease.fail(Duration::from_millis(1), now);
        } else {
            lease.succeed(Duration::from_millis(1), now);
        }
        now += Duration::from_secs(3);
    }
    let gone = fleet.members().next()?;
    fleet.set_health(gone, Health::Unhealthy, now).ok()?;
    fleet.remove(gone, now).ok()?;
    (fleet.totals().members == 7).then_some(())
}
