//! Each rule of the table is missed when it is taken away.

use trilane_protocol::rows::ROWS;
use trilane_protocol::search::search;

const LIMIT: usize = 2_000_000;

#[test]
fn the_search_notices_every_rule_of_the_table_that_is_taken_away() {
    for row in ROWS {
        let report = search(&row.setting(), LIMIT);
        let found = report.found.map(|(violation, _)| violation);
        assert_eq!(found, Some(row.found), "{:?} in {}", row.rule, row.setting);
    }
}
