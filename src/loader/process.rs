//! What the process takes of its machine. Beside the loop, since a kernel before Linux 6.2 has descriptors counted one by one,
//! which takes a millisecond or more for each thousand.

use std::path::Path;

use nix::sys::resource::{getrlimit, getrusage, Resource, UsageWho};
use nix::sys::time::TimeValLike;

use crate::monitor::process::ProcessNumbers;

/// Looks at this process, which started then, in seconds since 1970.
pub fn look(started: u64) -> ProcessNumbers {
    let mut numbers = ProcessNumbers { started, ..ProcessNumbers::default() };
    let positive = |micros: i64| u64::try_from(micros).unwrap_or(0);
    numbers.cpu_micros = getrusage(UsageWho::RUSAGE_SELF)
        .ok()
        .map(|used| positive(used.user_time().num_microseconds()) + positive(used.system_time().num_microseconds()));
    numbers.descriptors_limit = getrlimit(Resource::RLIMIT_NOFILE).ok().map(|(soft, _)| soft);
    if let Ok(text) = std::fs::read_to_string("/proc/self/status") {
        numbers.read_status(&text);
    }
    numbers.descriptors = descriptors(Path::new("/proc/self/fd"));
    numbers
}

/// Open descriptors. Since Linux 6.2 their folder has their number as its size.
fn descriptors(folder: &Path) -> Option<u64> {
    let size = std::fs::metadata(folder).ok()?.len();
    match size {
        0 => counted(folder),
        _ => Some(size),
    }
}

/// Counts them, without the one that looks.
fn counted(folder: &Path) -> Option<u64> {
    let count = std::fs::read_dir(folder).ok()?.count() as u64;
    Some(count.saturating_sub(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_process_is_seen_as_it_is() {
        let before = look(7);
        let files: Vec<_> = (0..500).map(|_| std::fs::File::open("/dev/null").unwrap()).collect();
        let after = look(7);
        assert_eq!(after.started, 7);
        // Other tests of this process open and close some as well.
        assert!(after.descriptors > before.descriptors.map(|count| count + 100), "{before:?} {after:?}");
        assert!(after.descriptors < after.descriptors_limit, "{after:?}");
        assert!(after.resident > Some(100_000) && after.mapped >= after.resident, "{after:?}");
        assert!(after.threads >= Some(1) && after.cpu_micros >= before.cpu_micros, "{after:?}");
        // Both ways to count see them.
        assert!(counted(Path::new("/proc/self/fd")) >= Some(500), "{after:?}");
        drop(files);
    }

    #[test]
    fn where_the_system_tells_nothing_nothing_is_told() {
        let nowhere = Path::new("/nonexistent");
        assert_eq!((descriptors(nowhere), counted(nowhere)), (None, None));
    }
}
