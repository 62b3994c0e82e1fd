//! What outlives the daemon: the Request ID to go on with (RFC 2332 section 5.2.3).

use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;

const REQUEST_ID: &str = "request_id ";

/// The Request ID saved in `file`; 0 when there is none yet, or when it cannot be read.
pub fn load(file: &str) -> u32 {
    let text = match fs::read_to_string(file) {
        Ok(text) => text,
        Err(e) if e.kind() == ErrorKind::NotFound => return 0,
        Err(e) => {
            log::warn!("{file}: {e}; Request IDs start from 0");
            return 0;
        }
    };
    let id = text.lines().find_map(|line| line.strip_prefix(REQUEST_ID)?.trim().parse().ok());
    if id.is_none() {
        log::warn!("{file}: no line '{REQUEST_ID}NUMBER'; Request IDs start from 0");
    }
    id.unwrap_or(0)
}

/// Saves it: whole or, when the power fails, not at all.
pub fn save(file: &str, request_id: u32) -> io::Result<()> {
    let file = Path::new(file);
    if let Some(directory) = file.parent() {
        fs::create_dir_all(directory)?;
    }
    let new = file.with_extension("new");
    fs::write(&new, format!("{REQUEST_ID}{request_id}\n"))?;
    fs::File::open(&new)?.sync_all()?;
    fs::rename(&new, file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_saved_is_loaded() {
        let directory = std::env::temp_dir().join(format!("dmevpn-state-{}", std::process::id()));
        let file = directory.join("deep/state");
        let file = file.to_str().unwrap();
        assert_eq!(load(file), 0);
        save(file, 4096).unwrap();
        assert_eq!(load(file), 4096);
        fs::write(file, "nonsense").unwrap();
        assert_eq!(load(file), 0);
        fs::remove_dir_all(directory).unwrap();
    }
}
