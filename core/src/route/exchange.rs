//! Exchanging the strategy while traffic flows.

use super::{AnyStrategy, Balancer, Kind, SizedTable};
use crate::sync::with_lock;
use crate::time::Instant;

impl<T: SizedTable, const BANKS: usize, const PER_BANK: usize, const STRIPES: usize>
    Balancer<AnyStrategy<T>, BANKS, PER_BANK, STRIPES>
{
    /// Exchanges the strategy; returns which one it was. Any context, O(1), a short critical section. Each
    /// selector looks at its classes anew at its next select, O(banks + candidates) each.
    pub fn set_kind(&self, kind: Kind, now: Instant) -> Kind {
        // In the critical section, in which members change too: whoever changes them sees either the new
        // kind, and has the table built, or is seen by the build that begins here.
        let was = with_lock(|_| {
            let was = self.strategy.kind();
            self.strategy.set_kind(kind);
            if was != kind {
                self.endpoints.view().touch();
            }
            was
        });
        if was != kind {
            self.want_table(now);
        }
        was
    }
}
