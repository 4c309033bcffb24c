//! Asking tasks to stop: the request, the clean-up, the end by force.

use trilane::exec::{Attributes, TaskOptions};
use trilane_tests::future::Bell;

mod clean_ups;
mod refusals;
mod requests;
mod shields;

/// A task that hears nothing.
async fn deaf(bell: &'static Bell) {
    bell.forever().await;
}

const fn kind(attributes: &'static Attributes) -> TaskOptions {
    TaskOptions::new().attributes(attributes)
}
