//! `tower`'s `balance::p2c`, as a client uses it: a stream of endpoints, each a service with its pending
//! requests counted.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use futures::FutureExt;
use futures::channel::mpsc::{UnboundedReceiver, UnboundedSender, unbounded};
use futures::task::AtomicWaker;
use tower::Service;
use tower::balance::p2c::Balance;
use tower::discover::Change;
use tower::load::{CompleteOnResponse, PendingRequests};

use crate::contender::{Contender, Worker};
use crate::world::World;

/// Whether an endpoint is up: a service says so itself, by being ready.
pub struct State {
    up: AtomicBool,
    waker: AtomicWaker,
}

/// The service behind the balancer: it answers at once with its number. The answer is not asked for before
/// the lease ends.
pub struct Endpoint {
    index: usize,
    state: Arc<State>,
}

impl Service<()> for Endpoint {
    type Response = usize;
    type Error = Infallible;
    type Future = Ready<Result<usize, Infallible>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        if self.state.up.load(Ordering::Acquire) {
            return Poll::Ready(Ok(()));
        }
        self.state.waker.register(context.waker());
        if self.state.up.load(Ordering::Acquire) { Poll::Ready(Ok(())) } else { Poll::Pending }
    }

    fn call(&mut self, _request: ()) -> Self::Future {
        ready(Ok(self.index))
    }
}

type Event = Result<Change<usize, PendingRequests<Endpoint>>, Infallible>;
type Balanced = Balance<UnboundedReceiver<Event>, ()>;
type Answer = <Balanced as Service<()>>::Future;

/// What changes the endpoints.
struct Control {
    states: Vec<Arc<State>>,
    matching: Vec<bool>,
    events: UnboundedSender<Event>,
}

impl Control {
    fn new(world: &World) -> (Self, Balanced) {
        let (events, stream) = unbounded();
        let state = |traits: &crate::world::Traits| {
            Arc::new(State { up: AtomicBool::new(traits.up), waker: AtomicWaker::new() })
        };
        let states = world.endpoints.iter().map(state).collect();
        let matching = (0..world.endpoints.len()).map(|endpoint| world.matches(endpoint)).collect();
        let control = Self { states, matching, events };
        (0..world.endpoints.len()).for_each(|endpoint| control.add(endpoint));
        (control, Balance::new(stream))
    }

    fn set_up(&self, endpoint: usize, up: bool) {
        let state = &self.states[endpoint];
        state.up.store(up, Ordering::Release);
        if up {
            state.waker.wake();
        }
    }

    fn remove(&self, endpoint: usize) {
        self.send(endpoint, Change::Remove(endpoint));
    }

    fn add(&self, endpoint: usize) {
        let service = Endpoint { index: endpoint, state: Arc::clone(&self.states[endpoint]) };
        let counted = PendingRequests::new(service, CompleteOnResponse::default());
        self.send(endpoint, Change::Insert(endpoint, counted));
    }

    /// Those that don't match are not in this balancer.
    fn send(&self, endpoint: usize, change: Change<usize, PendingRequests<Endpoint>>) {
        if self.matching[endpoint] {
            self.events.unbounded_send(Ok(change)).expect("the balancer lives");
        }
    }
}

fn select(balanced: &mut Balanced) -> Answer {
    let mut context = Context::from_waker(Waker::noop());
    // A poll may stop half-way through many endpoints that became ready; it has woken its task then.
    while balanced.poll_ready(&mut context).map(|ready| ready.expect("doesn't fail")).is_pending() {}
    balanced.call(())
}

fn finish(answer: Answer) -> usize {
    answer.now_or_never().expect("it is there").expect("doesn't fail")
}

/// The balancer in the hands of one thread, as its `&mut self` has it.
pub struct Tower {
    control: Control,
    balanced: Mutex<Option<Balanced>>,
}

impl Tower {
    pub fn new(world: &World) -> Self {
        let (control, balanced) = Control::new(world);
        Self { control, balanced: Mutex::new(Some(balanced)) }
    }
}

/// The balancer in the hands of two threads.
pub struct Shared {
    control: Control,
    balanced: Mutex<Balanced>,
}

impl Shared {
    pub fn new(world: &World) -> Self {
        let (control, balanced) = Control::new(world);
        Self { control, balanced: Mutex::new(balanced) }
    }
}

macro_rules! controlled {
    () => {
        fn set_up(&self, endpoint: usize, up: bool) {
            self.control.set_up(endpoint, up);
        }

        fn report(&self, _endpoint: usize, _load: u16) {}

        fn remove(&self, endpoint: usize) {
            self.control.remove(endpoint);
        }

        fn add(&self, endpoint: usize) {
            self.control.add(endpoint);
        }
    };
}

impl Contender for Tower {
    type Worker = Owner;

    fn worker(&'static self) -> Owner {
        Owner(self.balanced.lock().expect("nobody panics with it").take().expect("there is one owner"))
    }

    controlled!();
}

impl Contender for Shared {
    type Worker = &'static Self;

    fn worker(&'static self) -> &'static Self {
        self
    }

    controlled!();
}

/// Has the balancer to itself.
pub struct Owner(Balanced);

impl Worker for Owner {
    type Lease = Answer;

    fn select(&mut self, _key: u64) -> Answer {
        select(&mut self.0)
    }

    fn release(&mut self, lease: Answer) {
        finish(lease);
    }

    fn finish(&mut self, lease: Answer) -> usize {
        finish(lease)
    }
}

impl Worker for &'static Shared {
    type Lease = Answer;

    fn select(&mut self, _key: u64) -> Answer {
        select(&mut self.balanced.lock().expect("nobody panics with it"))
    }

    fn release(&mut self, lease: Answer) {
        finish(lease);
    }

    fn finish(&mut self, lease: Answer) -> usize {
        finish(lease)
    }
}
