//! A gateway before five backends, each on a thread with a socket of its own, while this and that goes wrong.
//!
//! ```text
//!                    file --> reload --> Directory::sync
//!                                            |
//!   8 workers --> SelectorPool --> lease --> Directory --> connection --> a b c d e (f)
//!                     ^                                                     ^
//!                     +--- health, breakers <--- checks, outcomes ----------+
//! ```
//!
//! A script makes a backend slow, reloads the configuration, and kills a backend and starts it again, all
//! under traffic. Each request is answered by whoever can: `cargo run -p trilane-std --features serde
//! --example gateway_pool` ends in a few seconds, with `lost 0`.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::{self, JoinHandle};
use std::time::Duration as Real;

use trilane::route::*;
use trilane::time::Duration;
use trilane_std::clock::Clock;
use trilane_std::route::{Config, Directory, Names, SelectorPool, arc};

const WORKERS: usize = 8;
const SELECTORS: usize = 4;
type Rule = AnyStrategy<Maglev<251, 16>>;
type Fleet = Balancer<Rule, 1, 16, SELECTORS>;
type Pool = SelectorPool<Arc<Fleet>, Rule, 1, 16, SELECTORS, 1>;

/// How long one try may take, and how long a request as a whole.
const TRY: Real = Real::from_millis(500);
const REQUEST: Duration = Duration::from_secs(3);
/// How long each phase of the script is.
const PHASE: Real = Real::from_millis(600);
/// Who says that a backend is healthy: the checks. Source 0 is the configuration.
const CHECKS: Source = Source::of::<1>();

// === A backend ===

/// Answers `n` with `ok n`, after a while. It can be killed, and started again at the same address.
struct Backend {
    name: &'static str,
    address: SocketAddr,
    delay: Arc<AtomicU64>,
    running: Option<(Arc<AtomicBool>, JoinHandle<()>)>,
}

const NAMES: [&str; 6] = ["a", "b", "c", "d", "e", "f"];
const USUAL_MILLIS: u64 = 2;

impl Backend {
    fn start(name: &'static str) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let (address, delay) = (listener.local_addr()?, Arc::new(AtomicU64::new(USUAL_MILLIS)));
        let running = Some(serve(listener, delay.clone())?);
        Ok(Self { name, address, delay, running })
    }

    /// Closes its socket and all connections, in the middle of whatever it is at.
    fn kill(&mut self) {
        if let Some((alive, thread)) = self.running.take() {
            alive.store(false, SeqCst);
            thread.join().expect("a backend doesn't panic");
        }
    }

    fn restart(&mut self) -> io::Result<()> {
        self.running = Some(serve(TcpListener::bind(self.address)?, self.delay.clone())?);
        Ok(())
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        self.kill();
    }
}

fn serve(listener: TcpListener, delay: Arc<AtomicU64>) -> io::Result<(Arc<AtomicBool>, JoinHandle<()>)> {
    listener.set_nonblocking(true)?;
    let alive = Arc::new(AtomicBool::new(true));
    let stays = alive.clone();
    let thread = thread::spawn(move || {
        thread::scope(|scope| {
            while stays.load(SeqCst) {
                let Ok((stream, _)) = listener.accept() else {
                    thread::sleep(Real::from_millis(1));
                    continue;
                };
                let (alive, delay) = (&stays, &delay);
                // Its end is the client's business.
                scope.spawn(move || answer(stream, alive, delay));
            }
        });
    });
    Ok((alive, thread))
}

