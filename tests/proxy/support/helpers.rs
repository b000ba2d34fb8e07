//! Helper programs that do what a test says, step by step, as origins do: one script for each process that the proxy
//! starts. The process itself (`helper.py`) only carries bytes between its pipes and the test.

use std::io::{self, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;

use nix::sys::signal::{kill, Signal};
use nix::unistd::Pid;

use super::{eventually, Proxy, PATIENCE};

/// The interpreter of the system: one of a user's own may be slow to start. It is named instead of being found by the
/// script's first line, because a file that was just written cannot be run while another thread starts a process.
pub const PYTHON: &str = "/usr/bin/python3";

const PROGRAM: &str = include_str!("helper.py");

type Script = dyn Fn(&mut Desk) -> io::Result<()> + Send + Sync;

/// All helpers of one proxy.
pub struct Helpers {
    folder: tempfile::TempDir,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    pids: Mutex<Vec<u32>>,
    asked: Mutex<Vec<String>>,
}

/// One running helper in the hands of its script. When the script ends, the helper exits with code 0.
pub struct Desk {
    stream: UnixStream,
    ahead: Vec<u8>,
    ended: bool,
    /// Number of this helper in the order of their starts, from 0.
    pub number: usize,
    /// Its process id.
    pub pid: u32,
    /// The arguments that it was given.
    pub arguments: Vec<String>,
    shared: Arc<Shared>,
}

/// Something that scripts wait for and tests let happen.
#[derive(Clone, Default)]
pub struct Gate(Arc<(Mutex<usize>, Condvar)>);

impl Helpers {
    /// Runs `script` for each helper that is started.
    pub fn start(script: impl Fn(&mut Desk) -> io::Result<()> + Send + Sync + 'static) -> Helpers {
        let folder = tempfile::tempdir().expect("a temporary folder");
        std::fs::write(folder.path().join("helper.py"), PROGRAM).expect("a file in the temporary folder");
        let listener = UnixListener::bind(folder.path().join("desk")).expect("a socket in the temporary folder");
        let shared = Arc::new(Shared::default());
        let script: Arc<Script> = Arc::new(script);
        thread::spawn({
            let shared = Arc::clone(&shared);
            move || receive(&listener, &shared, &script)
        });
        Helpers { folder, shared }
    }

    /// Helpers that answer each line by itself.
    pub fn answering(answer: impl Fn(&str) -> String + Send + Sync + 'static) -> Helpers {
        Helpers::start(move |desk| {
            while let Some(line) = desk.line()? {
                desk.say(format!("{}\n", answer(&line)))?;
            }
            Ok(())
        })
    }

    /// Helpers that permit everything.
    pub fn permitting() -> Helpers {
        Helpers::start(Desk::permit)
    }

    /// The same, each question once the gate lets it pass.
    pub fn gated(gate: &Gate) -> Helpers {
        let gate = gate.clone();
        Helpers::start(move |desk| desk.permit_through(&gate))
    }

    /// Helpers that answer each ICAP question by itself.
    pub fn answering_icap(answer: impl Fn(&str) -> Vec<u8> + Send + Sync + 'static) -> Helpers {
        Helpers::start(move |desk| {
            while let Some(question) = desk.icap()? {
                desk.say(answer(&question))?;
            }
            Ok(())
        })
    }

    /// The value of `redirector.program`.
    pub fn program(&self) -> String {
        format!("{PYTHON} -IS {} {}", self.path("helper.py"), self.path("desk"))
    }

    /// A path below the folder of the helpers.
    pub fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().expect("a path of text").to_owned()
    }

    /// Starts a proxy that asks these helpers: one of them, unless the options say otherwise.
    pub fn proxy(&self, options: &[(&str, &str)]) -> Proxy {
        self.proxy_with(options, "")
    }

    /// The same, with an ini file of this text.
    pub fn proxy_with(&self, options: &[(&str, &str)], ini: &str) -> Proxy {
        let program = self.program();
        let mut all = vec![("redirector.enable", "true"), ("redirector.program", program.as_str())];
        all.extend([("redirector.minimum", "1"), ("redirector.maximum", "1")]);
        // A later value takes the place of an earlier one.
        all.extend(options);
        Proxy::start_with(&all, ini)
    }

    /// Process ids of all helpers started until now, in the order of their starts.
    pub fn pids(&self) -> Vec<u32> {
        self.shared.pids.lock().expect("no holder panics").clone()
    }

    /// Waits until so many helpers were started, and gives their process ids.
    pub fn wait_started(&self, count: usize) -> Vec<u32> {
        eventually(&format!("{count} helpers started"), || Some(self.pids()).filter(|pids| pids.len() >= count))
    }

    /// Every question until now, in the order in which the scripts read them.
    pub fn asked(&self) -> Vec<String> {
        self.shared.asked.lock().expect("no holder panics").clone()
    }

    /// Waits until so many questions were read, and gives them.
    pub fn wait_asked(&self, count: usize) -> Vec<String> {
        eventually(&format!("{count} questions"), || Some(self.asked()).filter(|asked| asked.len() >= count))
    }
}

