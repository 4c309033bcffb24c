//! All endpoints are exchanged at once while others select: there is always one, and it has its value.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use trilane::route::{Balancer, Endpoint, Options, Request, RoundRobin};
use trilane::time::Instant;
use trilane_std::route::Directory;

#[test]
fn while_all_endpoints_are_exchanged_there_is_one_to_select() {
    let router: Balancer<RoundRobin, 1, 32> = Balancer::new(RoundRobin, Options::new());
    let directory: Directory<u64> = Directory::new();
    let now = Instant::ZERO;
    let exchange = |number: u64| {
        let wanted = [(Endpoint::new(number), number)];
        directory.sync(&router, wanted, now, |number, _| Arc::new(number)).unwrap()
    };
    exchange(0);
    let (over, refused) = (AtomicBool::new(false), Mutex::new(None));
    let selects = thread::scope(|scope| {
        let selecting = scope.spawn(|| {
            let mut selector = router.selector::<1>(1).unwrap();
            let mut selects = 0u64;
            while !over.load(Ordering::Relaxed) {
                selects += 1;
                match selector.select(&Request::ANY, now) {
                    Ok(lease) => {
                        let number = lease.number();
                        // Its value may be gone, if it has been removed by now; another's it never is.
                        let value = directory.get(lease.endpoint());
                        assert!(value.is_none_or(|value| number.is_err() || number == Ok(*value)));
                    }
                    Err(error) => drop(refused.lock().unwrap().replace((selects, error))),
                }
            }
            selects
        });
        for number in 1..5_000 {
            let synced = exchange(number);
            assert_eq!((synced.added, synced.updated, synced.removed), (1, 0, 1));
        }
        over.store(true, Ordering::Relaxed);
        selecting.join().unwrap()
    });
    assert!(selects > 1_000);
    assert_eq!(refused.into_inner().unwrap(), None, "of {selects} selects");
    assert_eq!((router.totals().members, directory.len()), (1, 1));
}
