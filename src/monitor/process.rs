//! What the process takes of its machine, and what became of reloads.

/// Numbers of the process; what the system does not tell is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProcessNumbers {
    /// When it started, in seconds since 1970.
    pub started: u64,
    /// CPU time of all threads, in microseconds.
    pub cpu_micros: Option<u64>,
    /// Bytes of memory that are in use.
    pub resident: Option<u64>,
    /// Bytes of memory that are mapped.
    pub mapped: Option<u64>,
    /// Threads.
    pub threads: Option<u64>,
    /// Open descriptors.
    pub descriptors: Option<u64>,
    /// Most descriptors that may be open.
    pub descriptors_limit: Option<u64>,
}

impl ProcessNumbers {
    /// Takes memory and threads from `/proc/self/status` (proc_pid_status(5)).
    pub fn read_status(&mut self, text: &str) {
        for line in text.lines() {
            let Some((name, value)) = line.split_once(':') else { continue };
            let number = value.split_whitespace().next().and_then(|word| word.parse::<u64>().ok());
            // What is marked as kB counts in units of 1,024 bytes.
            let bytes = number.map(|number| number.saturating_mul(1024));
            match name {
                "VmRSS" => self.resident = bytes,
                "VmSize" => self.mapped = bytes,
                "Threads" => self.threads = number,
                _ => {}
            }
        }
    }
}

/// What became of reloads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reloads {
    /// Taken over.
    pub done: u64,
    /// Refused: the configuration stayed as it was.
    pub refused: u64,
    /// When the configuration in use was taken over, in seconds since 1970.
    pub taken_over: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_of_a_process_is_read() {
        let mut numbers = ProcessNumbers::default();
        numbers
            .read_status("Name:\texaproxy\nVmSize:\t   20480 kB\nVmRSS:\t    5000 kB\nThreads:\t7\nodd\nSigQ:\t0/9\n");
        assert_eq!((numbers.resident, numbers.mapped, numbers.threads), (Some(5_120_000), Some(20_971_520), Some(7)));
        numbers.read_status("VmRSS:\tmany kB\n");
        assert_eq!(numbers.resident, None);
    }
}
