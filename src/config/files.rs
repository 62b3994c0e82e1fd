//! What a configuration needs to know of other files; reading them is the caller's work.

/// Looks into other files.
#[derive(Clone, Copy)]
pub struct Files<'a> {
    /// What stands in a file, or why it cannot be read.
    pub read: &'a dyn Fn(&str) -> Result<Vec<u8>, String>,
    /// Whether others may read a file than its owner, root's group and the daemon's.
    pub is_open: &'a dyn Fn(&str) -> bool,
    /// Why no state can be kept there, if that is so.
    pub in_the_way: &'a dyn Fn(&str) -> Option<String>,
}

impl Files<'static> {
    /// There are none.
    pub const NONE: Files<'static> = Files {
        read: &|_| Err("there is no such file".to_owned()),
        is_open: &|_| false,
        in_the_way: &|_| None,
    };
}
