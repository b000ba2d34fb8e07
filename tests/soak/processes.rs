//! Processes of the machine, as far as they belong to a soak: the proxy with its drainers, and helpers.

use std::fs;
use std::path::{Path, PathBuf};

/// A process that names a file of the soak in its command line, or a child of the proxy.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) pid: u32,
    parent: u32,
    state: char,
    words: String,
}

impl Process {
    /// All that there are.
    fn all() -> Vec<Process> {
        let folders = fs::read_dir("/proc").expect("a list of processes");
        folders.filter_map(|folder| Process::read(&folder.ok()?.path())).collect()
    }

    /// None for what is no process, or is gone by now.
    fn read(folder: &Path) -> Option<Process> {
        let pid = folder.file_name()?.to_str()?.parse().ok()?;
        let stat = fs::read_to_string(folder.join("stat")).ok()?;
        // Its name may hold anything, and ends with the last bracket.
        let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
        let state = fields.next()?.chars().next()?;
        let parent = fields.next()?.parse().ok()?;
        let words = fs::read(folder.join("cmdline")).ok()?;
        Some(Process { pid, parent, state, words: String::from_utf8_lossy(&words).replace('\0', " ") })
    }
}

/// What runs for one soak.
pub(crate) struct Household {
    /// The process that is the service.
    pub(crate) service: u32,
    /// The configuration that only the proxy and its drainers name.
    pub(crate) configuration: PathBuf,
    /// The script that only helpers name.
    pub(crate) helper: PathBuf,
}

impl Household {
    fn naming(&self, file: &Path) -> Vec<Process> {
        let name = file.display().to_string();
        let mut found: Vec<Process> = Process::all().into_iter().filter(|one| one.words.contains(&name)).collect();
        found.sort_by_key(|one| one.pid);
        found
    }

    /// Helpers that run, those of drainers included.
    pub(crate) fn helpers(&self) -> Vec<Process> {
        self.naming(&self.helper)
    }

    /// What keeps this from being one process with so many helpers.
    pub(crate) fn wrong(&self, helpers: usize) -> Option<String> {
        let running = self.helpers();
        let others: Vec<_> =
            self.naming(&self.configuration).into_iter().filter(|one| one.pid != self.service).collect();
        let zombies: Vec<_> =
            Process::all().into_iter().filter(|one| one.parent == self.service && one.state == 'Z').collect();
        match () {
            () if !others.is_empty() => Some(format!("a drainer is left: {others:?}")),
            () if !zombies.is_empty() => Some(format!("a child was not reaped: {zombies:?}")),
            () if running.len() != helpers => {
                Some(format!("{} helpers run, not {helpers}: {running:?}", running.len()))
            }
            () => None,
        }
    }

    /// What is left when the service has ended.
    pub(crate) fn left(&self) -> Vec<Process> {
        [self.helpers(), self.naming(&self.configuration)]
            .into_iter()
            .flatten()
            .filter(|one| one.state != 'Z')
            .collect()
    }
}
