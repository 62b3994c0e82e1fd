//! Time: a router sleeps, and its date jumps.

use super::*;

/// A daemon's timer by the clock that goes on while the machine sleeps, and for how many seconds it is set; a time-out
/// of poll(2) would begin anew where it was.
fn timer(node: &Node) -> Option<u64> {
    const CLOCK: &str = "clockid: 7";
    let folder = PathBuf::from(format!("/proc/{}/fdinfo", node.pid()?));
    let texts = fs::read_dir(folder).ok()?.filter_map(|file| fs::read_to_string(file.ok()?.path()).ok());
    let set = |text: String| {
        let left = text.lines().find_map(|line| line.strip_prefix("it_value: ("))?;
        left.split(',').next()?.parse().ok()
    };
    texts.filter(|text| text.lines().any(|line| line == CLOCK)).find_map(set)
}

#[test]
fn a_router_that_slept_wakes_up_when_it_is_time() {
    in_small(plan(), |lab| {
        lab.start_all().unwrap();
        all_is_well(lab);
        for node in ["hub", "spoke1"] {
            let left = timer(lab.node(node));
            assert!(left.is_some_and(|left| left < 600), "{node}: {left:?}");
        }
    });
}
