//! The graphs: which lines there are, and their pages. The first nine are those of the original.

use maud::{html, Markup};

use super::chart::{chart, spark};
use super::{units, Source};
use crate::counters::histogram::Histogram;
use crate::monitor::history::{History, HistorySpan, POINTS};
use crate::monitor::Running;

/// A graph with its lines, at most [`super::chart::MOST_LINES`].
pub(super) struct Graph {
    /// The last part of its address.
    pub(super) name: &'static str,
    /// What it shows.
    pub(super) title: &'static str,
    unit: GraphUnit,
    lines: &'static [(&'static str, GraphLine)],
}

#[derive(Clone, Copy)]
enum GraphUnit {
    Each,
    PerSecond,
    Bits,
    Millis,
    Percent,
}

enum GraphLine {
    /// The number itself.
    Level(fn(&Running) -> u64),
    /// What is added to it in a second.
    Rate(fn(&Running) -> u64),
    /// As a rate, a number of bytes shown as bits.
    Bits(fn(&Running) -> u64),
    /// The mean of what was timed.
    Mean(fn(&Running) -> Histogram),
    /// How much of what is added to the second number is added to the first.
    Share(fn(&Running) -> u64, fn(&Running) -> u64),
}

use GraphLine::{Bits, Level, Mean, Rate, Share};

/// All graphs, in the order of the menu.
pub(super) const GRAPHS: [Graph; 11] = [
    Graph {
        name: "requests",
        title: "Requests",
        unit: GraphUnit::PerSecond,
        lines: &[("requests", Rate(|running| running.counters.requests))],
    },
    Graph {
        name: "connections",
        title: "Connections",
        unit: GraphUnit::Each,
        lines: &[
            ("clients", Level(|running| running.clients)),
            ("of these silent", Level(|running| running.silent)),
            ("servers", Level(|running| running.established)),
            ("opening", Level(|running| running.opening)),
        ],
    },
    Graph {
        name: "clients",
        title: "Sent to clients",
        unit: GraphUnit::Bits,
        lines: &[
            ("IPv4", Bits(|running| running.counters.to_clients[0])),
            ("IPv6", Bits(|running| running.counters.to_clients[1])),
            ("Unix", Bits(|running| running.counters.to_clients[2])),
        ],
    },
    Graph {
        name: "servers",
        title: "Sent to servers",
        unit: GraphUnit::Bits,
        lines: &[
            ("for IPv4 clients", Bits(|running| running.counters.to_origins[0])),
            ("for IPv6 clients", Bits(|running| running.counters.to_origins[1])),
            ("for Unix clients", Bits(|running| running.counters.to_origins[2])),
        ],
    },
    Graph {
        name: "transfered",
        title: "Transferred",
        unit: GraphUnit::Bits,
        lines: &[
            ("to clients", Bits(|running| running.counters.to_clients.iter().sum())),
            ("to servers", Bits(|running| running.counters.to_origins.iter().sum())),
        ],
    },
    Graph {
        name: "loops",
        title: "Turns of the loop",
        unit: GraphUnit::PerSecond,
        lines: &[("turns", Rate(|running| running.counters.loops))],
    },
    Graph {
        name: "events",
        title: "Socket events",
        unit: GraphUnit::PerSecond,
        lines: &[("events", Rate(|running| running.counters.events))],
    },
    Graph {
        name: "processes",
        title: "Helpers",
        unit: GraphUnit::Each,
        lines: &[
            ("run", Level(|running| running.helpers.as_ref().map_or(0, |helpers| helpers.forked))),
            ("minimum", Level(|running| running.helpers.as_ref().map_or(0, |helpers| helpers.minimum))),
            ("maximum", Level(|running| running.helpers.as_ref().map_or(0, |helpers| helpers.maximum))),
        ],
    },
    Graph {
        name: "queue",
        title: "Queue for helpers",
        unit: GraphUnit::Each,
        lines: &[("waiting", Level(|running| running.helpers.as_ref().map_or(0, |helpers| helpers.queue)))],
    },
    Graph {
        name: "latency",
        title: "Mean times",
        unit: GraphUnit::Millis,
        lines: &[
            ("requests", Mean(|running| running.counters.exchange.request_time)),
            ("names", Mean(|running| running.counters.name_time)),
            ("connections", Mean(|running| running.counters.connect_time)),
            ("helpers", Mean(|running| running.counters.helper_time)),
        ],
    },
    Graph {
        name: "cache",
        title: "Cache hits",
        unit: GraphUnit::Percent,
        lines: &[
            ("answered", Share(|running| running.cache.counts.answered(), |running| running.cache.counts.looked_at())),
            (
                "of these validated",
                Share(|running| running.cache.counts.revalidated(), |running| running.cache.counts.looked_at()),
            ),
        ],
    },
];

