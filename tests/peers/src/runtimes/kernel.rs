//! What the kernel is asked for: how often `futex` is called, and how often threads sleep.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

/// Where the arguments of a C function that takes any number of them lie as those of another one do.
const COUNTS: bool = cfg!(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")));

static FUTEX_CALLS: AtomicU64 = AtomicU64::new(0);

/// Calls of `futex` by this process so far, but for those of the C library itself. None where they can't be
/// counted.
pub fn futex_calls() -> Option<u64> {
    COUNTS.then(|| FUTEX_CALLS.load(Ordering::Relaxed))
}

/// How often threads have slept whose names begin with one of these. None where the kernel doesn't say.
pub fn switches(names: &[&str]) -> Option<u64> {
    let read = |task: &Path| {
        // A thread may have ended meanwhile.
        let name = fs::read_to_string(task.join("comm")).ok()?;
        names.iter().find(|start| name.starts_with(*start))?;
        let status = fs::read_to_string(task.join("status")).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"))?;
        line.trim().parse::<u64>().ok()
    };
    let tasks = fs::read_dir("/proc/self/task").ok()?;
    Some(tasks.filter_map(|task| read(&task.ok()?.path())).sum())
}

/// Whatever calls the kernel by the C library's function of this name, as Rust's standard library does, gets
/// the one in here instead.
#[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
mod counting {
    use std::mem::transmute;
    use std::ptr::null_mut;
    use std::sync::atomic::{AtomicPtr, Ordering};

    use libc::{RTLD_NEXT, SYS_futex, c_long, c_void, dlsym};

    /// # Safety
    ///
    /// As for the C library's, which takes up to six arguments behind the number: those that it isn't given
    /// are anything, and are passed on.
    #[unsafe(no_mangle)]
    unsafe extern "C" fn syscall(
        number: c_long,
        a: c_long,
        b: c_long,
        c: c_long,
        d: c_long,
        e: c_long,
        f: c_long,
    ) -> c_long {
        /// Not a lock of any kind: that would call this function.
        static NEXT: AtomicPtr<c_void> = AtomicPtr::new(null_mut());
        if number == SYS_futex {
            super::FUTEX_CALLS.fetch_add(1, Ordering::Relaxed);
        }
        let mut next = NEXT.load(Ordering::Relaxed);
        // SAFETY: that name is the C library's function, of this type; the caller's promise is passed on.
        unsafe {
            if next.is_null() {
                next = dlsym(RTLD_NEXT, c"syscall".as_ptr());
                NEXT.store(next, Ordering::Relaxed);
            }
            transmute::<*mut c_void, unsafe extern "C" fn(c_long, ...) -> c_long>(next)(
                number, a, b, c, d, e, f,
            )
        }
    }
}
