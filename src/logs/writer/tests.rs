//! Queues that are full, destinations that fail or are stuck, and what is told of both.

use super::*;
use std::sync::mpsc::{channel, Receiver, Sender};

const LIMIT: Duration = Duration::from_secs(60);

/// An output that asks the test, batch by batch, whether it may write.
struct Gate {
    entered: Sender<()>,
    permits: Receiver<bool>,
    written: Arc<Mutex<String>>,
}

struct Control {
    entered: Receiver<()>,
    permits: Sender<bool>,
    written: Arc<Mutex<String>>,
}

impl Output for Gate {
    fn write(&mut self, lines: &Batch) -> Report {
        if lines.is_empty() {
            return Report::default();
        }
        let _ = self.entered.send(());
        // Without a control the gate stands open.
        if !self.permits.recv().unwrap_or(true) {
            return Report { lost: lines.len() as u64, trouble: Some("disk full".into()) };
        }
        self.written.lock().unwrap().push_str(std::str::from_utf8(lines.bytes()).unwrap());
        Report::default()
    }

    fn reopen(&mut self) -> io::Result<()> {
        Err(io::Error::other("no folder"))
    }
}

fn gate() -> (Box<dyn Output>, Control) {
    let (entered, entries) = channel();
    let (permits, permitted) = channel();
    let written = Arc::new(Mutex::new(String::new()));
    let gate = Gate { entered, permits: permitted, written: Arc::clone(&written) };
    (Box::new(gate), Control { entered: entries, permits, written })
}

fn spawn(output: Box<dyn Output>, capacity: usize) -> Handle {
    Writer::spawn(output, capacity, Box::new(|text| format!("notice: {text}"))).unwrap()
}

impl Control {
    /// Lets one batch through, or makes it fail.
    fn answer(&self, permit: bool) {
        self.entered.recv().unwrap();
        self.permits.send(permit).unwrap();
    }

    fn text(&self) -> String {
        self.written.lock().unwrap().clone()
    }
}

#[test]
fn lines_are_written_in_order_and_flush_waits_for_them() {
    let (output, control) = gate();
    let handle = spawn(output, 1 << 16);
    handle.write(Severity::Info, "one");
    assert!(!handle.flush(Duration::ZERO));
    control.answer(true);
    handle.write(Severity::Info, "two\n");
    control.answer(true);
    assert!(handle.flush(LIMIT));
    assert_eq!((control.text().as_str(), handle.lost()), ("one\ntwo\n", 0));
}

#[test]
fn a_stuck_destination_costs_lines_but_no_memory_and_says_how_many() {
    let (output, control) = gate();
    let handle = spawn(output, 1_000);
    handle.write(Severity::Info, "first");
    control.entered.recv().unwrap();
    for _ in 0..10_000 {
        handle.write(Severity::Info, "next");
    }
    let lost = handle.lost();
    assert!((9_900..10_000).contains(&lost), "{lost}");
    control.permits.send(true).unwrap();
    control.answer(true);
    control.answer(true);
    assert!(handle.flush(LIMIT));
    let text = control.text();
    assert_eq!(text.matches("next\n").count() as u64, 10_000 - lost);
    assert!(text.ends_with(&format!("next\nnotice: {lost} log lines were lost: too many at once\n")), "{text}");
}

#[test]
fn lines_lost_by_the_destination_are_told_when_it_works_again() {
    let (output, control) = gate();
    let handle = spawn(output, 1 << 16);
    for (line, works) in [("a", false), ("b", false), ("c", true)] {
        handle.write(Severity::Info, line);
        control.answer(works);
        if works {
            control.answer(true);
        }
        assert!(handle.flush(LIMIT));
    }
    assert_eq!(control.text(), "c\nnotice: 2 log lines were lost: disk full\n");
    assert_eq!(handle.lost(), 2);
}

#[test]
fn what_is_told_elsewhere_is_told_at_once_and_ever_more_rarely() {
    let (output, control) = gate();
    let (told, news) = channel();
    let notice = move |text: &str| {
        told.send(text.to_owned()).unwrap();
        String::new()
    };
    let handle = Writer::spawn(output, 1 << 16, Box::new(notice)).unwrap();
    for _ in 0..5 {
        handle.write(Severity::Info, "x");
        control.answer(false);
        assert!(handle.flush(LIMIT));
    }
    let counts = |news: &Receiver<String>| news.try_iter().map(|text| text[..1].to_owned()).collect::<Vec<_>>();
    assert_eq!(counts(&news), ["1", "2", "4"]);
    handle.write(Severity::Info, "y");
    control.answer(true);
    assert!(handle.flush(LIMIT));
    assert_eq!((counts(&news), control.text().as_str()), (vec!["5".to_owned()], "y\n"));
}

#[test]
fn a_failed_reopen_is_told_and_loses_nothing() {
    let (output, control) = gate();
    let handle = spawn(output, 1 << 16);
    handle.reopen();
    control.answer(true);
    assert!(handle.flush(LIMIT));
    assert_eq!(control.text(), "notice: could not open the log anew, the old one is kept: no folder\n");
    assert_eq!(handle.lost(), 0);
}

#[test]
fn a_replaced_destination_gets_the_next_line() {
    let (output, old) = gate();
    let (replacement, new) = gate();
    let handle = spawn(output, 1 << 16);
    handle.write(Severity::Info, "old");
    old.answer(true);
    assert!(handle.flush(LIMIT));
    handle.replace(replacement);
    handle.write(Severity::Info, "new");
    new.answer(true);
    assert!(handle.flush(LIMIT));
    assert_eq!((old.text().as_str(), new.text().as_str()), ("old\n", "new\n"));
}

#[test]
fn the_last_handle_lets_the_thread_write_what_is_left_and_end() {
    let (output, control) = gate();
    let handle = spawn(output, 1 << 16);
    let clone = handle.clone();
    handle.write(Severity::Info, "a");
    control.entered.recv().unwrap();
    clone.write(Severity::Info, "b");
    drop((handle, clone));
    control.permits.send(true).unwrap();
    control.answer(true);
    // The output is dropped with the thread, and the channel with the output.
    assert!(control.entered.recv().is_err());
    assert_eq!(control.text(), "a\nb\n");
}
