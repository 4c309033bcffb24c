//! One module for each defect that is known of other executors: there it happens, here it must not.

mod e10_late_waker;
mod e12_panicking_drop;
mod e1_rekey;
mod e2_self_wake;
mod e3_torn_deadline;
mod e4_cancel;
mod e5_idle;
mod e6_drop;
mod e7_overflow;
mod e8_trace_ids;
