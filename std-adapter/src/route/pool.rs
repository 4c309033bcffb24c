//! Selectors that threads borrow.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicUsize, Ordering, fence};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::{Duration, Instant};

use trilane::route::{Balancer, Selector, Strategy, TooManySelectors};

/// A balancer's selectors, for more threads than there are of them.
///
/// A thread borrows one for a single select or for a while, and gives it back by dropping it. Its leases
/// don't depend on that: they may outlive the loan and go to any thread. Neither a loan nor a select
/// allocates.
///
/// A loan tries the selectors from one that differs from thread to thread, so that threads seldom meet: with
/// as many selectors as threads that run at once, it costs an uncontended lock. O(selectors) when many are
/// out.
///
/// A [`Class`](trilane::route::Class) is one selector's: ask for it after each loan, by
/// [`Selector::class`], which finds the class that there is for an equal filter.
///
/// # Examples
///
/// ```
/// use trilane::route::{Balancer, Endpoint, Filter, Options, Request, RoundRobin, Zone};
/// use trilane::time::{Duration, Instant};
/// use trilane_std::route::SelectorPool;
///
/// static FLEET: Balancer<RoundRobin, 1, 8, 2> = Balancer::new(RoundRobin, Options::new());
///
/// let now = Instant::ZERO;
/// FLEET.add(&Endpoint::new(1), now)?;
/// let pool: SelectorPool<&'static _, _, 1, 8, 2, 2> = SelectorPool::new(&FLEET, 2, 0x5eed)?;
/// let near = Filter::ANY.prefer(Zone::of::<0>())?;
/// std::thread::scope(|scope| {
///     for _ in 0..8 {
///         scope.spawn(|| {
///             let lease = {
///                 let mut selector = pool.get();
///                 let class = selector.class(near).expect("room for two");
///                 selector.select(&Request::new(class), now).expect("it is healthy")
///             };
///             lease.succeed(Duration::from_millis(1), now); // the selector is back already
///         });
///     }
/// });
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct SelectorPool<
    R,
    S,
    const BANKS: usize,
    const PER_BANK: usize,
    const STRIPES: usize,
    const CLASSES: usize,
> where
    R: Deref<Target = Balancer<S, BANKS, PER_BANK, STRIPES>>,
    S: Strategy<BANKS, PER_BANK, STRIPES>,
{
    selectors: Box<[Mutex<Selector<R, S, BANKS, PER_BANK, STRIPES, CLASSES>>]>,
    returns: Returns,
}

/// How threads that wait hear of a selector that is back.
///
/// # Waiting Invariant
///
/// Who waits first says so, then tries the selectors, then sleeps; who gives one back first does so, then
/// looks whether anybody waits. A fence on each side, between the two, makes one of them see the other. The
/// notice is given inside the lock that who waits holds from its try to its sleep, so it doesn't come in
/// between.
#[derive(Default)]
struct Returns {
    waiting: AtomicUsize,
    gate: Mutex<()>,
    returned: Condvar,
}

/// All selectors of the pool are in use: wait for one, or give the pool more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AllInUse;

impl fmt::Display for AllInUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("all selectors of the pool are in use: wait for one, or make the pool larger")
    }
}

impl std::error::Error for AllInUse {}

/// A selector on loan; dropping it gives it back.
pub struct Borrowed<
    'a,
    R,
    S,
    const BANKS: usize,
    const PER_BANK: usize,
    const STRIPES: usize,
    const CLASSES: usize,
> where
    R: Deref<Target = Balancer<S, BANKS, PER_BANK, STRIPES>>,
    S: Strategy<BANKS, PER_BANK, STRIPES>,
{
    // Dropped in this order: it is back before anybody is told.
    selector: MutexGuard<'a, Selector<R, S, BANKS, PER_BANK, STRIPES, CLASSES>>,
    _notice: Notice<'a>,
}

struct Notice<'a>(&'a Returns);

impl Drop for Notice<'_> {
    fn drop(&mut self) {
        // Waiting Invariant.
        fence(Ordering::SeqCst);
        if self.0.waiting.load(Ordering::Relaxed) > 0 {
            let _gate = self.0.gate.lock().unwrap_or_else(PoisonError::into_inner);
            self.0.returned.notify_one();
        }
    }
}

/// Where this thread begins to try.
fn own_start() -> usize {
    static THREADS: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static START: usize = THREADS.fetch_add(1, Ordering::Relaxed);
    }
    START.with(|start| *start)
}