fn answer(mut stream: TcpStream, alive: &AtomicBool, delay: &AtomicU64) -> io::Result<()> {
    stream.set_nonblocking(false)?;
    stream.set_nodelay(true)?;
    // So that it looks whether it has been killed.
    stream.set_read_timeout(Some(Real::from_millis(10)))?;
    let (mut line, mut byte) = (Vec::new(), [0]);
    while alive.load(SeqCst) {
        match stream.read(&mut byte) {
            Ok(0) => return Ok(()),
            Ok(_) if byte[0] == b'\n' => {
                // A check is answered at once.
                if line != b"check" {
                    thread::sleep(Real::from_millis(delay.load(SeqCst)));
                }
                if !alive.load(SeqCst) {
                    return Ok(());
                }
                stream.write_all(&[b"ok ", &line[..], b"\n"].concat())?;
                line.clear();
            }
            Ok(_) => line.push(byte[0]),
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

// === What the gateway keeps for a backend ===

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

// === The gateway ===

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

/// What came of it all.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    /// By phase, with its name.
    pub phases: Vec<(&'static str, Row)>,
    /// Requests.
    pub sent: u64,
    /// Of them, those that were answered.
    pub answered: u64,
    /// Of them, those that weren't.
    pub lost: u64,
    /// Configurations that were taken.
    pub reloads: usize,
    /// Configurations that were refused, with the reason.
    pub refused: Vec<String>,
    /// How often a breaker opened.
    pub breakers_opened: u32,
    /// How often a check found that a backend's health had changed.
    pub health_changes: u64,
    /// Leases out when all was over.
    pub in_flight: u32,
}

struct Gateway {
    clock: Clock,
    fleet: Arc<Fleet>,
    pool: Pool,
    clients: Directory<Client>,
    retries: RetryBudget,
    over: AtomicBool,
    phase: AtomicUsize,
    rows: Mutex<Vec<Row>>,
    sent: AtomicU64,
    answered: AtomicU64,
    lost: AtomicU64,
    reloads: AtomicUsize,
    refused: Mutex<Vec<String>>,
    health_changes: AtomicU64,
}

impl Gateway {
    fn new() -> Result<Self, Box<dyn std::error::Error>> {
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

    fn is_over(&self) -> bool {
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

    fn work(&self) {
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
    fn reload(&self, path: &Path) {
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
    fn check(&self) {
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

// === The script ===

struct Script<'a> {
    gateway: &'a Gateway,
    path: PathBuf,
    phases: Vec<&'static str>,
}

impl Script<'_> {
    /// Tries that begin from now on belong to the next phase.
    fn begin(&mut self, name: &'static str) {
        self.phases.push(name);
        self.gateway.rows.lock().expect("nobody panics with it").push(Row::default());
        self.gateway.phase.store(self.phases.len(), SeqCst);
    }

    /// A phase that lasts a while.
    fn phase(&mut self, name: &'static str) {
        self.begin(name);
        thread::sleep(PHASE);
    }

    /// Writes a configuration, in one piece, and waits until the gateway has taken or refused it.
    fn configure(&self, backends: &[(&Backend, u16)], rest: &str) -> io::Result<()> {
        let mut text = "strategy = \"power of two\"\n".to_string();
        text += "[options]\nfailures = 3\nopen_for = \"200ms\"\nprobe_window = \"1s\"\n";
        text += rest;
        for (Backend { name, address, .. }, weight) in backends {
            text +=
                &format!("[[endpoints]]\nname = \"{name}\"\naddress = \"{address}\"\nweight = {weight}\n");
        }
        let seen =
            || self.gateway.reloads.load(SeqCst) + self.gateway.refused.lock().expect("no panic").len();
        let before = seen();
        let new = self.path.with_extension("new");
        std::fs::write(&new, text)?;
        std::fs::rename(&new, &self.path)?;
        wait_until("the gateway has read its file", || seen() > before)
    }
}

fn wait_until(what: &str, mut done: impl FnMut() -> bool) -> io::Result<()> {
    for _ in 0..1_000 {
        if done() {
            return Ok(());
        }
        thread::sleep(Real::from_millis(5));
    }
    Err(io::Error::new(io::ErrorKind::TimedOut, format!("waited too long until {what}")))
}

fn play(script: &mut Script<'_>, [a, b, c, d, e, f]: &mut [Backend; 6]) -> io::Result<()> {
    script.configure(&[(a, 1), (b, 1), (c, 1), (d, 1), (e, 1)], "")?;
    script.phase("calm");

    b.delay.store(20 * USUAL_MILLIS, SeqCst);
    script.phase("b is slow");
    b.delay.store(USUAL_MILLIS, SeqCst);

    let latest = [(&*a, 4), (&*b, 1), (&*c, 1), (&*d, 1), (&*f, 1)];
    script.configure(&latest, "")?;
    script.phase("a weighs 4, f for e");
    // A mistake in the file changes nothing.
    script.configure(&latest, "colour = \"blue\"\n")?;
    e.kill();

    c.kill();
    script.phase("c is dead");

    script.begin("c starts again");
    c.restart()?;
    let gateway = script.gateway;
    let id = gateway.fleet.find(RoutingKey::new(b"c").hash()).expect("c is a member");
    wait_until("c serves again", || gateway.fleet.stats(id).is_ok_and(|stats| stats.routable))?;
    script.phase("c is back");
    Ok(())
}

/// Plays the script, and writes the story to `out`.
pub fn run(out: &mut impl Write) -> Result<Summary, Box<dyn std::error::Error>> {
    static RUNS: AtomicUsize = AtomicUsize::new(0);
    let file = format!("trilane-gateway-{}-{}.toml", std::process::id(), RUNS.fetch_add(1, SeqCst));
    let path = std::env::temp_dir().join(file);
    // They are there until the last worker has its answer.
    let [a, b, c, d, e, f] = NAMES.map(Backend::start);
    let mut backends = [a?, b?, c?, d?, e?, f?];
    let gateway = Gateway::new()?;
    let mut script = Script { gateway: &gateway, path: path.clone(), phases: Vec::new() };
    let played = thread::scope(|scope| {
        scope.spawn(|| gateway.reload(&path));
        scope.spawn(|| gateway.check());
        for _ in 0..WORKERS {
            scope.spawn(|| {
                // No traffic before there is somewhere to go.
                while gateway.phase.load(SeqCst) == 0 && !gateway.is_over() {
                    thread::sleep(Real::from_millis(1));
                }
                gateway.work();
            });
        }
        let played = play(&mut script, &mut backends);
        gateway.over.store(true, SeqCst);
        played
    });
    // It may not even have been written.
    let _absent = std::fs::remove_file(&path);
    played?;

    let totals = gateway.fleet.totals();
    let phases = script.phases;
    let in_flight = |id| gateway.fleet.stats(id).map_or(0, |stats| stats.in_flight);
    let in_flight = gateway.fleet.members().map(in_flight).sum();
    let rows = gateway.rows.into_inner()?;
    let summary = Summary {
        phases: phases.into_iter().zip(rows.into_iter().skip(1)).collect(),
        sent: gateway.sent.into_inner(),
        answered: gateway.answered.into_inner(),
        lost: gateway.lost.into_inner(),
        reloads: gateway.reloads.into_inner(),
        refused: gateway.refused.into_inner()?,
        breakers_opened: totals.breakers_opened,
        health_changes: gateway.health_changes.into_inner(),
        in_flight,
    };
    write!(out, "{:20}", "answers")?;
    NAMES.iter().try_for_each(|name| write!(out, "{name:>6}"))?;
    writeln!(out, "  failed tries  nobody there")?;
    for (phase, row) in &summary.phases {
        write!(out, "{phase:20}")?;
        for name in NAMES {
            write!(out, "{:>6}", row.answered.get(name).map_or(".".into(), u64::to_string))?;
        }
        writeln!(out, "{:>14}{:>14}", row.failed, row.refused)?;
    }
    writeln!(out, "configurations: {} taken", summary.reloads)?;
    for reason in &summary.refused {
        writeln!(out, "configuration refused: {reason}")?;
    }
    writeln!(
        out,
        "breakers opened {}, health changed {} times, leases out {}",
        summary.breakers_opened, summary.health_changes, summary.in_flight
    )?;
    writeln!(out, "sent {}, answered {}, lost {}", summary.sent, summary.answered, summary.lost)?;
    Ok(summary)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    run(&mut io::stdout())?;
    Ok(())
}
