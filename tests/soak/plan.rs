//! How long a soak runs, with how many loops, and what comes how often meanwhile. All of it is said in the environment, by
//! `make soak SOAK_SECONDS=3600 SOAK_THREADS=2`; intervals that are not said are the usual ones, or in a short run a part of it.

use std::str::FromStr;
use std::time::Duration;

/// Traffic goes on for so long until there is quiet; in a short run there are so many rounds.
const ROUND: u64 = 60;
const FEWEST_ROUNDS: u64 = 4;

/// One soak.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// Seconds of traffic.
    pub(crate) seconds: u64,
    /// `daemon.threads`.
    pub(crate) loops: usize,
    /// Time between two reloads, upgrades, kills of a helper, stalls of the name server; None is never.
    pub(crate) reload: Option<Duration>,
    pub(crate) upgrade: Option<Duration>,
    pub(crate) kill: Option<Duration>,
    pub(crate) stall: Option<Duration>,
}

impl Plan {
    /// One for each number of loops in `SOAK_THREADS`; none where `SOAK_SECONDS` is not set.
    pub(crate) fn all() -> Vec<Plan> {
        let Some(seconds) = number::<u64>("SOAK_SECONDS") else { return Vec::new() };
        let threads = std::env::var("SOAK_THREADS").unwrap_or_else(|_| "1".to_owned());
        let loops = threads.split_whitespace().map(|word| word.parse().expect("SOAK_THREADS has numbers"));
        loops.map(|loops| Plan::new(seconds, loops)).collect()
    }

    fn new(seconds: u64, loops: usize) -> Plan {
        let interval = |name: &str, usual: f64, parts: f64| {
            let said = number::<f64>(name).unwrap_or_else(|| usual.min(seconds as f64 / parts));
            (said > 0.0).then(|| Duration::from_secs_f64(said))
        };
        Plan {
            seconds,
            loops,
            reload: interval("SOAK_RELOAD", 60.0, 6.0),
            upgrade: interval("SOAK_UPGRADE", 300.0, 3.0),
            kill: interval("SOAK_KILL", 20.0, 8.0),
            stall: interval("SOAK_STALL", 45.0, 5.0),
        }
    }

    /// Rounds of traffic, with quiet after each, and how long each is.
    pub(crate) fn rounds(&self) -> (u64, Duration) {
        let rounds = (self.seconds / ROUND).max(FEWEST_ROUNDS);
        (rounds, Duration::from_secs(self.seconds).div_f64(rounds as f64))
    }
}

fn number<T: FromStr>(name: &str) -> Option<T> {
    let text = std::env::var(name).ok().filter(|text| !text.is_empty())?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is a number, not {text:?}")))
}
