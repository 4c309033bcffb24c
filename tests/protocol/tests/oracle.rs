//! The search against one that keeps whole states and takes the first that comes.

use std::collections::HashSet;

use trilane_protocol::invariants::is_done;
use trilane_protocol::rules::moves;
use trilane_protocol::search::search;
use trilane_protocol::setting::Setting;
use trilane_protocol::state::State;

#[test]
fn fingerprints_tell_as_many_states_apart_as_the_states_themselves() {
    let setting = Setting { raises: 1, ..Setting::PLAIN };
    let mut seen = HashSet::from([State::first(&setting)]);
    let mut left: Vec<State> = seen.iter().copied().collect();
    let (mut found, mut done) = (Vec::new(), 0);
    while let Some(state) = left.pop() {
        done += usize::from(is_done(&setting, &state));
        moves(&setting, &state, &mut found);
        left.extend(found.iter().map(|(_, next)| *next).filter(|next| seen.insert(*next)));
    }
    assert_eq!(search(&setting, usize::MAX).states, seen.len());
    assert!(done > 0);
}
