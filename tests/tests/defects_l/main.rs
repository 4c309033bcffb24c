//! One module for each defect that users of other load balancers have reported: there it happens, here it
//! must not.
//!
//! L24, the class of another selector, is in `bad_input_route.rs`, and L25, the clock that goes back, in
//! `route_timed.rs`.

mod l10_slow_start;
mod l11_restored_weight;
mod l12_last_one;
mod l13_slow_start;
mod l14_hanging;
mod l15_full_zones;
mod l16_dropped_probe;
mod l17_panic;
mod l18_sources;
mod l1_weight_zero;
mod l21_all_selectors;
mod l23_small_tables;
mod l26_failing_forever;
mod l27_no_flash;
mod l2_in_flight;
mod l3_first_pick;
mod l4_ties;
mod l5_affinity;
mod l6_fast_failure;
mod l7_new_endpoint;
mod l8_stale_handle;
mod l9_probes;
