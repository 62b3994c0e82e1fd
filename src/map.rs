//! How small maps are made.

use litemap::LiteMap;

/// A map of these; of two with one key the last. Each is put in its place: to collect them would bring a sort for each type
/// into the program, of 4 kB.
pub fn map_of<K: Ord, V>(all: impl IntoIterator<Item = (K, V)>) -> LiteMap<K, V> {
    let mut map = LiteMap::new();
    all.into_iter().for_each(|(key, value)| drop(map.insert(key, value)));
    map
}