impl Desk {
    fn meet(stream: UnixStream, shared: &Arc<Shared>) -> io::Result<Desk> {
        let shared = Arc::clone(shared);
        let mut desk = Desk { stream, ahead: vec![], ended: false, number: 0, pid: 0, arguments: vec![], shared };
        let (_, hello) = desk.frame()?;
        let hello = String::from_utf8_lossy(&hello).into_owned();
        let mut words = hello.split('\0').map(str::to_owned);
        desk.pid = words.next().and_then(|pid| pid.parse().ok()).expect("a helper says who it is");
        desk.arguments = words.collect();
        let mut pids = desk.shared.pids.lock().expect("no holder panics");
        desk.number = pids.len();
        pids.push(desk.pid);
        drop(pids);
        Ok(desk)
    }

    /// The next line that it was asked, without its end; None at the end of standard input.
    pub fn line(&mut self) -> io::Result<Option<String>> {
        let Some(mut line) = self.until(b"\n")? else { return Ok(None) };
        line.pop();
        Ok(Some(self.note(line)))
    }

    /// The next ICAP question, with all that is encapsulated; None at the end of standard input.
    pub fn icap(&mut self) -> io::Result<Option<String>> {
        let Some(mut question) = self.until(b"\n\n")? else { return Ok(None) };
        let head = String::from_utf8_lossy(&question).into_owned();
        let length = head.rsplit("null-body=").next().and_then(|rest| rest.trim().parse().ok());
        let length: usize = length.unwrap_or_else(|| panic!("no length in {head:?}"));
        while self.ahead.len() < length {
            if !self.more()? {
                return Ok(None);
            }
        }
        question.extend(self.ahead.drain(..length));
        Ok(Some(self.note(question)))
    }

    /// Permits each question, until there are no more.
    pub fn permit(&mut self) -> io::Result<()> {
        while self.line()?.is_some() {
            self.say("\n")?;
        }
        Ok(())
    }

    /// The same, each once the gate lets it pass.
    pub fn permit_through(&mut self, gate: &Gate) -> io::Result<()> {
        while self.line()?.is_some() {
            gate.pass()?;
            self.say("\n")?;
        }
        Ok(())
    }

    /// Writes to standard output.
    pub fn say(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.order(b'o', bytes.as_ref())
    }

    /// Writes to standard error.
    pub fn complain(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.order(b'e', bytes.as_ref())
    }

    /// Closes descriptors 0, 1 or 2.
    pub fn close(&mut self, descriptors: &[u8]) -> io::Result<()> {
        self.order(b'c', descriptors)
    }

    /// Ignores SIGTERM from now on.
    pub fn deafen(&mut self) -> io::Result<()> {
        self.order(b'd', b"")
    }

    /// Exits with this code.
    pub fn exit(&mut self, code: u8) -> io::Result<()> {
        self.order(b'x', &[code])
    }

