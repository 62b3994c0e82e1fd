//! What outlives the daemon: the Request ID to go on with (RFC 2332 section 5.2.3), who this router is, a hub's clients
//! that registered IP addresses, and to how many other hubs it was linked.
//!
//! The file is two lines, and written at the first start, then once a start and every 1024 requests: flash wears. Where there
//! are such clients or other hubs it has a line for each client and for each VN with hubs, and is written when they are others
//! than before, as often as `pace` says. It is slow, too: the daemon waits for it at the first start alone, and at the end, for
//! a second.

use super::beside::beside;
use super::identity::Identity;
use super::words::InWords;
use crate::control::Cause;
use crate::engine::settings::VpnMode;
use crate::engine::{IpClient, Path};
use std::fs::{self, DirBuilder, File};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

const REQUEST_ID: &str = "request_id ";
const IDENTITY: &str = "identity ";
const CLIENT: &str = "client ";
const HUBS: &str = "hubs ";
/// So many clients are kept.
pub const CLIENTS: usize = 1024;
/// More than the lines ever have, in octets.
const MOST: u64 = 256 * 1024;

/// The VNs are kept whose other hubs have so many octets of lines.
const MOST_LINKED: usize = 64 * 1024;

/// What could not be written is tried again after this.
const AGAIN: Duration = Duration::from_secs(60);
/// At the beginning and at the end the daemon waits that long for a file to be written.
const PATIENCE: Duration = Duration::from_secs(1);

/// What the file holds.
#[derive(Debug)]
pub struct State {
    request_id: u32,
    identity: Identity,
    /// A line for each client.
    clients: String,
    /// A line for each VN with other hubs.
    linked: String,
    writer: Arc<Writer>,
}

/// To how many other hubs one was linked in a VN at most.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Linked {
    /// The name of the VN.
    pub vn: String,
    /// How many.
    pub most: usize,
    /// The names of all that were to be there.
    pub peers: Vec<String>,
}

impl Linked {
    /// How many of them are to be there still: each that is not may have been linked.
    pub fn most_of(&self, peers: &[String]) -> usize {
        self.most.saturating_sub(self.peers.iter().filter(|peer| !peers.contains(peer)).count())
    }

    fn line(&self) -> String {
        let Linked { vn, most, peers } = self;
        format!("{HUBS}{vn} {most} {}\n", peers.join(" "))
    }

    fn parse(line: &str) -> Option<Linked> {
        let mut words = line.split_whitespace();
        let (vn, most) = (words.next()?.to_owned(), words.next()?.parse().ok()?);
        Some(Linked { vn, most, peers: words.map(str::to_owned).collect() })
    }
}

impl State {
    /// What an earlier run left in `file`. What is missing there is made; what is garbled, too, with a warning. What is
    /// somebody else's is left alone, and nothing outlives the daemon.
    pub fn load(file: &str) -> io::Result<State> {
        State::load_and_retry(file, AGAIN)
    }

