//! Those who look at readings, each at those of its own sensors.

use std::collections::HashSet;
use std::error::Error;
use std::sync::Arc;

use async_channel::{Receiver, Sender, bounded};
use trilane::exec::{Cx, JoinHandle};
use trilane::route::{Balancer, ConsistentHash, Endpoint, Lease, Maglev, Options, Request, RoutingKey};
use trilane::time::{Duration, Instant};
use trilane_std::route::{Directory, RouterMetrics, SelectorPool, arc};
use trilane_std::runtime::Handle;

use crate::counts::Counts;
use crate::lines::Reading;

type Hash = ConsistentHash<Maglev<4093, 32>>;
type Fleet = Balancer<Hash, 1, 32, 4>;

/// Readings that wait for one analyst, at most: then whoever brings more waits.
const QUEUE: usize = 64;

/// What to wait for when they are to end.
type Analysts = Vec<JoinHandle<()>>;

struct Job {
    reading: Reading,
    lease: Lease<Arc<Fleet>>,
    came: Instant,
}

/// The analysts, and who gets which reading: a sensor's are all one analyst's, in the order in which they
/// came.
pub struct Pool {
    handle: Handle,
    fleet: Arc<Fleet>,
    selectors: SelectorPool<Arc<Fleet>, Hash, 1, 32, 4, 1>,
    desks: Directory<Sender<Job>>,
    counts: Counts,
}

impl Pool {
    /// So many analysts, who send what they find to `alerts`.
    pub fn new(
        handle: Handle,
        analysts: usize,
        limit: f64,
        counts: Counts,
        alerts: &Sender<String>,
    ) -> Result<(Self, Analysts), Box<dyn Error>> {
        let fleet: Arc<Fleet> = arc(|| Balancer::new(Hash::new(Maglev::new()), Options::new()))?;
        let selectors = SelectorPool::new(fleet.clone(), 4, 0x5eed)?;
        let desks = Directory::new();
        let mut tasks = Vec::new();
        for number in 0..analysts {
            let (desk, jobs) = bounded(QUEUE);
            let id = fleet.add(&Endpoint::new(number as u64), handle.now())?;
            desks.insert(id, Arc::new(desk));
            let (alerts, counts) = (alerts.clone(), counts.clone());
            tasks.push(
                handle.spawn_with(named!("analyst"), move |cx| analyse(cx, limit, jobs, alerts, counts))?,
            );
        }
        // Else the first readings would go by a table that isn't done.
        fleet.finish_build();
        Ok((Self { handle, fleet, selectors, desks, counts }, tasks))
    }

    /// Takes a reading on; waits while its analyst has too much to do.
    pub async fn accept(&self, cx: Cx, reading: Reading) {
        let key = RoutingKey::new(reading.sensor.as_bytes());
        loop {
            let now = self.handle.now();
            let selected = self.selectors.wait().await.select(&Request::ANY.key(key), now);
            if let Ok(lease) = selected
                && let Some(desk) = self.desks.get(lease.endpoint())
            {
                self.counts.accepted.inc();
                // Its queue is closed when nobody accepts any more.
                let _ = desk.send(Job { reading, lease, came: now }).await;
                return;
            }
            let _ = cx.sleep(Duration::from_millis(1)).await;
        }
    }

    /// No more readings will come: the analysts end when they have seen all.
    pub fn close(&self) {
        let desks = self.fleet.members().filter_map(|id| self.desks.get(id));
        desks.for_each(|desk| {
            desk.close();
        });
    }

    /// How the analysts do: what waits for one, or is looked at, are its leases that are out.
    pub fn metrics(&self) -> RouterMetrics {
        RouterMetrics::new(self.fleet.clone())
    }
}

/// Looks at readings until there will be no more.
async fn analyse(cx: Cx, limit: f64, jobs: Receiver<Job>, alerts: Sender<String>, counts: Counts) {
    let mut high = HashSet::new();
    while let Ok(Job { reading: Reading { sensor, value }, lease, came }) = jobs.recv().await {
        let found = match (value >= limit, high.contains(&sensor)) {
            (true, false) => Some(format!("high {sensor} {value}\n")),
            (false, true) => Some(format!("calm {sensor} {value}\n")),
            _ => None,
        };
        if value < limit {
            high.remove(&sensor);
        } else if found.is_some() {
            high.insert(sensor);
        }
        if let Some(alert) = found {
            counts.alerts.inc();
            // Whoever writes ends after those who find.
            let _ = alerts.send(alert).await;
        }
        let now = cx.now();
        lease.succeed(now - came, now);
        counts.handled.inc();
    }
}
