//! The settings of the gate are searched to their end.

use trilane_protocol::search::search;
use trilane_protocol::settings::SMALL;

const LIMIT: usize = 3_000_000;

#[test]
fn nothing_is_lost_doubled_or_stuck_in_any_state_of_the_small_settings() {
    for setting in SMALL {
        let report = search(setting, LIMIT);
        assert_eq!(report.found, None, "{}", setting.name);
        assert!(report.is_complete, "{}: {} states", setting.name, report.states);
    }
}
