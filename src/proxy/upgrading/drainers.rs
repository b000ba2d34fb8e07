//! Drainers as the service sees them: which there are, what each tells of itself once a second, and what has become of it.

use reactor::packets::{Incoming, Packets, MAX_PACKET};
use reactor::sys::Packet;

use super::lines::{VersionLine, BATCH, READY, STATE, TUNNEL, TUNNELS};
use super::Versions;
use crate::io::owner::Owner;
use crate::monitor::drainers::{in_words, DrainerNumbers, DrainerRow};
use crate::proxy::Proxy;
use crate::system::handover::DrainerLine;
use crate::web::Source;

/// Most drainers. Each is a process with memory of its own, so that there is no upgrade while so many are left.
pub const MOST_DRAINERS: usize = 16;

/// A drainer.
#[derive(Debug)]
pub(super) struct Drainer {
    pub(super) row: DrainerRow,
    /// None where it is of a version that has none, or has ended.
    pub(super) line: Option<VersionLine>,
}

impl Proxy {
    /// Processes that still have clients of former versions.
    pub fn drainer_pids(&self) -> Vec<u32> {
        self.drainers_here().map(|drainer| drainer.row.pid).collect()
    }

    /// What they are spoken with, by their descriptors.
    pub fn drainer_lines(&self) -> Vec<(u32, i32)> {
        let line = |drainer: &Drainer| Some((drainer.row.pid, drainer.line.as_ref()?.descriptor()));
        self.drainers_here().filter_map(line).collect()
    }

    /// The same for pages.
    pub(in crate::proxy) fn drainer_rows(&self) -> Vec<DrainerRow> {
        self.drainers_here().map(|drainer| drainer.row.clone()).collect()
    }

    fn drainers_here(&self) -> impl Iterator<Item = &Drainer> {
        self.versions.iter().flat_map(|versions| &versions.drainers)
    }

    /// There are these.
    pub fn set_drainers(&mut self, drainers: Vec<DrainerLine>) {
        if drainers.is_empty() {
            return;
        }
        let versions = self.versions.get_or_insert_default();
        for DrainerLine { pid, line } in drainers {
            let line = line.and_then(|line| {
                let opened =
                    Packets::of(line).and_then(|io| VersionLine::new(io, Owner::Drainer(pid), &mut self.poller));
                opened.map_err(|error| log::error!(target: "supervisor", "process {pid} cannot be heard: {error}")).ok()
            });
            versions.drainers.push(Drainer { row: DrainerRow::new(pid), line });
        }
    }

    /// Clients are accepted here.
    pub fn greet_drainers(&self) {
        self.drainers_here()
            .filter_map(|drainer| drainer.line.as_ref())
            .for_each(|line| line.say(READY, &format!(" {TUNNELS}")));
    }

    /// Hears what drainers say.
    pub(super) fn hear_drainers(&mut self) {
        let Some(versions) = &mut self.versions else { return };
        let due = |drainer: &Drainer| drainer.line.as_ref().is_some_and(VersionLine::is_due);
        let places: Vec<usize> = (0..versions.drainers.len()).filter(|at| due(&versions.drainers[*at])).collect();
        if places.is_empty() {
            return;
        }
        let mut space = vec![0; MAX_PACKET];
        for place in places {
            for _ in 0..BATCH {
                let Some(line) = self.drainer_mut(place).and_then(|drainer| drainer.line.as_mut()) else { break };
                match line.next(&mut space) {
                    Incoming::Packet(packet) => self.hear_drainer(place, &space[..packet.length], packet),
                    Incoming::Nothing => break,
                    Incoming::Ended => self.hang_up_on_drainer(place),
                }
            }
        }
    }

    fn hear_drainer(&mut self, place: usize, said: &[u8], packet: Packet) {
        let now = self.clock.now();
        match said {
            // It keeps what it gets no answer for, as soon as none can come.
            [TUNNEL, said @ ..] if !self.take_tunnel(place, said, packet) => self.hang_up_on_drainer(place),
            [STATE, text @ ..] => {
                let Some(Drainer { row, .. }) = self.drainer_mut(place) else { return };
                let told = DrainerNumbers::read(&String::from_utf8_lossy(text));
                if row.told.is_none() {
                    tell_begin(row.pid, &told);
                }
                let sent = row.note(told, now);
                self.counters.add_sent(sent);
            }
            _ => {}
        }
    }

    /// It says nothing more.
    fn hang_up_on_drainer(&mut self, place: usize) {
        let Some(drainer) = self.drainer_mut(place) else { return };
        let (pid, Some(line)) = (drainer.row.pid, drainer.line.take()) else { return };
        line.close(&mut self.poller);
        // Where no process is told of the ends of its children, this is all that is known.
        if cfg!(not(target_os = "linux")) {
            self.forget_drainers(&[pid]);
        }
    }

    /// These processes have ended, some of which may have been drainers.
    pub(in crate::proxy) fn forget_drainers(&mut self, ended: &[u32]) {
        if self.versions.is_none() || ended.is_empty() {
            return;
        }
        // Its last word may have come since.
        self.versions
            .iter_mut()
            .flat_map(|all| &mut all.drainers)
            .filter_map(|one| one.line.as_mut())
            .for_each(VersionLine::note);
        self.hear_drainers();
        let now = self.now();
        let Some(Versions { drainers, .. }) = self.versions.as_deref_mut() else { return };
        for pid in ended {
            let Some(at) = drainers.iter().position(|drainer| drainer.row.pid == *pid) else { continue };
            let Drainer { row, line } = drainers.remove(at);
            tell_end(&row, now);
            if let Some(line) = line {
                line.close(&mut self.poller);
            }
        }
    }
}

fn tell_begin(pid: u32, told: &DrainerNumbers) {
    let (clients, tunnels) = (in_words(told.clients, "client"), told.tunnels);
    crate::critical!(target: "supervisor", "process {pid} keeps {clients} of a former version, {tunnels} in tunnels");
}

fn tell_end(row: &DrainerRow, now: u64) {
    let pid = row.pid;
    let Some(told) = &row.told else {
        return crate::critical!(target: "supervisor", "process {pid} has ended, which kept clients of a former version");
    };
    let (clients, seconds) = (in_words(told.clients, "client"), now.saturating_sub(told.since));
    let moved = match told.moved {
        0 => String::new(),
        moved => format!(", with {} moved on", in_words(moved, "tunnel")),
    };
    let ended = format!("process {pid} has ended, {seconds} s after the upgrade{moved}");
    match told {
        DrainerNumbers { last: 0, .. } => {
            log::error!(target: "supervisor", "{ended}, without a word: it had {clients} of a former version")
        }
        DrainerNumbers { clients: 0, .. } => {
            crate::critical!(target: "supervisor", "{ended}: its last client has gone")
        }
        _ => crate::critical!(target: "supervisor", "{ended}: {clients} cut off"),
    }
}
