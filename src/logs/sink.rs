//! Opens what lines are written to: a stream here, files in `rotate`, datagrams in `syslog`. Knows no queue.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;

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
}

impl StreamSink {
    fn new(stream: &impl AsFd) -> io::Result<Self> {
        Ok(Self { file: File::from(stream.as_fd().try_clone_to_owned()?), torn: false })
    }
}

impl Output for StreamSink {
    fn write(&mut self, lines: &Batch) -> Report {
        let mut report = Report::default();
        put(&mut self.file, &mut self.torn, lines.bytes(), &mut report);
        report
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logs::{Prefix, SyslogForm};

    #[test]
    fn a_file_that_cannot_be_opened_is_named() {
        let destination = Destination::File("/nonexistent/folder/log".into());
        let style = SyslogStyle { form: SyslogForm::ExaProxy, prefix: Prefix::new("ExaProxy", 1) };
        let error = open(&destination, Rotation::NEVER, style).err().unwrap();
        assert!(error.to_string().starts_with("/nonexistent/folder/log: "), "{error}");
    }
}
