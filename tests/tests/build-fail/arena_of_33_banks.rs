//~ ERROR a bitmap has 1 to 32 banks
use trilane::arena::Arena;

fn main() {
    let _: Arena<u8, 33, 1> = Arena::new();
}
