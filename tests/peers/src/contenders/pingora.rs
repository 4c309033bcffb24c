//! `pingora-load-balancing`, as a proxy uses it: a `LoadBalancer` over discovered backends, which it selects
//! by value.

use std::collections::{BTreeSet, HashMap};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::sync::Arc;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use futures::FutureExt;
use pingora_load_balancing::discovery::ServiceDiscovery;
use pingora_load_balancing::selection::{BackendIter, BackendSelection};
use pingora_load_balancing::{Backend, Backends, LoadBalancer};

use crate::contender::{Contender, Worker};
use crate::world::World;

pub struct Pingora<S: BackendSelection> {
    balancer: LoadBalancer<S>,
    discovered: Arc<Discovered>,
    backends: Vec<Backend>,
    /// Whether each endpoint has the tags and is in the zone, which the library knows nothing of.
    matching: Vec<bool>,
}

/// What discovery finds.
struct Discovered(ArcSwap<BTreeSet<Backend>>);

/// The balancer owns its discovery, so it gets a handle.
struct Discovery(Arc<Discovered>);

#[async_trait]
impl ServiceDiscovery for Discovery {
    async fn discover(&self) -> pingora_error::Result<(BTreeSet<Backend>, HashMap<u64, bool>)> {
        // Those not in the map keep the state they have.
        Ok((BTreeSet::clone(&self.0.0.load()), HashMap::new()))
    }
}

/// The address says which endpoint it is: to look that up costs nothing.
fn address(endpoint: usize) -> SocketAddr {
    let [_, a, b, c] = (endpoint as u32).to_be_bytes();
    SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::new(10, a, b, c), 80))
}

fn endpoint(backend: &Backend) -> usize {
    match backend.addr.as_inet() {
        Some(SocketAddr::V4(address)) => (address.ip().to_bits() & 0xff_ffff) as usize,
        _ => unreachable!("all addresses are IPv4's"),
    }
}

impl<S> Pingora<S>
where
    S: BackendSelection + Send + Sync + 'static,
    S::Iter: BackendIter,
{
    pub fn new(world: &World) -> Self {
        let backend = |(endpoint, weight)| {
            Backend::new_with_weight(&address(endpoint).to_string(), weight).expect("an address")
        };
        let weights = world.endpoints.iter().map(|traits| usize::from(traits.weight));
        let backends: Vec<Backend> = weights.enumerate().map(backend).collect();
        let discovered = Arc::new(Discovered(ArcSwap::from_pointee(backends.iter().cloned().collect())));
        let balancer =
            LoadBalancer::from_backends(Backends::new(Box::new(Discovery(Arc::clone(&discovered)))));
        let matching = (0..backends.len()).map(|endpoint| world.matches(endpoint)).collect();
        let pingora = Self { balancer, discovered, backends, matching };
        pingora.update();
        for (endpoint, traits) in world.endpoints.iter().enumerate() {
            pingora.set_up(endpoint, traits.up);
        }
        pingora
    }

    /// An endpoint that isn't one of `tried`, if it finds one.
    pub fn select_other(&self, key: u64, tried: &[usize]) -> Option<usize> {
        let accept = |backend: &Backend, ready: bool| ready && !tried.contains(&endpoint(backend));
        self.balancer.select_with(&key.to_le_bytes(), 1 << 10, accept).as_ref().map(endpoint)
    }

    fn update(&self) {
        self.balancer
            .update()
            .now_or_never()
            .expect("discovery doesn't wait")
            .expect("discovery doesn't fail");
    }

    fn change(&self, change: impl FnOnce(&mut BTreeSet<Backend>)) {
        let mut backends = BTreeSet::clone(&self.discovered.0.load());
        change(&mut backends);
        self.discovered.0.store(Arc::new(backends));
        self.update();
    }
}

impl<S> Contender for Pingora<S>
where
    S: BackendSelection + Send + Sync + 'static,
    S::Iter: BackendIter,
{
    type Worker = &'static Self;

    fn worker(&'static self) -> &'static Self {
        self
    }

    fn set_up(&self, endpoint: usize, up: bool) {
        self.balancer.backends().set_enable(&self.backends[endpoint], up);
    }

    fn report(&self, _endpoint: usize, _load: u16) {}

    fn remove(&self, endpoint: usize) {
        self.change(|backends| {
            backends.remove(&self.backends[endpoint]);
        });
    }

    fn add(&self, endpoint: usize) {
        self.change(|backends| {
            backends.insert(self.backends[endpoint].clone());
        });
    }
}

impl<S> Worker for &'static Pingora<S>
where
    S: BackendSelection + Send + Sync + 'static,
    S::Iter: BackendIter,
{
    type Lease = Backend;

    fn select(&mut self, key: u64) -> Backend {
        let accept = |backend: &Backend, ready: bool| ready && self.matching[endpoint(backend)];
        // Enough steps that one is found.
        self.balancer.select_with(&key.to_le_bytes(), 1 << 20, accept).expect("there are candidates")
    }

    fn release(&mut self, lease: Backend) {
        drop(lease);
    }

    fn finish(&mut self, lease: Backend) -> usize {
        endpoint(&lease)
    }
}
