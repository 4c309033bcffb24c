//! Each option against each strategy: a cell is a small traffic whose shares a naive oracle gives, or a rule
//! that each lease keeps.
//!
//! The oracle is one sentence: of those that may serve, each gets a share in proportion to its weight, times
//! what slow start and health leave of it. Strategies that go where there is room keep to it when as many
//! leases are out as in [`World::OUT`]; those that place keys, over many keys.

mod breakers;
mod factors;
mod keys;
mod places;

use std::cell::RefCell;
use std::collections::VecDeque;

use trilane::route::{Class, Endpoint, Lease, Options, Request, RoutingKey, SelectError, Strategy};
use trilane::time::{Duration, Instant};
use trilane_tests::routing::{Router, Routes};

thread_local! {
    static WRONG: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// Notes a cell that isn't as it should be.
fn cell(name: &str, right: bool, what: impl FnOnce() -> String) {
    if !right {
        WRONG.with_borrow_mut(|wrong| wrong.push(format!("{name}: {}", what())));
    }
}

/// One row of the table: `check` under each strategy; panics with all cells that are wrong.
macro_rules! row {
    ($check:ident) => {{
        trilane_tests::for_each_strategy!($check);
        $crate::assert_no_cell_is_wrong();
    }};
}
pub(crate) use row;

fn assert_no_cell_is_wrong() {
    let wrong = WRONG.take();
    assert!(wrong.is_empty(), "{} cells are wrong\n{}", wrong.len(), wrong.join("\n"));
}

/// Whether the strategy places keys.
fn places_keys(name: &str) -> bool {
    matches!(name, "ring" | "Maglev" | "consistent hash" | "adaptive")
}

type Held<S> = Lease<&'static Router<S>>;

/// Traffic over a few endpoints: keyed or not, with leases that stay out for a while.
struct World<S: Strategy<1, 16, 4> + 'static> {
    routes: Routes<S>,
    class: Class,
    now: Instant,
    keyed: bool,
    next_key: u64,
    held: VecDeque<(usize, Held<S>)>,
}

impl<S: Strategy<1, 16, 4> + 'static> World<S> {
    /// How many leases are out at a time.
    const OUT: usize = 120;

    fn new(strategy: S, options: Options, endpoints: impl IntoIterator<Item = Endpoint>) -> Self {
        let routes = Routes::new(strategy, options, endpoints);
        let (class, held) = (Class::ANY, VecDeque::new());
        let mut world = Self { routes, class, now: Instant::ZERO, keyed: false, next_key: 0, held };
        world.pass(Duration::from_secs(1_000));
        world
    }

    fn request(&mut self) -> Request<'static> {
        self.next_key += 1;
        let request = Request::new(self.class);
        if self.keyed { request.key(RoutingKey::from_id(self.next_key)) } else { request }
    }

    /// Time passes, without requests.
    fn pass(&mut self, span: Duration) {
        self.now += span;
        (0..4).for_each(|_| self.routes.balancer.tick(self.now));
    }

    /// One request; its lease stays out until as many others are.
    fn send(&mut self) -> Result<usize, SelectError> {
        if self.held.len() >= Self::OUT {
            self.held.pop_front();
        }
        let request = self.request();
        let (at, lease) = self.routes.select(&request, self.now)?;
        self.held.push_back((at, lease));
        Ok(at)
    }

    /// Who gets how much of `selects` requests, in permille, once those before are over.
    fn shares(&mut self, selects: u64) -> Vec<u64> {
        (0..2 * Self::OUT).for_each(|_| _ = self.send());
        let mut counts = vec![0; self.routes.ids.len()];
        for _ in 0..selects {
            if let Ok(at) = self.send() {
                counts[at] += 1;
            }
        }
        counts.iter().map(|count| count * 1_000 / selects).collect()
    }
}

/// In proportion to `weights`, in permille.
fn due(weights: &[u64]) -> Vec<u64> {
    let sum = weights.iter().sum::<u64>().max(1);
    weights.iter().map(|weight| weight * 1_000 / sum).collect()
}

/// Whether each share is what is due, to within 15 permille of all traffic and an eighth of the share (a
/// quarter on a ring, where chance places points).
fn are_near(name: &str, shares: &[u64], due: &[u64]) -> bool {
    let part = if name == "ring" { 4 } else { 8 };
    shares.iter().zip(due).all(
        |(&share, &due)| {
            if due == 0 { share == 0 } else { share.abs_diff(due) <= 15 + due / part }
        },
    )
}

/// A cell of shares: without keys, and with where the strategy places them.
fn shares_are<S: Strategy<1, 16, 4> + 'static>(name: &str, world: &mut World<S>, weights: &[u64]) {
    let due = due(weights);
    for keyed in [false, true] {
        if keyed && !places_keys(name) {
            break;
        }
        world.keyed = keyed;
        let shares = world.shares(8_000);
        cell(name, are_near(name, &shares, &due), || {
            format!("{shares:?} instead of {due:?}{}", if keyed { ", by keys" } else { "" })
        });
    }
}