    fn load_and_retry(file: &str, again: Duration) -> io::Result<State> {
        // What is in the way is told when it is to be replaced.
        let text = read(file).unwrap_or_default();
        let after = |word: &str| text.lines().find_map(|line| line.strip_prefix(word)).map(str::trim);
        let request_id: Option<u32> = after(REQUEST_ID).and_then(|n| n.parse().ok());
        let identity: Option<Identity> = after(IDENTITY).and_then(|i| i.parse().ok());
        // A file without an identity is one of an earlier version.
        if !text.is_empty() && (request_id.is_none() || identity.is_none() && text.contains(IDENTITY)) {
            log::warn!("{file} is garbled: what cannot be read there is made anew");
        }
        let all = |word: &str| {
            text.lines().filter(|l| l.starts_with(word)).fold(String::new(), |all, l| all + l + "\n")
        };
        let state = State {
            request_id: request_id.unwrap_or(0),
            identity: identity.map_or_else(Identity::random, Ok)?,
            clients: all(CLIENT),
            linked: all(HUBS),
            writer: Arc::new(Writer::new(file.to_owned(), again)),
        };
        if identity.is_none() {
            state.save();
            state.settle();
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

    /// The next start is to go on with this Request ID. It does not wait until that is written.
    ///
    /// When the power fails before it is, the next start goes on with the number of before. That is above all IDs
    /// used, since a new number is asked for half a block before it is needed; but for those of the first moment of a
    /// run, whose number is asked for with the first of them. They may be used again, and a hub that has not forgotten
    /// the router meanwhile may take its first requests for repeated ones.
    pub fn save_request_id(&mut self, id: u32) {
        self.request_id = id;
        self.save();
    }

    /// The clients of an earlier run, each with the name of its VN.
    pub fn clients(&self) -> Vec<(String, IpClient)> {
        self.clients.lines().filter_map(|line| client(line.strip_prefix(CLIENT)?)).collect()
    }

    /// To how many other hubs an earlier run was linked, in each VN.
    pub fn linked(&self) -> Vec<Linked> {
        self.linked.lines().filter_map(|line| Linked::parse(line.strip_prefix(HUBS)?)).collect()
    }

    /// The next start is to go on with these. Those that are kept already cost nothing. Whether there are others.
    pub fn save_found(&mut self, clients: &[(String, IpClient)], linked: &[Linked]) -> bool {
        let some = clients.iter().take(CLIENTS);
        let clients = some.fold(String::new(), |all, (vn, client)| all + &line(vn, client));
        let mut lines = String::new();
        for line in linked.iter().map(Linked::line) {
            if lines.len() + line.len() <= MOST_LINKED {
                lines += &line;
            }
        }
        if (&self.clients, &self.linked) == (&clients, &lines) {
            return false;
        }
        (self.clients, self.linked) = (clients, lines);
        self.save();
        true
    }

    /// Waits until what was saved is written, though not for long, nor for what cannot be written now.
    pub fn settle(&self) {
        self.writer.settle();
    }

    /// Why it cannot be written, if that is so.
    pub fn trouble(&self) -> Option<Cause> {
        self.writer.wanted().failing.clone()
    }

    fn save(&self) {
        let State { request_id, identity, clients, linked, .. } = self;
        let text = format!("{REQUEST_ID}{request_id}\n{IDENTITY}{identity}\n{clients}{linked}");
        if self.writer.take(text) {
            let writer = Arc::clone(&self.writer);
            if let Err(e) = beside("state", move || writer.write()) {
                // The next number is a new try.
                self.writer.wanted().has_thread = false;
                log::warn!("{}: no thread to write it: {}", self.writer.file, InWords(&e));
            }
        }
    }
}

/// A client, as the file has it.
fn line(vn: &str, client: &IpClient) -> String {
    let IpClient { address, path, mode, unique, mtu, granted } = client;
    let (mode, unique) = (mode.name(), if *unique { "unique" } else { "shared" });
    format!("{CLIENT}{vn} {address} {} {} {mode} {unique} {mtu} {granted}\n", path.remote, path.local)
}

fn client(line: &str) -> Option<(String, IpClient)> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let &[vn, address, remote, local, mode, unique, mtu, granted] = &words[..] else { return None };
    let client = IpClient {
        address: address.parse().ok()?,
        path: Path { local: local.parse().ok()?, remote: remote.parse().ok()? },
        mode: [VpnMode::Llc, VpnMode::Key, VpnMode::None].into_iter().find(|m| m.name() == mode)?,
        unique: unique == "unique",
        mtu: mtu.parse().ok()?,
        granted: granted.parse().ok()?,
    };
    Some((vn.to_owned(), client))
}

/// Writes the file in a thread of its own: flash may take its time.
#[derive(Debug)]
struct Writer {
    file: String,
    again: Duration,
    wanted: Mutex<Wanted>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Wanted {
    /// What the file is to hold, if it does not.
    text: Option<String>,
    /// Whether a thread sees to it.
    has_thread: bool,
    /// Why it could not be written when that was last tried. The log has it.
    failing: Option<Cause>,
}

impl Writer {
    fn new(file: String, again: Duration) -> Writer {
        Writer { file, again, wanted: Mutex::default(), changed: Condvar::new() }
    }

    /// What the file is to hold. Whether a thread is needed to write it.
    fn take(&self, text: String) -> bool {
        let mut wanted = self.wanted();
        wanted.text = Some(text);
        !core::mem::replace(&mut wanted.has_thread, true)
    }

    /// Writes what is wanted, until nothing is.
    fn write(&self) {
        loop {
            let text = {
                let mut wanted = self.wanted();
                let Some(text) = wanted.text.take() else {
                    wanted.has_thread = false;
                    break self.changed.notify_all();
                };
                text
            };
            let result = write(&self.file, &text);
            let mut wanted = self.wanted();
            let before = wanted.failing.take();
            match result {
                Ok(()) if before.is_none() => continue,
                Ok(()) => {
                    log::info!("{} is written again", self.file);
                    continue;
                }
                Err(e) => {
                    let cause = Cause::NoState { file: self.file.clone(), why: InWords(&e).to_string() };
                    if before.is_none() {
                        log::error!("{}", cause.line());
                    }
                    wanted.failing = Some(cause);
                }
            }
            // A newer one may be there.
            wanted.text.get_or_insert(text);
            self.changed.notify_all();
            drop(wanted);
            thread::sleep(self.again);
        }
    }

