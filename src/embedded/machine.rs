//! How much memory there is: the machine's, or less when a cgroup says so.

use std::fs;
use std::path::Path;

/// Memory that this process may use, in bytes: the least of the machine's and of every limit
/// on the way up its cgroups.
#[must_use]
pub fn memory_bytes() -> u64 {
    let machine = rustix::system::sysinfo();
    let total = machine.totalram.saturating_mul(u64::from(machine.mem_unit));
    let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    limit_bytes(&own, Path::new("/sys/fs/cgroup")).map_or(total, |limit| limit.min(total))
}

/// The least limit in the cgroups that `own` (the text of /proc/self/cgroup) names.
///
/// Version 2 has one line, `0::/path`, and `memory.max` in every directory from there up. Version
/// 1 has a line per controller, `4:memory:/path`. In a container the path may be that of the
/// host, so directories that do not exist are passed by.
fn limit_bytes(own: &str, root: &Path) -> Option<u64> {
    let limits = own.lines().flat_map(|line| {
        let mut parts = line.splitn(3, ':').skip(1);
        let (controllers, path) =
            (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        let (root, file) = match controllers {
            "" => (root.to_owned(), "memory.max"),
            _ if controllers.split(',').any(|name| name == "memory") => {
                (root.join("memory"), "memory.limit_in_bytes")
            }
            _ => return Vec::new(),
        };
        let own = root.join(path.trim_start_matches('/'));
        let way_up = own.ancestors().take_while(|directory| directory.starts_with(&root));
        way_up
            // "max" is no number and stands for no limit.
            .filter_map(|dir| fs::read_to_string(dir.join(file)).ok()?.trim().parse().ok())
            .collect()
    });
    limits.min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_limit_on_the_way_up_counts() {
        let root = tempfile::tempdir().unwrap();
        let slice = root.path().join("a/b");
        fs::create_dir_all(&slice).unwrap();
        assert_eq!(limit_bytes("0::/a/b\n", root.path()), None);
        fs::write(slice.join("memory.max"), "max\n").unwrap();
        fs::write(root.path().join("a/memory.max"), "1000\n").unwrap();
        assert_eq!(limit_bytes("0::/a/b\n", root.path()), Some(1000));
        fs::write(slice.join("memory.max"), "900\n").unwrap();
        assert_eq!(limit_bytes("0::/a/b\n", root.path()), Some(900));
        assert_eq!(limit_bytes("0::/not/there\n", root.path()), None);
    }

    #[test]
    fn version_one_has_a_directory_for_memory() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("memory/docker")).unwrap();
        fs::write(root.path().join("memory/docker/memory.limit_in_bytes"), "500\n").unwrap();
        let own = "5:cpu,cpuacct:/docker\n4:memory:/docker\n";
        assert_eq!(limit_bytes(own, root.path()), Some(500));
    }

    #[test]
    fn this_machine_has_memory() {
        assert!(memory_bytes() > 64 << 20);
    }
}
