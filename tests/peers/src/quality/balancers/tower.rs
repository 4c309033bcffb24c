//! `tower`'s `balance::p2c`, with its own measures of load. Its clock is tokio's, which stands still but for
//! what the simulation adds.

use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures::FutureExt;
use futures::channel::mpsc::{UnboundedReceiver, UnboundedSender, unbounded};
use futures::channel::oneshot::{Receiver, Sender, channel};
use tokio::runtime::{Builder, Runtime};
use tower::Service;
use tower::balance::p2c::Balance;
use tower::discover::Change;
use tower::load::{CompleteOnResponse, Load, PeakEwma, PendingRequests};
use tower::util::rng::Rng;

use crate::quality::balancer::{Ask, Balancer, Verdict};
use crate::quality::endpoint::{Endpoint, Micros, Report};
use crate::quality::scenario::Scenario;
use crate::random::Xorshift;

/// What linkerd's proxy sets it to.
const DECAY: Duration = Duration::from_secs(10);

/// Refused.
#[derive(Debug)]
struct Refused;

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("refused")
    }
}

impl std::error::Error for Refused {}

/// Which endpoint was called last, and what ends the call.
type Called = Rc<Cell<Option<(usize, Sender<Result<(), Refused>>)>>>;

/// An endpoint as its clients see it. It is always ready: no client knows before.
struct Client {
    endpoint: usize,
    called: Called,
}

impl Service<()> for Client {
    type Response = ();
    type Error = Refused;
    type Future = Answer;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), Refused>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _request: ()) -> Answer {
        let (sender, receiver) = channel();
        self.called.set(Some((self.endpoint, sender)));
        Answer(receiver)
    }
}

/// An answer to come.
struct Answer(Receiver<Result<(), Refused>>);

impl Future for Answer {
    type Output = Result<(), Refused>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.poll_unpin(context).map(|answer| answer.expect("it is answered before it is forgotten"))
    }
}

impl Rng for Xorshift {
    fn next_u64(&mut self) -> u64 {
        self.next()
    }
}

type Event<L> = Result<Change<usize, L>, Refused>;
type Balanced<L> = Balance<UnboundedReceiver<Event<L>>, ()>;

struct Tower<L: Service<(), Error = Refused>> {
    balanced: Balanced<L>,
    events: UnboundedSender<Event<L>>,
    wrap: Box<dyn Fn(Client) -> L>,
    called: Called,
    pending: Vec<Option<Pending>>,
    // Last, so that its clock is there for what is dropped before.
    clock: Clock,
}

type Pending = (Sender<Result<(), Refused>>, Pin<Box<dyn Future<Output = Result<(), tower::BoxError>>>>);

/// tokio's clock, of a runtime that never runs.
struct Clock {
    runtime: Runtime,
    now: Micros,
}

impl Clock {
    fn new() -> Self {
        let runtime = Builder::new_current_thread().enable_time().start_paused(true).build();
        Self { runtime: runtime.expect("a runtime without threads"), now: 0 }
    }

    /// Does something at that time.
    fn at<R>(&mut self, now: Micros, act: impl FnOnce() -> R) -> R {
        let _entered = self.runtime.enter();
        let passed = Duration::from_micros(now - self.now);
        self.now = now;
        // The first poll moves the clock; what it waits for after that is other tasks' turn.
        let _ = tokio::time::advance(passed).now_or_never();
        act()
    }
}

/// Latency times requests out.
pub fn peak_ewma(scenario: &Scenario, seed: u64) -> Box<dyn Balancer> {
    // What an endpoint counts as before its first answer.
    let unknown = Duration::from_micros(scenario.service.mean as u64);
    let decay = DECAY.as_nanos() as f64;
    Tower::boxed(seed, move |client| PeakEwma::new(client, unknown, decay, CompleteOnResponse::default()))
}

/// Requests out.
pub fn pending(seed: u64) -> Box<dyn Balancer> {
    Tower::boxed(seed, |client| PendingRequests::new(client, CompleteOnResponse::default()))
}

impl<L> Tower<L>
where
    L: Service<(), Response = (), Error = Refused, Future: 'static> + Load<Metric: std::fmt::Debug> + 'static,
{
    fn boxed(seed: u64, wrap: impl Fn(Client) -> L + 'static) -> Box<dyn Balancer> {
        let (events, stream) = unbounded();
        let balanced = Balance::from_rng(stream, Xorshift::new(seed));
        let (called, wrap) = (Called::default(), Box::new(wrap));
        Box::new(Self { balanced, events, wrap, called, pending: Vec::new(), clock: Clock::new() })
    }
}

impl<L> Balancer for Tower<L>
where
    L: Service<(), Response = (), Error = Refused, Future: 'static> + Load<Metric: std::fmt::Debug>,
{
    fn add(&mut self, endpoint: usize, now: Micros) {
        let client = Client { endpoint, called: Rc::clone(&self.called) };
        let wrapped = self.clock.at(now, || (self.wrap)(client));
        self.events.unbounded_send(Ok(Change::Insert(endpoint, wrapped))).expect("the balancer lives");
    }

    fn report(&mut self, _endpoint: usize, _report: Report, _now: Micros) {}

    fn select(&mut self, ask: &Ask<'_>, _truth: &[Endpoint], now: Micros) -> Option<usize> {
        let balanced = &mut self.balanced;
        let answer = self.clock.at(now, || {
            let mut context = Context::from_waker(Waker::noop());
            // A poll may stop half-way through many endpoints that became ready; it has woken its task then.
            while balanced.poll_ready(&mut context).map(|ready| ready.expect("doesn't fail")).is_pending() {}
            balanced.call(())
        });
        let (endpoint, sender) = self.called.take().expect("one was called");
        if self.pending.len() <= ask.request {
            self.pending.resize_with(ask.request + 1, || None);
        }
        self.pending[ask.request] = Some((sender, Box::pin(answer)));
        Some(endpoint)
    }

    fn end(&mut self, request: usize, verdict: Verdict, _after: Micros, now: Micros) {
        let (sender, answer) = self.pending[request].take().expect("it was selected");
        self.clock.at(now, || {
            // A call that is given up is dropped.
            if verdict != Verdict::TimedOut {
                let answered = if verdict == Verdict::Answered { Ok(()) } else { Err(Refused) };
                sender.send(answered).expect("it is waited for");
                let _ = answer.now_or_never().expect("it is answered");
            }
        });
    }
}