    /// Does nothing more until the process is gone.
    pub fn hang(&mut self) -> io::Result<()> {
        let mut piece = [0; 4096];
        while self.stream.read(&mut piece)? > 0 {}
        Ok(())
    }

    fn order(&mut self, kind: u8, content: &[u8]) -> io::Result<()> {
        let length = u32::try_from(content.len()).expect("a test says less than 4 GiB");
        let mut frame = vec![kind];
        frame.extend(length.to_le_bytes());
        frame.extend(content);
        self.stream.write_all(&frame)
    }

    fn note(&self, question: Vec<u8>) -> String {
        let question = String::from_utf8_lossy(&question).into_owned();
        self.shared.asked.lock().expect("no holder panics").push(question.clone());
        question
    }

    fn until(&mut self, end: &[u8]) -> io::Result<Option<Vec<u8>>> {
        loop {
            if let Some(at) = self.ahead.windows(end.len()).position(|window| window == end) {
                return Ok(Some(self.ahead.drain(..at + end.len()).collect()));
            }
            if !self.more()? {
                return Ok(None);
            }
        }
    }

    /// Reads on; false when standard input has ended.
    fn more(&mut self) -> io::Result<bool> {
        if self.ended {
            return Ok(false);
        }
        let (kind, content) = self.frame()?;
        self.ended = kind == b'z';
        self.ahead.extend(content);
        Ok(!self.ended)
    }

    fn frame(&mut self) -> io::Result<(u8, Vec<u8>)> {
        let mut head = [0; 5];
        self.stream.read_exact(&mut head)?;
        let length = u32::from_le_bytes([head[1], head[2], head[3], head[4]]);
        let mut content = vec![0; length as usize];
        self.stream.read_exact(&mut content)?;
        Ok((head[0], content))
    }
}

impl Gate {
    /// Lets one more pass.
    pub fn open(&self) {
        self.open_for(1);
    }

    /// Lets so many more pass.
    pub fn open_for(&self, count: usize) {
        let (open, changed) = &*self.0;
        *open.lock().expect("no holder panics") += count;
        changed.notify_all();
    }

    /// Passes if that is allowed right now.
    pub fn try_pass(&self) -> bool {
        let mut open = self.0 .0.lock().expect("no holder panics");
        let may = *open > 0;
        *open -= usize::from(may);
        may
    }

    /// Waits until this one may pass; an error when that takes longer than any test waits.
    pub fn pass(&self) -> io::Result<()> {
        let (open, changed) = &*self.0;
        let open = open.lock().expect("no holder panics");
        let (mut open, waited) =
            changed.wait_timeout_while(open, PATIENCE * 2, |open| *open == 0).expect("no holder panics");
        if waited.timed_out() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        *open -= 1;
        Ok(())
    }
}

/// Sends a signal to a process that may be gone already.
pub fn signal(pid: u32, signal: Signal) {
    let _ = kill(Pid::from_raw(i32::try_from(pid).expect("a process id fits")), signal);
}

/// Whether there is no such process any more; one that was not reaped yet counts as gone.
pub fn gone(pid: u32) -> bool {
    // The process that adopts an orphan may be slow to reap it.
    std::fs::read_to_string(format!("/proc/{pid}/stat")).map_or(true, |stat| stat.contains(") Z "))
}

/// Waits until a process is gone.
pub fn wait_gone(pid: u32) {
    eventually(&format!("the end of process {pid}"), || gone(pid).then_some(()));
}

fn receive(listener: &UnixListener, shared: &Arc<Shared>, script: &Arc<Script>) {
    for stream in listener.incoming() {
        let Ok(stream) = stream else { return };
        let (shared, script) = (Arc::clone(shared), Arc::clone(script));
        thread::spawn(move || {
            // An error here is the end of the process, which many tests provoke; they look at its traces.
            if let Ok(mut desk) = Desk::meet(stream, &shared) {
                let _ = script(&mut desk);
            }
        });
    }
}
