//! The file of a record. It ends by itself: a router has little room, and most of it is memory.

use super::{complain, write};
use crate::shell::words::InWords;
use crate::view::Failure;
use std::fs::File;
use std::io::{Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;

/// A file that is being written.
pub(super) struct Record {
    path: String,
    file: File,
    most: u64,
    /// How long it is, and up to where its entries are whole.
    len: u64,
    whole: u64,
    ends_line: bool,
}

impl Record {
    /// A new file, of `most` MB at most: what is said between sites is nobody else's business.
    pub fn new(path: String, most: u32) -> Result<Record, Failure> {
        let file = File::options().write(true).create_new(true).mode(0o600).open(&path);
        let file = file.map_err(|e| Failure::failed(format!("{path}: {}", InWords(&e))))?;
        let most = u64::from(most) << 20;
        Ok(Record { path, file, most, len: 0, whole: 0, ends_line: true })
    }

    /// Writes a text behind the others; `false` if the file would become too large: then it ends with its last whole entry,
    /// and says so.
    pub fn add(&mut self, text: &str) -> Result<bool, Failure> {
        let octets = text.as_bytes();
        // A line that begins with a space goes on with the one before.
        let begins_entry = |place: &usize| {
            let before = place.checked_sub(1).and_then(|before| octets.get(before));
            before.map_or(self.ends_line, |octet| *octet == b'\n') && octets.get(*place) != Some(&b' ')
        };
        let len = self.len + octets.len() as u64;
        let seen = if len <= self.most { octets.len() } else { 1 };
        if let Some(place) = (0..seen).rfind(begins_entry) {
            self.whole = self.len + place as u64;
        }
        if len > self.most {
            return self.end().map(|()| false);
        }
        (self.len, self.ends_line) = (len, text.ends_with('\n'));
        write(&mut self.file, text)
    }

    fn end(&mut self) -> Result<(), Failure> {
        let mut file = &self.file;
        let cut = file.set_len(self.whole).and_then(|()| file.seek(SeekFrom::Start(self.whole)));
        cut.map_err(|e| Failure::failed(format!("{}: {}", self.path, InWords(&e))))?;
        write(&mut file, "# the record ends here: --most allows no more\n")?;
        let (path, most) = (&self.path, self.most >> 20);
        complain(&format!("dmevpn: {path}: the record ends here: --most {most} (MB) allows no more\n"));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_record_ends_with_a_whole_entry() {
        let path = std::env::temp_dir().join(format!("dmevpn-record-{}", std::process::id()));
        let entry = "1.000 in 10.0.0.1 10.0.0.2 none\n  0001\n";
        for (most, kept) in [(0, 0), (39, 1), (60, 1), (1000, 3)] {
            let mut record = Record::new(path.to_str().unwrap().into(), 1).unwrap();
            record.most = most;
            let (one, two) = entry.split_at(35);
            let all = [entry, one, two, entry].map(|text| record.add(text).unwrap());
            assert_eq!(all.contains(&false), kept < 3, "{most}");
            let text = fs::read_to_string(&path).unwrap();
            assert!(text.starts_with(&entry.repeat(kept)), "{most}: {text}");
            assert_eq!(text.contains("ends here"), kept < 3);
            fs::remove_file(&path).unwrap();
        }
    }
}
