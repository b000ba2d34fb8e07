//! Processes whose parent has ended. They fall to process 1 of their namespace, or to the nearest process that asked for them
//! (PR_SET_CHILD_SUBREAPER), and this may be either in a container. Knows no helper.

/// Most that are reaped at a time, so that a program that makes them without end does not hold the loop.
#[cfg(target_os = "linux")]
const MOST: usize = 1024;

/// Waits for the orphans that have ended, so that nothing of them stays, and gives their numbers. The kernel hands orphans to the main thread, which
/// has to be the one that calls this; what other threads have started is left to them (waitpid(2), __WNOTHREAD).
#[cfg(target_os = "linux")]
pub fn reap() -> Vec<u32> {
    use nix::errno::Errno;
    use nix::sys::wait::{waitpid, WaitPidFlag, WaitStatus};
    let mut ended = Vec::new();
    for _ in 0..MOST {
        match waitpid(None, Some(WaitPidFlag::WNOHANG | WaitPidFlag::__WNOTHREAD)) {
            Ok(WaitStatus::StillAlive) | Err(Errno::ECHILD) => break,
            // An error of another kind is a status that cannot be told, of a process that is gone all the same.
            Ok(status) => ended.extend(status.pid().map(|pid| pid.as_raw().unsigned_abs())),
            Err(_) => {}
        }
    }
    ended
}

/// Elsewhere a thread cannot tell its own children from those of others.
#[cfg(not(target_os = "linux"))]
pub fn reap() -> Vec<u32> {
    Vec::new()
}