impl Graph {
    /// The graph of this name.
    pub(super) fn find(name: &str) -> Option<&'static Graph> {
        GRAPHS.iter().find(|graph| graph.name == name)
    }

    /// Its lines, small.
    pub(super) fn spark(&self, history: &History) -> Markup {
        spark(&self.points(history, HistorySpan::Minute))
    }

    fn points(&self, history: &History, span: HistorySpan) -> Vec<[f64; POINTS]> {
        self.lines.iter().map(|(_, line)| line.points(history, span)).collect()
    }
}

impl GraphLine {
    fn points(&self, history: &History, span: HistorySpan) -> [f64; POINTS] {
        match self {
            Level(value) => history.levels(span, value),
            Rate(count) => history.rates(span, count),
            Bits(count) => history.rates(span, count).map(|bytes| 8.0 * bytes),
            Mean(times) => history.means(span, times),
            Share(part, whole) => history.shares(span, part, whole),
        }
    }
}

impl GraphUnit {
    fn write(self) -> fn(f64) -> String {
        match self {
            GraphUnit::Each => units::rate,
            GraphUnit::PerSecond => |value| format!("{}/s", units::rate(value)),
            GraphUnit::Bits => units::bits,
            GraphUnit::Millis => units::millis,
            GraphUnit::Percent => units::percent,
        }
    }
}

/// The page of a graph: a minute, an hour.
pub(super) fn page(graph: &Graph, source: &dyn Source) -> Markup {
    html! {
        h1 { (graph.title) }
        div .pair {
            (figure(graph, source.history(), HistorySpan::Minute, "Last minute"))
            (figure(graph, source.history(), HistorySpan::Hour, "Last hour"))
        }
    }
}

fn figure(graph: &Graph, history: &History, span: HistorySpan, title: &str) -> Markup {
    let lines = graph.points(history, span);
    let write = graph.unit.write();
    html! {
        figure {
            h2 { (title) }
            div aria-hidden="true" { (chart(&lines, span, write)) }
            figcaption .scroll {
                table {
                    tr { th scope="col" { "Line" } th scope="col" .number { "Now" } th scope="col" .number { "Mean" } th scope="col" .number { "Highest" } }
                    @for (number, ((label, _), points)) in graph.lines.iter().zip(&lines).enumerate() {
                        tr {
                            th scope="row" { span class={ "swatch line-" (number) } {} (label) }
                            td .number { (write(points[POINTS - 1])) }
                            td .number { (write(points.iter().sum::<f64>() / history.known(span).max(1) as f64)) }
                            td .number { (write(points.iter().copied().fold(0.0, f64::max))) }
                        }
                    }
                }
            }
        }
    }
}

/// All graphs, small, with the way to each.
pub(super) fn overview(source: &dyn Source) -> Markup {
    html! {
        h1 { "Graphs" }
        div .tiles {
            @for graph in &GRAPHS {
                section .tile {
                    h2 { a href={ "/graph/" (graph.name) ".html" } { (graph.title) } }
                    div .spark aria-hidden="true" { (graph.spark(source.history())) }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::web::chart::MOST_LINES;

    #[test]
    fn every_line_has_a_colour_and_every_graph_of_the_original_is_there() {
        assert!(GRAPHS.iter().all(|graph| !graph.lines.is_empty() && graph.lines.len() <= MOST_LINES));
        for name in "requests loops events processes queue connections transfered clients servers".split(' ') {
            assert!(Graph::find(name).is_some(), "{name}");
        }
    }
}
