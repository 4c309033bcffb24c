//! The gateway: requests, a configuration that is reloaded, checks.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::Duration as Real;

use trilane::route::*;
use trilane::time::Duration;
use trilane_std::clock::Clock;
use trilane_std::route::{Config, Directory, Names, SelectorPool, arc};

const SELECTORS: usize = 4;
type Rule = AnyStrategy<Maglev<251, 16>>;
type Fleet = Balancer<Rule, 1, 16, SELECTORS>;
type Pool = SelectorPool<Arc<Fleet>, Rule, 1, 16, SELECTORS, 1>;

/// How long one try may take, and how long a request as a whole.
const TRY: Real = Real::from_millis(500);
const REQUEST: Duration = Duration::from_secs(3);
/// Who says that a backend is healthy: the checks. Source 0 is the configuration.
const CHECKS: Source = Source::of::<1>();

/// What came of a phase's requests.
#[derive(Clone, Debug, Default)]
pub struct Row {
    /// Answers by backend.
    pub answered: BTreeMap<String, u64>,
    /// Tries that failed.
    pub failed: u64,
    /// Selects that found nobody.
    pub refused: u64,
}

pub struct Gateway {
    clock: Clock,
    pub fleet: Arc<Fleet>,
    pool: Pool,
    clients: Directory<Client>,
    retries: RetryBudget,
    pub over: AtomicBool,
    pub phase: AtomicUsize,
    pub rows: Mutex<Vec<Row>>,
    pub sent: AtomicU64,
    pub answered: AtomicU64,
    pub lost: AtomicU64,
    pub reloads: AtomicUsize,
    pub refused: Mutex<Vec<String>>,
    pub health_changes: AtomicU64,
}

impl Gateway {
    pub fn new() -> Result<Self, Box<dyn std::error::Error>> {
        let strategy = Rule::new(Kind::RoundRobin, ConsistentHash::new(Maglev::new()));
        let fleet: Arc<Fleet> = arc(|| Balancer::new(strategy, Options::new()))?;
        Ok(Self {
            clock: Clock::new(),
            pool: SelectorPool::new(fleet.clone(), SELECTORS, 0x5eed)?,
            fleet,
            clients: Directory::new(),
            // A retry for five requests, and twenty a second besides.
            retries: RetryBudget::new(200, 20),
            over: AtomicBool::new(false),
            phase: AtomicUsize::new(0),
            rows: Mutex::new(vec![Row::default()]),
            sent: AtomicU64::new(0),
            answered: AtomicU64::new(0),
            lost: AtomicU64::new(0),
            reloads: AtomicUsize::new(0),
            refused: Mutex::new(Vec::new()),
            health_changes: AtomicU64::new(0),
        })
    }

    pub fn is_over(&self) -> bool {
        self.over.load(SeqCst)
    }

    fn note(&self, phase: usize, note: impl FnOnce(&mut Row)) {
        note(&mut self.rows.lock().expect("nobody panics with it")[phase]);
    }

    /// One request, tried elsewhere if it fails, unless there have been too many retries lately.
    fn request(&self, number: u64) -> bool {
        let now = self.clock.now();
        let end = now + REQUEST;
        self.retries.deposit(now);
        let mut tried: Tried<3> = Tried::new();
        loop {
            let (now, phase) = (self.clock.now(), self.phase.load(SeqCst));
            let request = Request::ANY.excluding(tried.as_slice());
            // The selector goes back to the pool at once; the lease stays.
            let lease = match self.pool.get().select(&request, now) {
                Ok(lease) => lease,
                Err(_) if now > end => return false,
                Err(_) => {
                    self.note(phase, |row| row.refused += 1);
                    thread::sleep(Real::from_millis(5));
                    continue;
                }
            };
            let Some(client) = self.clients.get(lease.endpoint()) else {
                // It has been removed in this moment.
                continue;
            };
            let outcome = client.ask(&number.to_string());
            let took = self.clock.now() - now;
            match outcome {
                Ok(()) => {
                    lease.succeed(took, self.clock.now());
                    self.note(phase, |row| *row.answered.entry(client.name.clone()).or_default() += 1);
                    return true;
                }
                Err(_) => {
                    let added = tried.add(lease.endpoint());
                    lease.fail(took, self.clock.now());
                    self.note(phase, |row| row.failed += 1);
                    let now = self.clock.now();
                    if added.is_err() || now > end || self.retries.try_withdraw(now).is_err() {
                        return false;
                    }
                }
            }
        }
    }

    pub fn work(&self) {
        while !self.is_over() {
            let number = self.sent.fetch_add(1, SeqCst);
            let count = if self.request(number) { &self.answered } else { &self.lost };
            count.fetch_add(1, SeqCst);
        }
    }

