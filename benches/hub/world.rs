//! Two namespaces and a wire between them: the daemon at 10.0.0.1, and all sites.

use crate::daemon::Daemon;
use crate::lab::netns::Netns;
use crate::lab::{Res, clean};
use crate::packets::ALL_SITES;
use crate::sites::Sites;
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

/// What is measured.
pub struct Setup {
    /// The daemon.
    pub program: PathBuf,
    /// This benchmark as it was built with that daemon, for what the engine does alone.
    pub bench: Option<PathBuf>,
    /// Whether scenes have their full size.
    pub full: bool,
}

impl Setup {
    /// The one size, or in a full run the other.
    pub fn size(&self, usual: u32, full: u32) -> u32 {
        if self.full { full } else { usual }
    }
}

/// A scene's place; all of it goes when this is dropped. (The daemon and the sockets before the namespaces.)
pub struct World {
    /// The daemon that is measured.
    pub hub: Daemon,
    /// Everybody else.
    pub sites: Sites,
    files: PathBuf,
}

impl World {
    /// Without a configuration so far.
    pub fn new(setup: &Setup) -> Res<World> {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let (pid, number) = (std::process::id(), MADE.fetch_add(1, Ordering::Relaxed));
        let name = |of: &str| format!("{}{pid}n{number}-{of}", clean::PREFIX);
        let files = clean::directory(pid).join(number.to_string());
        fs::create_dir_all(&files).map_err(|e| format!("{}: {e}", files.display()))?;
        let (hub, sites) = (Netns::new(name("hub"))?, Netns::new(name("sites"))?);
        hub.ip(&format!("link add eth1 type veth peer name eth1 netns {}", sites.name))?;
        sites.ip("addr add 10.0.0.2/24 dev eth1\nlink set eth1 up")?;
        hub.ip(&format!(
            "addr add 10.0.0.1/24 dev eth1\nlink set eth1 up\nroute add {ALL_SITES} via 10.0.0.2"
        ))?;
        let hub = Daemon::new(hub, &setup.program, files.join("hub"));
        Ok(World { hub, sites: Sites::new(sites)?, files })
    }

    /// With a hub of these VNs (`vpn_id` is the number, the name `v` and it), which answers already.
    pub fn hub(setup: &Setup, vns: std::ops::RangeInclusive<u32>, options: &str) -> Res<World> {
        let mut world = World::new(setup)?;
        world.hub.configure("", &hub_vns(vns, options))?;
        world.hub.start_and_wait()?;
        Ok(world)
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.files);
        if let Some(parent) = self.files.parent() {
            let _ = fs::remove_dir(parent); // succeeds for the last world of this process
        }
    }
}

/// The sections of a hub's VNs, each with these options.
pub fn hub_vns(vns: std::ops::RangeInclusive<u32>, options: &str) -> String {
    vns.fold(String::new(), |mut text, n| {
        let _ = writeln!(
            text,
            "config vn 'v{n}'\n\toption vpn_id '{n}'\n\toption role 'hub'\n\toption untagged_l2 '1'\n\
             \toption dataplane 'bridge'\n{options}"
        );
        text
    })
}
