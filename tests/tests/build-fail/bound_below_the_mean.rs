//~ ERROR a bound is more than the mean: 1,001 permille or more
use trilane::route::{Bounded, Maglev};

static TABLE: Bounded<Maglev<251, 16>, 1_000> = Bounded::new(Maglev::new());

fn main() {
    let _ = &TABLE;
}
