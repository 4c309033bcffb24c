//! One module for each defect that users of other load balancers have reported: there it happens, here it
//! must not.

mod l10_slow_start;
mod l11_restored_weight;
mod l1_weight_zero;
mod l2_in_flight;
mod l3_first_pick;
mod l4_ties;
mod l5_affinity;
mod l6_fast_failure;
mod l7_new_endpoint;
mod l8_stale_handle;
mod l9_probes;
