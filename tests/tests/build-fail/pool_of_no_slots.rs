//~ ERROR a pool has 1 to 65,534 slots
use trilane::exec::TaskPool;

static POOL: TaskPool<64, 0> = TaskPool::new();

fn main() {
    let _ = POOL.bytes();
}
