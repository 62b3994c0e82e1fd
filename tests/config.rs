//! The configuration's documents tell the truth: the examples load, the schema lists every option.

use dmevpn::config::{Config, HubAddress, KNOWN_OPTIONS, Role, Vn};
use std::collections::BTreeSet;
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

#[test]
fn the_schema_documents_every_option_and_no_other() {
    let schema = fs::read_to_string(uci("schema.md")).unwrap();
    let (mut section, mut role, mut found) = ("", None, BTreeSet::new());
    for line in schema.lines() {
        if let Some(heading) = line.strip_prefix("## config ") {
            (section, role) = (heading.split(' ').next().unwrap(), None);
        } else if let Some(rest) = line.strip_prefix("For role `") {
            role = rest.split('`').next();
        } else if let Some(row) = line.strip_prefix("| `") {
            found.insert((section, role, row.split('`').next().unwrap()));
        }
    }
    let known: BTreeSet<_> = KNOWN_OPTIONS.iter().map(|k| (k.section, k.role, k.option)).collect();
    assert_eq!(found, known);
}
