//! What a load balancer does in the simulation.

use super::endpoint::{Endpoint, Micros, Report};

/// A request that looks for an endpoint.
pub struct Ask<'a> {
    /// Which of the balancer's workers it is of.
    pub worker: usize,
    /// The request's number, which no other request has until this one has ended.
    pub request: usize,
    /// What it is placed by, where that counts.
    pub key: u64,
    /// Where it has been.
    pub tried: &'a [usize],
}

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It was answered.
    Answered,
    /// It was refused.
    Refused,
    /// It was given up.
    TimedOut,
}

/// A load balancer, with as many workers as it is told.
pub trait Balancer {
    /// An endpoint is there from now on.
    fn add(&mut self, endpoint: usize, now: Micros);

    /// An endpoint says how it is.
    fn report(&mut self, endpoint: usize, report: Report, now: Micros);

    /// An endpoint for the request. `truth` is how the endpoints really are: for the references alone.
    fn select(&mut self, ask: &Ask<'_>, truth: &[Endpoint], now: Micros) -> Option<usize>;

    /// The request's attempt has ended, `after` microseconds.
    fn end(&mut self, request: usize, verdict: Verdict, after: Micros, now: Micros);
}
