//! What outlives the daemon: the Request ID to go on with (RFC 2332 section 5.2.3), and who this router is.
//!
//! The file is two lines, and written at the first start, then once a start and every 1024 requests: flash wears.

use super::identity::Identity;
use super::words::InWords;
use std::fs::{self, DirBuilder, File};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

const REQUEST_ID: &str = "request_id ";
const IDENTITY: &str = "identity ";
/// More than the lines ever have, in octets.
const MOST: u64 = 4096;

/// What the file holds.
#[derive(Debug)]
pub struct State {
    file: String,
    request_id: u32,
    identity: Identity,
    warned: bool,
}

impl State {
    /// What an earlier run left in `file`. What is missing there is made; what is garbled, too, with a warning.
    pub fn load(file: &str) -> io::Result<State> {
        let text = match read(file) {
            Ok(octets) => String::from_utf8_lossy(&octets).into_owned(),
            Err(e) => {
                if e.kind() != ErrorKind::NotFound {
                    log::warn!("{file}: {}", InWords(&e));
                }
                String::new()
            }
        };
        let after = |word: &str| text.lines().find_map(|line| line.strip_prefix(word)).map(str::trim);
        let request_id: Option<u32> = after(REQUEST_ID).and_then(|n| n.parse().ok());
        let identity: Option<Identity> = after(IDENTITY).and_then(|i| i.parse().ok());
        // A file without an identity is one of an earlier version.
        if !text.is_empty() && (request_id.is_none() || identity.is_none() && text.contains(IDENTITY)) {
            log::warn!("{file} is garbled: what cannot be read there is made anew");
        }
        let mut state = State {
            file: file.to_owned(),
            request_id: request_id.unwrap_or(0),
            identity: identity.map_or_else(Identity::random, Ok)?,
            warned: false,
        };
        if identity.is_none() {
            state.save();
        }
        Ok(state)
    }

    /// The Request ID to go on with; 0 at the very first start.
    pub fn request_id(&self) -> u32 {
        self.request_id
    }

    /// Who this router is.
    pub fn identity(&self) -> Identity {
        self.identity
    }

    /// The next start is to go on with this Request ID.
    pub fn save_request_id(&mut self, id: u32) {
        self.request_id = id;
        self.save();
    }

    fn save(&mut self) {
        let text = format!("{REQUEST_ID}{}\n{IDENTITY}{}\n", self.request_id, self.identity);
        let Err(e) = write(&self.file, &text) else { return };
        if !core::mem::replace(&mut self.warned, true) {
            log::warn!(
                "{}: {}; correct option 'state_file': until then this router is another one for its hubs after each \
                 start, and what it registered before lasts there until its holding time is over",
                self.file,
                InWords(&e)
            );
        }
    }
}

/// What the file begins with. The service's user may put in its place what never ends or never answers.
fn read(file: &str) -> io::Result<Vec<u8>> {
    let there = File::options().read(true).custom_flags(libc::O_NONBLOCK).open(file)?;
    if !there.metadata()?.is_file() {
        return Err(io::Error::other("there is something else than a file"));
    }
    let mut octets = Vec::new();
    there.take(MOST).read_to_end(&mut octets)?;
    Ok(octets)
}

/// Writes the file whole or, when the power fails, not at all; for its owner only.
fn write(file: &str, text: &str) -> io::Result<()> {
    if let Some(directory) = Path::new(file).parent() {
        DirBuilder::new().recursive(true).mode(0o755).create(directory)?;
    }
    let new = format!("{file}.new");
    // One that a power failure left may have another mode.
    let _ = fs::remove_file(&new);
    let mut out = File::options().write(true).create_new(true).mode(0o600).open(&new)?;
    out.write_all(text.as_bytes())?;
    out.sync_all()?;
    fs::rename(&new, file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn what_was_saved_is_loaded_and_what_is_garbled_is_made_anew() {
        let directory = std::env::temp_dir().join(format!("dmevpn-state-{}", std::process::id()));
        let file = directory.join("deep/state");
        let file = file.to_str().unwrap();
        let mut first = State::load(file).unwrap();
        assert_eq!(first.request_id(), 0);
        assert_eq!(fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600);
        let same = |identity| State::load(file).unwrap().identity() == identity;
        assert!(same(first.identity()), "it is saved as soon as it is made");
        first.save_request_id(4096);
        assert_eq!(State::load(file).unwrap().request_id(), 4096);
        assert!(same(first.identity()));

        // An earlier version's file, and pieces of one: what can be read is kept.
        fs::write(file, "request_id 8192\n").unwrap();
        let of_old = State::load(file).unwrap();
        assert_eq!(of_old.request_id(), 8192);
        assert!(same(of_old.identity()) && !same(first.identity()));
        for garbled in [&b""[..], b"nonsense", b"\xff\xfe\0", b"request_id many\nidentity 12\n"] {
            fs::write(file, garbled).unwrap();
            let state = State::load(file).unwrap();
            assert_eq!(state.request_id(), 0);
            assert!(same(state.identity()));
        }
        fs::write(file, format!("request_id \nidentity {}\n", first.identity())).unwrap();
        assert!(same(first.identity()));
        fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn what_is_no_file_is_not_waited_for_nor_read_to_its_end() {
        let directory = std::env::temp_dir().join(format!("dmevpn-no-state-{}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        let file = directory.join("state");
        let fifo = std::process::Command::new("mkfifo").arg(&file).status().unwrap();
        assert!(fifo.success());
        let (done, is_done) = std::sync::mpsc::channel();
        let path = file.clone();
        std::thread::spawn(move || {
            for endless in ["/dev/zero", "/dev/null"] {
                let state = State::load(path.to_str().unwrap()).unwrap();
                assert_eq!(state.request_id(), 0);
                assert!(fs::symlink_metadata(&path).unwrap().is_file(), "it is replaced");
                fs::remove_file(&path).unwrap();
                std::os::unix::fs::symlink(endless, &path).unwrap();
            }
            // A hole of 1 TiB.
            fs::remove_file(&path).unwrap();
            File::create(&path).unwrap().set_len(1 << 40).unwrap();
            State::load(path.to_str().unwrap()).unwrap();
            done.send(()).unwrap();
        });
        is_done.recv_timeout(std::time::Duration::from_secs(20)).unwrap();
        assert!(fs::metadata(&file).unwrap().len() < 100);
        fs::remove_dir_all(directory).unwrap();
    }
}