    fn settle(&self) {
        let is_under_way = |wanted: &mut Wanted| wanted.has_thread && wanted.failing.is_none();
        let _ = self.changed.wait_timeout_while(self.wanted(), PATIENCE, is_under_way);
    }

    fn wanted(&self) -> MutexGuard<'_, Wanted> {
        // Nobody leaves it half changed.
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tries to write beside the file what a daemon of who asks would, and takes it away again.
pub fn can_be_written(file: &str) -> Result<(), String> {
    let trial = || {
        read(file)?;
        let trial = format!("{file}.trial");
        let written = write(&trial, "request_id 0\n");
        let _ = fs::remove_file(&trial);
        written
    };
    trial().map_err(|e| InWords(&e).to_string())
}

/// Why the file that `option state_file` names cannot be one of this program's, as far as one may look.
pub fn in_the_way(file: &str) -> Option<String> {
    read(file).err().filter(|e| e.kind() == ErrorKind::InvalidData).map(|e| e.to_string())
}

/// What a file of this program's holds, which is nothing where there is none. All else is somebody's who needs it.
fn read(file: &str) -> io::Result<String> {
    let octets = match begin(file) {
        Ok(octets) => octets,
        Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Ok(String::new());
        }
        Err(e) => return Err(e),
    };
    let text = String::from_utf8_lossy(&octets);
    // A file system that lost its power may have cut the text, or left zeros.
    let text = text.trim_end_matches('\0');
    let is_ours = |line: &str| {
        [REQUEST_ID, IDENTITY, CLIENT, HUBS].iter().any(|w| line.starts_with(w) || w.starts_with(line))
    };
    if octets.len() as u64 > MOST || !text.lines().all(is_ours) {
        return Err(foreign());
    }
    Ok(text.to_owned())
}

/// What the file begins with. The service's user may put in its place what never ends or never answers.
fn begin(file: &str) -> io::Result<Vec<u8>> {
    let there = File::options().read(true).custom_flags(libc::O_NONBLOCK).open(file)?;
    if !there.metadata()?.is_file() {
        return Err(foreign());
    }
    let mut octets = Vec::new();
    there.take(MOST + 1).read_to_end(&mut octets)?;
    Ok(octets)
}

fn foreign() -> io::Error {
    io::Error::new(
        ErrorKind::InvalidData,
        "there is something else than this program's state, and it is left alone",
    )
}

/// Writes the file whole or, when the power fails, not at all; for its owner only.
fn write(file: &str, text: &str) -> io::Result<()> {
    if let Some(directory) = directory(file) {
        DirBuilder::new().recursive(true).mode(0o755).create(directory)?;
    }
    read(file)?;
    let new = format!("{file}.new");
    read(&new).map_err(|e| io::Error::new(e.kind(), format!("'{new}': {}", InWords(&e))))?;
    // One that a power failure left may have another mode.
    let _ = fs::remove_file(&new);
    let mut out = File::options().write(true).create_new(true).mode(0o600).open(&new)?;
    out.write_all(text.as_bytes())?;
    out.sync_all()?;
    fs::rename(&new, file)?;
    // Else the old one may be back after a power failure. Not all file systems do this for a directory.
    let _ = directory(file).map_or(Ok(()), |directory| File::open(directory)?.sync_all());
    Ok(())
}

fn directory(file: &str) -> Option<&std::path::Path> {
    std::path::Path::new(file).parent()
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
        first.save_request_id(4095);
        first.save_request_id(4096);
        first.settle();
        assert_eq!(State::load(file).unwrap().request_id(), 4096);
        assert!(same(first.identity()));

        // An earlier version's file, and pieces of one: what can be read is kept.
        fs::write(file, "request_id 8192\n").unwrap();
        let of_old = State::load(file).unwrap();
        assert_eq!(of_old.request_id(), 8192);
        assert!(same(of_old.identity()) && !same(first.identity()));
        for garbled in
            [&b""[..], &[0; 100], b"request_", b"request_id \xff\xfe\0", b"request_id many\nidentity 12\n"]
        {
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
    fn clients_and_links_are_kept_beside_the_rest() {
        let file = std::env::temp_dir().join(format!("dmevpn-state-clients-{}", std::process::id()));
        let file = file.to_str().unwrap();
        let mut state = State::load(file).unwrap();
        let path = Path { local: "10.0.0.1".parse().unwrap(), remote: "10.0.0.8".parse().unwrap() };
        let one = IpClient {
            address: "192.0.2.8".parse().unwrap(),
            path,
            mode: VpnMode::Key,
            unique: true,
            mtu: 1472,
            granted: 7200,
        };
        let path = Path { local: "2001:db8::1".parse().unwrap(), remote: "2001:db8::9".parse().unwrap() };
        let address = "2001:db8:1::9".parse().unwrap();
        let other = IpClient { address, path, mode: VpnMode::None, unique: false, ..one };
        let both = [("a".to_owned(), one), ("b".to_owned(), other)];
        let hubs = |vn: &str, most, peers: [&str; 2]| Linked {
            vn: vn.into(),
            most,
            peers: peers.map(Into::into).into(),
        };
        let linked = [hubs("a", 2, ["x", "y"]), hubs("b", 1, ["x", "z"])];
        state.save_found(&both, &linked);
        state.save_request_id(77);
        state.settle();
        let again = State::load(file).unwrap();
        assert_eq!((again.clients(), again.linked()), (both.to_vec(), linked.to_vec()));
        let of = |peers: [&str; 2]| linked[0].most_of(&peers.map(Into::into));
        assert_eq!((of(["y", "x"]), of(["x", "z"]), of(["z", "u"])), (2, 1, 0));
        assert_eq!((again.request_id(), again.identity()), (77, state.identity()));
        let written = fs::metadata(file).unwrap().modified().unwrap();
        assert!(!state.save_found(&both, &linked));
        state.settle();
        assert_eq!(fs::metadata(file).unwrap().modified().unwrap(), written, "nothing is new");
        // What cannot be read is left out.
        let text = fs::read_to_string(file).unwrap().replace(" key ", " lock ").replace(" 2 x", " two x");
        fs::write(file, text).unwrap();
        assert_eq!(State::load(file).unwrap().clients(), [("b".to_owned(), other)]);
        assert_eq!(State::load(file).unwrap().linked(), linked[1..]);
        state.save_found(&vec![both[0].clone(); 2 * CLIENTS], &[]);
        state.settle();
        assert_eq!(State::load(file).unwrap().clients().len(), CLIENTS);
        assert_eq!(State::load(file).unwrap().linked(), []);
        fs::remove_file(file).unwrap();
    }

    /// Whatever it is: it is not waited for, read to its end, or replaced.
    #[test]
    fn what_is_somebody_elses_is_left_alone() {
        let directory = std::env::temp_dir().join(format!("dmevpn-no-state-{}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        let path = |name: &str| directory.join(name);
        assert!(std::process::Command::new("mkfifo").arg(path("fifo")).status().unwrap().success());
        for endless in ["zero", "null"] {
            std::os::unix::fs::symlink(format!("/dev/{endless}"), path(endless)).unwrap();
        }
        File::create(path("hole")).unwrap().set_len(1 << 40).unwrap();
        fs::write(path("text"), "nonsense").unwrap();
        fs::write(path("more"), "request_id 7\nnameserver 10.0.0.1\n").unwrap();
        fs::write(path("ours.new"), "nonsense").unwrap();
        let names = ["fifo", "zero", "null", "hole", "text", "more", "ours"];
        let look = || {
            let of = |name: &str| fs::symlink_metadata(path(name)).ok().map(|m| (m.file_type(), m.len()));
            names.map(of)
        };
        let before = look();
        let (done, is_done) = std::sync::mpsc::channel();
        let files = names.map(|name| path(name).to_str().unwrap().to_owned());
        std::thread::spawn(move || {
            for file in files {
                let mut state = State::load(&file).unwrap();
                assert_eq!(
                    (state.request_id(), file.ends_with("ours")),
                    (0, in_the_way(&file).is_none()),
                    "{file}"
                );
                state.save_request_id(512);
                state.settle();
            }
            done.send(()).unwrap();
        });
        is_done.recv_timeout(std::time::Duration::from_secs(20)).unwrap();
        assert_eq!(look(), before);
        fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn what_cannot_be_written_is_tried_again_and_the_last_number_counts() {
        let directory = std::env::temp_dir().join(format!("dmevpn-later-state-{}", std::process::id()));
        let file = directory.join("state");
        // No directory can be made where a file is.
        fs::write(&directory, "in the way").unwrap();
        let mut state = State::load_and_retry(file.to_str().unwrap(), Duration::from_millis(50)).unwrap();
        state.save_request_id(1536);
        state.save_request_id(2560);
        state.settle();
        assert!(!file.exists());
        fs::remove_file(&directory).unwrap();
        thread::sleep(Duration::from_millis(500));
        state.settle();
        let again = State::load(file.to_str().unwrap()).unwrap();
        assert_eq!((again.request_id(), again.identity()), (2560, state.identity()));
        fs::remove_dir_all(directory).unwrap();
    }
}
