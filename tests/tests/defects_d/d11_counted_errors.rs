//! D11: failed selects were not counted for the ordinary errors. Here each one is, by its kind.

use std::collections::BTreeSet;

use trilane::route::{Request, SelectError};
use trilane_tests::routing::{by_kind, chooser};

use super::failing::{self, NOW};

#[test]
fn d11_every_error_is_counted_by_its_kind() {
    let mut kinds = BTreeSet::new();
    for mut failing in failing::all() {
        kinds.insert(failing.error.kind());
        assert_eq!(failing.routes.balancer.totals().errors.total(), 0, "{:?}", failing.error);
        for count in 1..=100 {
            assert_eq!(failing.select(), failing.error);
            let mut expected = [0; SelectError::KINDS];
            expected[failing.error.kind()] = count;
            assert_eq!(by_kind(failing.routes.balancer.totals().errors), expected, "{:?}", failing.error);
        }
    }
    assert_eq!(kinds, (0..SelectError::KINDS).collect());
}

#[test]
fn d11_the_errors_of_all_selectors_count_and_stay_when_a_selector_goes() {
    let mut failing = failing::all().remove(0);
    assert_eq!(failing.error, SelectError::Empty);
    failing.select();
    for seed in 0..10 {
        let mut other = chooser(failing.routes.balancer, seed);
        assert_eq!(other.select(&Request::ANY, NOW).unwrap_err(), SelectError::Empty);
    }
    assert_eq!(failing.routes.balancer.totals().errors.empty, 11);
}

#[test]
fn d11_a_select_that_succeeds_counts_no_error() {
    for mut failing in failing::all() {
        failing.select();
        let errors = failing.routes.balancer.totals().errors;
        failing.routes.add(&trilane::route::Endpoint::new(77), NOW);
        failing.routes.pick(&Request::ANY, NOW);
        assert_eq!(failing.routes.balancer.totals().errors, errors);
    }
}
