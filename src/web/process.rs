//! What there is to know of the process itself: which program it is, what it takes of its machine, what became of reloads.

use super::exposition::{MetricsPage, ProcessValue};
use crate::monitor::Running;

/// Adds the metrics of the process.
pub(super) fn add(page: &mut MetricsPage, running: &Running) {
    let version = concat!("version=\"", env!("CARGO_PKG_VERSION"), "\"");
    page.gauge("build_info", "Which program it is; always 1.", [(version, 1)]);
    let reloads = &running.reloads;
    let results = [("result=\"done\"", reloads.done), ("result=\"refused\"", reloads.refused)];
    page.counter("reloads_total", "Reloads by what became of them.", results);
    page.gauge(
        "reload_successful",
        "Whether the last reload was taken over; 1 before the first.",
        [("", u64::from(running.unloaded.is_none()))],
    );
    page.gauge(
        "reload_success_timestamp_seconds",
        "When the configuration in use was taken over.",
        [("", reloads.taken_over)],
    );
    let process = &running.process;
    let count = |value: Option<u64>| value.map(ProcessValue::Count);
    let cpu = process.cpu_micros.map(ProcessValue::Micros);
    page.of_process("cpu_seconds_total", "CPU time of all threads, helpers not included.", "counter", cpu);
    page.of_process("resident_memory_bytes", "Memory that is in use.", "gauge", count(process.resident));
    page.of_process("virtual_memory_bytes", "Memory that is mapped.", "gauge", count(process.mapped));
    page.of_process("threads", "Threads.", "gauge", count(process.threads));
    page.of_process("open_fds", "Open descriptors.", "gauge", count(process.descriptors));
    page.of_process("max_fds", "Most descriptors that may be open.", "gauge", count(process.descriptors_limit));
    let started = ProcessValue::Count(process.started);
    page.of_process("start_time_seconds", "When it started, in seconds since 1970.", "gauge", Some(started));
}
