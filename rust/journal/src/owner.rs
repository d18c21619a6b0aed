//! Who owns a segment: a process, told apart from later ones with the same id by when it started, and in which boot.

use std::fs;

use crate::Header;

impl Header {
    /// Whether the process that made the segment runs no more. `false` where that can't be told. Look first, then read the
    /// segment to its end: what the owner appended in between would be lost with the file otherwise.
    pub fn owner_is_gone(&self) -> bool {
        let Some(boot) = boot() else { return false };
        if self.boot == 0 || self.started == 0 {
            // The owner could not tell who it is.
            return false;
        }
        if boot != self.boot {
            return true;
        }
        match fs::read_to_string(format!("/proc/{}/stat", self.pid)) {
            Ok(stat) => parse_started(&stat).is_some_and(|started| started != self.started),
            Err(error) => error.kind() == std::io::ErrorKind::NotFound,
        }
    }
}

/// When this process started, in ticks since boot; 0 where `/proc` does not tell.
pub(crate) fn started() -> u64 {
    fs::read_to_string("/proc/self/stat").ok().and_then(|stat| parse_started(&stat)).unwrap_or(0)
}

/// Which boot this is.
pub(crate) fn boot() -> Option<u64> {
    let id = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let digits: String = id.chars().filter(char::is_ascii_hexdigit).take(16).collect();
    u64::from_str_radix(&digits, 16).ok()
}

/// Field 22 (proc_pid_stat(5)). The second field is the program's name in parentheses, which may hold anything.
fn parse_started(stat: &str) -> Option<u64> {
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_ascii_whitespace().nth(22 - 3)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_name_with_parentheses_and_blanks_is_no_field() {
        let fields: Vec<String> = (3..=52).map(|n| n.to_string()).collect();
        assert_eq!(parse_started(&format!("7 (a) b (c) {}", fields.join(" "))), Some(22));
        assert_eq!(parse_started(""), None);
    }

    #[test]
    fn this_process_is_there_and_its_namesakes_are_gone() {
        let header = Header {
            segment_bytes: 0,
            nonce: 0,
            number: 0,
            pid: std::process::id(),
            worker: 0,
            started: started(),
            boot: boot().unwrap(),
        };
        assert!(started() > 0);
        assert!(!header.owner_is_gone());
        assert!(Header { started: header.started + 1, ..header }.owner_is_gone(), "the id was given again");
        assert!(Header { boot: header.boot + 1, ..header }.owner_is_gone(), "the machine was booted since");
        assert!(!Header { started: 0, ..header }.owner_is_gone(), "it did not know");
        assert!(Header { pid: u32::MAX, ..header }.owner_is_gone());
    }
}
