//! How the traffic of a class is split between its two groups.

use crate::route::config::options::PERMILLE;

/// How a class's traffic is split; shares in permille.
pub(in crate::route) struct Spill {
    /// What goes to the other group.
    pub share: u16,
    /// What the primary group can take.
    pub taken: u16,
    /// Whether the other group is filled.
    pub ready: bool,
    /// How many selects more it is what it is; no end to it if one step can take all.
    pub run: u8,
    /// The last step that is needed.
    pub last: u8,
    /// What the steps up to that can take; everything if no steps are left.
    pub limit: u16,
    /// The step that the other group is.
    pub step: u8,
    /// Where in the traffic the turn of the step lies.
    pub position: u16,
}

impl Spill {
    /// As zeros, of a class that nobody has looked at.
    pub const NEW: Self =
        Self { share: 0, taken: 0, ready: false, run: 0, last: 0, limit: 0, step: 0, position: 0 };

    /// The primary group is made anew.
    pub fn reset(&mut self) {
        let Self { position, step, .. } = *self;
        *self = Self { position, step, taken: PERMILLE as u16, ..Self::NEW };
    }

    /// The primary group can take `taken`. The steps after it get the rest if they can take it: that is seen
    /// when the first select goes there.
    pub fn begin(&mut self, taken: u32) {
        self.taken = taken as u16;
        self.share = (PERMILLE - taken) as u16;
    }

    /// The steps that are needed can take `more`, and there are some `left`.
    pub fn settle(&mut self, more: u32, left: bool) {
        self.limit = if left { more } else { PERMILLE } as u16;
        let all = self.taken as u32 + more;
        if self.share != 0 && !left && all < PERMILLE {
            self.share = (more * PERMILLE).checked_div(all).unwrap_or(0) as u16;
        }
    }
}
