//! What the system says of memory and descriptors: files of the kernel's own, read without a system call of ours.

use std::{fs, path::PathBuf};

/// Resident memory of this process in bytes (proc(5), `status`); `None` where the kernel does not tell.
pub fn resident_bytes() -> Option<u64> {
    kilobytes(&fs::read_to_string("/proc/self/status").ok()?, "VmRSS:")
}

/// The memory that this process can have: the machine's, or what the control groups above it leave of it.
pub fn memory_bytes() -> Option<u64> {
    let machine = fs::read_to_string("/proc/meminfo").ok().and_then(|text| kilobytes(&text, "MemTotal:"));
    let group =
        fs::read_to_string("/proc/self/cgroup").ok().and_then(|text| group_bytes(&text, "/sys/fs/cgroup"));
    machine.into_iter().chain(group).min()
}

/// The most descriptors that this process may have open (proc(5), `limits`, the soft one).
pub fn open_files() -> Option<u64> {
    most_files(&fs::read_to_string("/proc/self/limits").ok()?)
}

/// The smallest `memory.max` of the group and those above it (cgroup v2), or the group's own limit (v1).
fn group_bytes(told: &str, root: &str) -> Option<u64> {
    let mut least = None;
    for line in told.lines() {
        let mut parts = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (parts.next(), parts.next()) else { continue };
        let (base, file) = if controllers.is_empty() {
            (PathBuf::from(root), "memory.max")
        } else if controllers.split(',').any(|name| name == "memory") {
            (PathBuf::from(root).join("memory"), "memory.limit_in_bytes")
        } else {
            continue;
        };
        // Within a container the group's own path may not be there, only the root, which is then the group.
        let mut folder = base.join(path.trim_start_matches('/'));
        while folder.starts_with(&base) {
            let bytes = fs::read_to_string(folder.join(file)).ok().and_then(|text| text.trim().parse().ok());
            least = least.into_iter().chain(bytes).min();
            if !folder.pop() {
                break;
            }
        }
    }
    least
}

fn kilobytes(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    let number: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    number.checked_mul(1024)
}

fn most_files(text: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix("Max open files"))?.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_tells_of_this_process() {
        assert!(resident_bytes().unwrap() > 1 << 20);
        assert!(memory_bytes().unwrap() > resident_bytes().unwrap());
        assert!(open_files().unwrap() >= 16);
    }

    #[test]
    fn numbers_are_read_from_their_lines() {
        assert_eq!(kilobytes("VmPeak:\t 10 kB\nVmRSS:\t    6400 kB\n", "VmRSS:"), Some(6400 * 1024));
        assert_eq!(kilobytes("VmRSS:\t x kB", "VmRSS:"), None);
        let limits = "Limit  Soft Limit  Hard Limit  Units\nMax open files            1024                 4096  files\n";
        assert_eq!(most_files(limits), Some(1024));
        assert_eq!(most_files("Max open files  unlimited unlimited files"), None);
    }

    #[test]
    fn the_smallest_limit_of_a_group_and_those_above_it_holds() {
        let root = std::env::temp_dir().join(format!("tidegate-groups-{}", std::process::id()));
        let inner = root.join("a/b");
        fs::create_dir_all(&inner).unwrap();
        fs::write(inner.join("memory.max"), "max\n").unwrap();
        fs::write(root.join("a/memory.max"), "1000000\n").unwrap();
        let text = root.to_str().unwrap();
        assert_eq!(group_bytes("0::/a/b\n", text), Some(1_000_000));
        assert_eq!(group_bytes("0::/\n", text), None);
        assert_eq!(group_bytes("0::/elsewhere/../..\n", text), None, "what is not there has no limit");
        fs::remove_dir_all(&root).unwrap();
    }
}
