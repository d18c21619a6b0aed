//! Where lines end up: a file, standard output, a syslog server.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    os::fd::AsFd as _,
    path::PathBuf,
};

use tidegate_plan::LogSink;

use super::syslog::Syslog;

/// Where lines end up.
#[derive(Debug)]
pub(super) enum Sink {
    File { path: PathBuf, file: File, torn: bool },
    Stdout { file: File, torn: bool },
    Syslog(Syslog),
}

/// Not everything was written.
#[derive(Debug)]
pub(super) struct Unwritten {
    /// Lines that are lost.
    pub(super) lines: u64,
    pub(super) error: io::Error,
}

impl Sink {
    pub(super) fn open(plan: &LogSink) -> io::Result<Self> {
        Ok(match plan {
            LogSink::File { path } => {
                let path = PathBuf::from(path);
                Self::File { file: append_to(&path)?, path, torn: false }
            }
            LogSink::Stdout => {
                // A descriptor of its own: no lock that others hold, no second buffer.
                let file = File::from(io::stdout().as_fd().try_clone_to_owned()?);
                Self::Stdout { file, torn: false }
            }
            LogSink::Syslog { address, facility, tag } => {
                Self::Syslog(Syslog::open(address, *facility, tag)?)
            }
        })
    }

    /// As the error log calls it.
    pub(super) fn name(&self) -> String {
        match self {
            Self::File { path, .. } => path.display().to_string(),
            Self::Stdout { .. } => "standard output".into(),
            Self::Syslog(syslog) => syslog.name().to_owned(),
        }
    }

    /// After a rotation: what has been renamed is let go. Where the new one can't be opened the old one stays.
    pub(super) fn reopen(&mut self) -> io::Result<()> {
        match self {
            Self::File { path, file, torn } => {
                *file = append_to(path)?;
                *torn = false;
                Ok(())
            }
            Self::Stdout { .. } => Ok(()),
            Self::Syslog(syslog) => syslog.reconnect(),
        }
    }

    /// Writes whole lines.
    pub(super) fn write(&mut self, lines: &[u8]) -> Result<(), Unwritten> {
        match self {
            Self::File { file, torn, .. } | Self::Stdout { file, torn } => write_lines(file, torn, lines),
            Self::Syslog(syslog) => syslog.write(lines),
        }
    }
}

fn append_to(path: &PathBuf) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).open(path)
}

/// Writes all of `lines`; `torn` says whether an earlier failure left a piece of a line at the end.
fn write_lines(file: &mut impl Write, torn: &mut bool, lines: &[u8]) -> Result<(), Unwritten> {
    if *torn {
        // The piece is ended first, so that it does not swallow a good line.
        let ended = file.write_all(b"\n");
        ended.map_err(|error| Unwritten { lines: count_lines(lines), error })?;
        *torn = false;
    }
    let mut rest = lines;
    while !rest.is_empty() {
        let error = match file.write(rest) {
            Ok(0) => io::Error::from(io::ErrorKind::WriteZero),
            Ok(written) => {
                rest = &rest[written..];
                continue;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => error,
        };
        let written = lines.len() - rest.len();
        *torn = written > 0 && lines[written - 1] != b'\n';
        return Err(Unwritten { lines: count_lines(rest), error });
    }
    Ok(())
}

pub(super) fn count_lines(lines: &[u8]) -> u64 {
    memchr::memchr_iter(b'\n', lines).count() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A disk with room for so many bytes.
    struct Disk {
        room: usize,
        written: Vec<u8>,
    }

    impl Write for Disk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let taken = bytes.len().min(self.room);
            if taken == 0 {
                return Err(io::Error::from(io::ErrorKind::StorageFull));
            }
            self.room -= taken;
            self.written.extend_from_slice(&bytes[..taken]);
            Ok(taken)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn lines_that_no_longer_fit_are_counted_and_the_torn_one_is_ended_later() {
        let mut disk = Disk { room: 9, written: Vec::new() };
        let mut torn = false;
        let unwritten = write_lines(&mut disk, &mut torn, b"first\nsecond\nthird\n").unwrap_err();
        assert_eq!(unwritten.lines, 2);
        assert_eq!(unwritten.error.kind(), io::ErrorKind::StorageFull);
        assert!(write_lines(&mut disk, &mut torn, b"fourth\n").is_err_and(|unwritten| unwritten.lines == 1));
        disk.room = 100;
        write_lines(&mut disk, &mut torn, b"fifth\n").unwrap();
        assert_eq!(disk.written, b"first\nsec\nfifth\n");
    }

    #[test]
    fn a_failure_between_lines_tears_nothing() {
        let mut disk = Disk { room: 6, written: Vec::new() };
        let mut torn = false;
        assert!(
            write_lines(&mut disk, &mut torn, b"first\nsecond\n")
                .is_err_and(|unwritten| unwritten.lines == 1)
        );
        disk.room = 100;
        write_lines(&mut disk, &mut torn, b"third\n").unwrap();
        assert_eq!(disk.written, b"first\nthird\n");
    }
}
