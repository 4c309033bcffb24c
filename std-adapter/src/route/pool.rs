//! Selectors that threads and tasks borrow.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::loans::Loans;
use trilane::route::{Balancer, Selector, Strategy, TooManySelectors};

/// A balancer's selectors, for more threads or tasks than there are of them.
///
/// A thread borrows one for a single select or for a while, and gives it back by dropping it. Its leases
/// don't depend on that: they may outlive the loan and go to any thread. Neither a loan nor a select
/// allocates, but for a thread's first loan, and when more than 64 wait at a time.
///
/// A loan tries the selectors from one that differs from thread to thread, so that threads seldom meet: with
/// as many selectors as threads that run at once, it costs an uncontended lock. O(selectors) when many are
/// out. When all are, [`get`](Self::get) blocks the thread and [`wait`](Self::wait) the task; what comes back
/// goes to whoever has waited longest.
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
    loans: Loans,
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
    // Dropped in this order: the lock is open before the selector is anybody else's.
    selector: MutexGuard<'a, Selector<R, S, BANKS, PER_BANK, STRIPES, CLASSES>>,
    _loan: Loan<'a>,
}

/// That the selector is on loan. Who has this has its lock to itself.
struct Loan<'a> {
    loans: &'a Loans,
    number: usize,
}

impl Drop for Loan<'_> {
    fn drop(&mut self) {
        self.loans.give_back(self.number);
    }
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
        let selectors: Box<[_]> = all.collect::<Result<_, _>>()?;
        Ok(Self { loans: Loans::new(selectors.len()), selectors })
    }

    /// How many selectors the pool has, on loan or not.
    pub fn selectors(&self) -> usize {
        self.selectors.len()
    }

    /// Borrows a selector, if one is there now and nobody waits for it.
    ///
    /// # Errors
    ///
    /// [`AllInUse`].
    pub fn try_get(&self) -> Result<Borrowed<'_, R, S, BANKS, PER_BANK, STRIPES, CLASSES>, AllInUse> {
        self.loans.try_take().map(|number| self.borrow(number)).ok_or(AllInUse)
    }

    /// Borrows a selector; blocks the thread until it is its turn. A thread that holds one and asks for
    /// another may wait for ever.
    pub fn get(&self) -> Borrowed<'_, R, S, BANKS, PER_BANK, STRIPES, CLASSES> {
        loop {
            if let Some(number) = self.loans.take_until(None) {
                return self.borrow(number);
            }
        }
    }

    /// Borrows a selector; blocks the thread until it is its turn, for at most `span`.
    ///
    /// # Errors
    ///
    /// [`AllInUse`] when `span` is over.
    pub fn get_within(
        &self,
        span: Duration,
    ) -> Result<Borrowed<'_, R, S, BANKS, PER_BANK, STRIPES, CLASSES>, AllInUse> {
        let number = self.loans.take_until(Instant::now().checked_add(span));
        number.map(|number| self.borrow(number)).ok_or(AllInUse)
    }

    /// Borrows a selector; the task waits until it is its turn. Works with any executor. A task keeps its
    /// place in the queue from the first poll on. It should give the selector back before it waits for
    /// anything else: others wait meanwhile.
    ///
    /// # Cancellation
    ///
    /// A future that is dropped leaves the queue; if it was its turn, that goes to the next one. Nothing is
    /// lost.
    pub async fn wait(&self) -> Borrowed<'_, R, S, BANKS, PER_BANK, STRIPES, CLASSES> {
        let number = match self.loans.try_take() {
            Some(number) => number,
            None => self.loans.turn().await,
        };
        self.borrow(number)
    }

    fn borrow(&self, number: usize) -> Borrowed<'_, R, S, BANKS, PER_BANK, STRIPES, CLASSES> {
        let loan = Loan { loans: &self.loans, number };
        // Nobody else has it. Where a strategy has panicked, the selector is as good as before.
        let selector = self.selectors[number].lock().unwrap_or_else(PoisonError::into_inner);
        Borrowed { selector, _loan: loan }
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
