//! Regions: what is in them ends with them, in order, and nothing is lost on the way.

use std::pin::pin;
use std::sync::Mutex;
use std::task::Poll;

use trilane::exec::{Executor, Manual, Region, RegionOptions, Regions};
use trilane_tests::future::poll_once;
use trilane_tests::{settle, us};

#[test]
fn a_region_whose_finaliser_drops_its_handle_takes_no_other_off_the_list() {
    static REGIONS: Regions<2> = Regions::new();
    static EXECUTOR: Executor<Manual, 1, 8> = Executor::new(Manual::new()).with_regions(&REGIONS);
    static HANDLE: Mutex<Option<Region>> = Mutex::new(None);
    let mut runner = EXECUTOR.start().unwrap();
    for _ in 0..3 {
        let finalised = RegionOptions::new().finaliser(|_| drop(HANDLE.lock().unwrap().take()));
        let first = EXECUTOR.open_region(finalised).unwrap();
        let mut second = EXECUTOR.open_region(RegionOptions::new()).unwrap();
        second.cancel().unwrap();
        first.cancel().unwrap();
        // For a more severe reason than that for which it closes, so its members would be asked again.
        *HANDLE.lock().unwrap() = Some(first);
        settle(&mut runner, us(0));
        assert_eq!(poll_once(pin!(second.close())), Poll::Ready(Ok(())));
        assert_eq!(EXECUTOR.regions().count(), 0);
    }
}
