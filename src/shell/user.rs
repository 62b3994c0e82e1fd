//! As whom the daemon runs, and whether the kernel refuses it most system calls.

use std::fs;

/// What the kernel says of this process.
#[derive(Debug)]
pub struct Process(String);

impl Process {
    /// Asks.
    pub fn this() -> Process {
        Process(fs::read_to_string("/proc/self/status").unwrap_or_default())
    }

    /// The name of its effective user, or the number of one without a name.
    pub fn user(&self) -> String {
        let id = self.fields("Uid:").nth(1).unwrap_or("?");
        let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
        let name = users.lines().find_map(|line| {
            let mut fields = line.split(':');
            let name = fields.next()?;
            (fields.nth(1)? == id).then_some(name)
        });
        name.unwrap_or(id).to_owned()
    }

    /// Whether a seccomp filter is in force.
    pub fn is_confined(&self) -> bool {
        self.fields("Seccomp:").next() == Some("2")
    }

    fn fields(&self, key: &str) -> impl Iterator<Item = &str> {
        self.0.lines().find_map(|line| line.strip_prefix(key)).unwrap_or_default().split_whitespace()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_effective_user_counts() {
        let process = |uid: &str, seccomp: &str| {
            Process(format!("Name:\tx\nUid:\t7\t{uid}\t7\t7\nSeccomp:\t{seccomp}\n"))
        };
        assert_eq!(process("0", "0").user(), "root");
        assert_eq!(process("4242424", "0").user(), "4242424");
        assert!(process("0", "2").is_confined() && !process("0", "0").is_confined());
        assert_ne!(Process::this().user(), "?");
    }
}