    /// Takes what the file says, or nothing of it.
    fn load(&self, path: &Path, names: &mut Names) -> Result<Synced, Box<dyn std::error::Error>> {
        let config: Config = toml::from_str(&std::fs::read_to_string(path)?)?;
        let config = config.resolve(names)?;
        let mut wanted = Vec::new();
        for named in config.endpoints {
            let address = named.address.ok_or_else(|| format!("\"{}\" has no address", named.name))?;
            wanted.push((named.endpoint, (named.name, address.parse::<SocketAddr>()?)));
        }
        let now = self.clock.now();
        let synced = self.clients.sync(&self.fleet, wanted, now, |(name, address), client| {
            // Who stays keeps its connections.
            client
                .filter(|client| client.address == address)
                .unwrap_or_else(|| Arc::new(Client { name, address, idle: Mutex::default() }))
        })?;
        self.fleet.configure(config.options)?;
        self.fleet.set_kind(config.strategy, now);
        Ok(synced)
    }

    /// Looks whether the file has changed, and takes what it says.
    pub fn reload(&self, path: &Path) {
        let (mut names, mut text) = (Names::new(), String::new());
        while !self.is_over() {
            let latest = std::fs::read_to_string(path).unwrap_or_default();
            if latest != text {
                text = latest;
                match self.load(path, &mut names) {
                    Ok(_) => drop(self.reloads.fetch_add(1, SeqCst)),
                    Err(error) => {
                        let mut refused = self.refused.lock().expect("nobody panics with it");
                        refused.push(error.to_string().lines().last().unwrap_or_default().to_string());
                    }
                }
            }
            thread::sleep(Real::from_millis(10));
        }
    }

    /// Asks each backend now and then how it is.
    pub fn check(&self) {
        let often = Duration::from_millis(100);
        let options = CheckOptions::new().interval(often).unhealthy_interval(often).jitter(often).fall(2);
        let mut checker: HealthChecker<EndpointId, 16> =
            HealthChecker::new(options, 7).expect("no interval is zero");
        while !self.is_over() {
            let now = self.clock.now();
            let gone: Vec<_> =
                checker.iter().map(|(id, _)| id).filter(|id| self.fleet.number(*id).is_err()).collect();
            gone.into_iter().for_each(|id| checker.unwatch(id).expect("it was watched"));
            for id in self.fleet.members() {
                // Most are watched already.
                let _known = checker.watch(id, now);
            }
            while let Some(due) = checker.due(self.clock.now()) {
                let change = match due {
                    Due::Probe(check) => {
                        let client = self.clients.get(check.endpoint);
                        let good = client.is_some_and(|client| client.ask("check").is_ok());
                        checker.report(check, good, self.clock.now()).unwrap_or(None)
                    }
                    Due::TimedOut(_, change) => change,
                };
                if let Some(Change { endpoint, healthy }) = change {
                    let health = if healthy { Health::Healthy } else { Health::Unhealthy };
                    let before = self.fleet.set_health_from(endpoint, CHECKS, health, self.clock.now());
                    self.health_changes.fetch_add(before.is_ok_and(|before| before != health) as u64, SeqCst);
                }
            }
            thread::sleep(Real::from_millis(5));
        }
    }
}

/// What the gateway keeps for a backend.
struct Client {
    name: String,
    address: SocketAddr,
    idle: Mutex<Vec<BufReader<TcpStream>>>,
}

impl Client {
    /// One request over a connection that is idle, or over a new one. When one fails, none is kept.
    fn ask(&self, what: &str) -> io::Result<()> {
        let idle = self.idle().pop();
        let asked = idle.map_or_else(|| self.connect(), Ok).and_then(|mut connection| {
            connection.get_mut().write_all(format!("{what}\n").as_bytes())?;
            let mut line = String::new();
            connection.read_line(&mut line)?;
            // Of a connection that ends in the middle, there is no whole line.
            if line.strip_prefix("ok ").and_then(|line| line.strip_suffix('\n')) == Some(what) {
                Ok(connection)
            } else {
                Err(io::ErrorKind::UnexpectedEof.into())
            }
        });
        match asked {
            Ok(connection) => {
                self.idle().push(connection);
                Ok(())
            }
            Err(error) => {
                self.idle().clear();
                Err(error)
            }
        }
    }

    fn connect(&self) -> io::Result<BufReader<TcpStream>> {
        let stream = TcpStream::connect_timeout(&self.address, TRY)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(TRY))?;
        Ok(BufReader::new(stream))
    }

    fn idle(&self) -> MutexGuard<'_, Vec<BufReader<TcpStream>>> {
        self.idle.lock().expect("nobody panics with it")
    }
}
