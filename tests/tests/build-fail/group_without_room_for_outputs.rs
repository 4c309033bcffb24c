//~ ERROR there is room for the outputs of two events

use trilane::daemon::{Daemon, Delivery, Outbox, ProcessError};
use trilane::group::Member;

struct Loud;

impl Daemon for Loud {
    const MAX_OUTPUTS: usize = 1;
    const MAX_OUTPUT_BYTES: usize = 500;

    fn process(&mut self, _: &Delivery<'_>, _: &mut Outbox<'_>) -> Result<(), ProcessError> {
        Ok(())
    }
}

fn main() {
    let _ = Member::<Loud, 1024, 8, 2, 3>::new(Loud);
}
