//! Opens what lines are written to: a stream here, which may lead to the journal of systemd, files in `rotate`, datagrams in `syslog`. Knows no queue.

use std::fs::{File, Metadata};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;

use super::batch::Batch;
use super::datagram::SyslogStyle;
use super::output::{put, Output, Report};
use super::rotate::RotatingFile;
use super::syslog::Syslog;
use super::{Destination, Rotation};

/// Opens a destination.
///
/// A file or stream is opened at once. Syslog is opened when the first line is sent, because looking up the name of a
/// server may take seconds; until that succeeds its lines count as lost.
///
/// # Errors
/// What the system says when a file cannot be opened, with its path.
pub fn open(destination: &Destination, rotation: Rotation, style: SyslogStyle) -> io::Result<Box<dyn Output>> {
    Ok(match destination {
        Destination::Stdout => Box::new(StreamSink::new(&io::stdout())?),
        Destination::Stderr => Box::new(StreamSink::new(&io::stderr())?),
        Destination::LocalSyslog => Box::new(Syslog::local(style)),
        Destination::Udp { host, port } => Box::new(Syslog::udp(host, *port, style)),
        Destination::File(path) => Box::new(
            RotatingFile::open(path, rotation)
                .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))?,
        ),
    })
}

/// A standard stream, through a descriptor of our own and without a buffer.
struct StreamSink {
    file: File,
    torn: bool,
    /// Lines with their severities, where the stream leads to the journal; what the last ones took is kept.
    journal: Option<Vec<u8>>,
}

/// Most bytes that are kept so.
const JOURNAL_BYTES_KEPT: usize = 64 * 1024;

impl StreamSink {
    fn new(stream: &impl AsFd) -> io::Result<Self> {
        let file = File::from(stream.as_fd().try_clone_to_owned()?);
        let said = std::env::var("JOURNAL_STREAM").ok();
        let journal = said.zip(file.metadata().ok()).is_some_and(|(said, found)| is_journal(&said, &found));
        Ok(Self { file, torn: false, journal: journal.then(Vec::new) })
    }
}

impl Output for StreamSink {
    fn write(&mut self, lines: &Batch) -> Report {
        let mut report = Report::default();
        match &mut self.journal {
            None => put(&mut self.file, &mut self.torn, lines.bytes(), &mut report),
            Some(bytes) => {
                with_severities(bytes, lines);
                let written = put(&mut self.file, &mut self.torn, bytes, &mut report);
                bytes.clear();
                bytes.shrink_to(JOURNAL_BYTES_KEPT);
                written
            }
        };
        report
    }
}

/// Is this the file whose device and number JOURNAL_STREAM says (systemd.exec(5))? The variable is inherited by programs whose
/// output goes elsewhere.
fn is_journal(said: &str, found: &Metadata) -> bool {
    said.split_once(':') == Some((&found.dev().to_string(), &found.ino().to_string()))
}

/// Each line as the journal takes it, with its severity in front (sd-daemon(3)).
fn with_severities(out: &mut Vec<u8>, lines: &Batch) {
    for (severity, line) in lines.lines() {
        // Writing to a Vec cannot fail.
        let _ = write!(out, "<{}>", severity.syslog_severity());
        out.extend_from_slice(line);
        out.push(b'\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logs::{Prefix, Severity, SyslogForm};

    #[test]
    fn the_journal_is_told_by_its_file_and_gets_severities() {
        let file = tempfile::tempfile().unwrap().metadata().unwrap();
        let said = format!("{}:{}", file.dev(), file.ino());
        assert!(is_journal(&said, &file));
        for other in ["", ":", "8:1", &format!("{said}1"), &format!("{}", file.ino())] {
            assert!(!is_journal(other, &file), "{other}");
        }
        let mut lines = Batch::default();
        for severity in Severity::ALL {
            lines.push(severity, "a <1>line");
        }
        let mut out = Vec::new();
        with_severities(&mut out, &lines);
        let text = "<2>a <1>line\n<3>a <1>line\n<4>a <1>line\n<6>a <1>line\n<7>a <1>line\n";
        assert_eq!(String::from_utf8(out).unwrap(), text);
    }

    #[test]
    fn a_file_that_cannot_be_opened_is_named() {
        let destination = Destination::File("/nonexistent/folder/log".into());
        let style = SyslogStyle { form: SyslogForm::ExaProxy, prefix: Prefix::new("ExaProxy", 1) };
        let error = open(&destination, Rotation::NEVER, style).err().unwrap();
        assert!(error.to_string().starts_with("/nonexistent/folder/log: "), "{error}");
    }
}