impl<R, S, const BANKS: usize, const PER_BANK: usize, const STRIPES: usize, const CLASSES: usize>
    SelectorPool<R, S, BANKS, PER_BANK, STRIPES, CLASSES>
where
    R: Deref<Target = Balancer<S, BANKS, PER_BANK, STRIPES>> + Clone,
    S: Strategy<BANKS, PER_BANK, STRIPES>,
{
    /// A pool of so many of the balancer's selectors; 0 counts as 1. Each has a seed of its own.
    ///
    /// # Errors
    ///
    /// [`TooManySelectors`] when the balancer has fewer stripes left; none is taken then.
    pub fn new(balancer: R, selectors: usize, seed: u64) -> Result<Self, TooManySelectors> {
        let all = (0..selectors.max(1) as u64)
            .map(|number| Selector::new(balancer.clone(), seed.wrapping_add(number)).map(Mutex::new));
        Ok(Self { selectors: all.collect::<Result<_, _>>()?, returns: Returns::default() })
    }

    /// How many selectors the pool has, on loan or not.
    pub fn selectors(&self) -> usize {
        self.selectors.len()
    }

    /// Borrows a selector, if one is there now.
    ///
    /// # Errors
    ///
    /// [`AllInUse`].
    pub fn try_get(&self) -> Result<Borrowed<'_, R, S, BANKS, PER_BANK, STRIPES, CLASSES>, AllInUse> {
        let (before, after) = self.selectors.split_at(own_start() % self.selectors.len());
        let selector = after.iter().chain(before).find_map(|selector| match selector.try_lock() {
            Ok(selector) => Some(selector),
            // A strategy has panicked: the selector is as good as before.
            Err(TryLockError::Poisoned(selector)) => Some(selector.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        });
        selector.map(|selector| Borrowed { selector, _notice: Notice(&self.returns) }).ok_or(AllInUse)
    }

    /// Borrows a selector; waits until there is one. A thread that holds one and asks for another may wait
    /// for ever.
    pub fn get(&self) -> Borrowed<'_, R, S, BANKS, PER_BANK, STRIPES, CLASSES> {
        loop {
            if let Ok(selector) = self.get_until(None) {
                return selector;
            }
        }
    }

    /// Borrows a selector; waits for one for at most `span`.
    ///
    /// # Errors
    ///
    /// [`AllInUse`] when `span` is over.
    pub fn get_within(
        &self,
        span: Duration,
    ) -> Result<Borrowed<'_, R, S, BANKS, PER_BANK, STRIPES, CLASSES>, AllInUse> {
        self.get_until(Instant::now().checked_add(span))
    }

    fn get_until(
        &self,
        end: Option<Instant>,
    ) -> Result<Borrowed<'_, R, S, BANKS, PER_BANK, STRIPES, CLASSES>, AllInUse> {
        if let Ok(selector) = self.try_get() {
            return Ok(selector);
        }
        let returns = &self.returns;
        // Waiting Invariant: first this, then the tries.
        returns.waiting.fetch_add(1, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        let mut gate = returns.gate.lock().unwrap_or_else(PoisonError::into_inner);
        let outcome = loop {
            if let Ok(selector) = self.try_get() {
                break Ok(selector);
            }
            gate = match end {
                None => returns.returned.wait(gate).unwrap_or_else(PoisonError::into_inner),
                Some(end) => {
                    let left = end.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        break Err(AllInUse);
                    }
                    returns.returned.wait_timeout(gate, left).unwrap_or_else(PoisonError::into_inner).0
                }
            };
        };
        returns.waiting.fetch_sub(1, Ordering::Relaxed);
        outcome
    }
}

impl<R, S, const BANKS: usize, const PER_BANK: usize, const STRIPES: usize, const CLASSES: usize> Deref
    for Borrowed<'_, R, S, BANKS, PER_BANK, STRIPES, CLASSES>
where
    R: Deref<Target = Balancer<S, BANKS, PER_BANK, STRIPES>>,
    S: Strategy<BANKS, PER_BANK, STRIPES>,
{
    type Target = Selector<R, S, BANKS, PER_BANK, STRIPES, CLASSES>;

    fn deref(&self) -> &Self::Target {
        &self.selector
    }
}

impl<R, S, const BANKS: usize, const PER_BANK: usize, const STRIPES: usize, const CLASSES: usize> DerefMut
    for Borrowed<'_, R, S, BANKS, PER_BANK, STRIPES, CLASSES>
where
    R: Deref<Target = Balancer<S, BANKS, PER_BANK, STRIPES>>,
    S: Strategy<BANKS, PER_BANK, STRIPES>,
{
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.selector
    }
}
