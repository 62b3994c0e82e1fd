//! The examples of configurations are right.

use dmevpn::config::{Config, HubAddress, Role, Vn};
use std::fs;
use std::path::{Path, PathBuf};

fn uci(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("uci").join(path)
}

fn load(path: &Path) -> Config {
    let text = fs::read_to_string(path).unwrap();
    Config::parse(&path.display().to_string(), &text).unwrap_or_else(|errors| panic!("{errors}"))
}

fn only_vn(config: &Config) -> &Vn {
    assert_eq!(config.vns.len(), 1);
    &config.vns[0]
}

#[test]
fn every_example_loads() {
    for entry in fs::read_dir(uci("examples")).unwrap() {
        load(&entry.unwrap().path());
    }
}

#[test]
fn the_examples_are_one_network() {
    let hub = load(&uci("examples/hub"));
    assert!(hub.hubs.is_empty());
    assert!(matches!(only_vn(&hub).role, Role::Hub(_)));
    for (file, vni) in [("examples/spoke1", 100), ("examples/spoke2", 101)] {
        let spoke = load(&uci(file));
        assert_eq!(spoke.hubs[0].address, HubAddress::Ip("10.0.0.1".parse().unwrap()));
        let vn = only_vn(&spoke);
        let Role::Spoke(role) = &vn.role else { panic!("{file} is no spoke") };
        assert_eq!(role.vni.get(), vni);
        assert_eq!(
            (&vn.name, vn.vpn_id, &vn.bridge),
            (&"test".to_owned(), only_vn(&hub).vpn_id, &"br-test".to_owned())
        );
    }
}
