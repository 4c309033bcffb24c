//! A firmware with two routers, of different sizes.

#![no_std]
#![no_main]

use trilane::route::{Balancer, Endpoint, Options, Request, RoundRobin};
use trilane::time::{Duration, Instant};

mod frame;
mod router;

static FLEET: Balancer<RoundRobin, 1, 16> = Balancer::new(RoundRobin, Options::new());
static MORE: Balancer<RoundRobin, 2, 32> = Balancer::new(RoundRobin, Options::new());

board::entry!(main);

fn main() -> ! {
    let served = router::serve(&FLEET).and_then(|()| serve_more()).is_some();
    frame::print(if served { c"done\n" } else { c"failed\n" });
    board::exit(!served as u8)
}

fn serve_more() -> Option<()> {
    let now = Instant::ZERO;
    let id = MORE.add(&Endpoint::new(1), now).ok()?;
    let mut selector = MORE.selector::<1>(1).ok()?;
    selector.select(&Request::ANY, now).ok()?.succeed(Duration::from_millis(1), now);
    selector.select(&Request::ANY, now).ok()?.fail(Duration::from_millis(1), now);
    MORE.remove(id, now).ok().map(|_| ())
}
