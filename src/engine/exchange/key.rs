//! Keys: who has none says nothing, not even on the path. Which there are in a VN, and what is signed by them (RFC 2332
//! section 5.3.4).

use super::super::contract::report::{KeysReport, Oddity};
use super::super::contract::settings::{Algorithm, KeySettings, KeyText, KeysSettings};
use crate::types::{Label, Nbma};
use crate::wire::nhrp::{DIGEST, Message};
use core::fmt;
use hmac::{Hmac, KeyInit, Mac};
use litemap::LiteMap;
use md5::Md5;
use sha2::Sha256;

/// A key for as long as it is in force: a later one of the same number has another ID.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyId {
    spi: u16,
    made: u32,
}

/// The keyed hash.
#[derive(Clone)]
enum Hash {
    Sha256(Hmac<Sha256>),
    Md5(Hmac<Md5>),
}

struct Key {
    id: KeyId,
    settings: KeySettings,
    hash: Hash,
}

/// It is not shown.
impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key {}", self.settings.name)
    }
}

/// The keys of a VN.
#[derive(Debug, Default)]
pub struct Keys {
    all: LiteMap<u16, Key>,
    /// As they are configured.
    order: Vec<KeyId>,
    /// Those that the last configuration took out: nothing but a farewell is signed by them.
    retired: Vec<Key>,
    is_optional: bool,
    made: u32,
}

impl Keys {
    pub fn new(settings: KeysSettings) -> Keys {
        let mut keys = Keys::default();
        keys.replace(settings);
        keys
    }

    /// Takes over other ones; what is there already stays the same. Whether there are others now.
    pub fn replace(&mut self, settings: KeysSettings) -> bool {
        let before = core::mem::take(&mut self.order);
        let mut old = core::mem::take(&mut self.all);
        self.is_optional = settings.is_optional;
        for new in settings.keys {
            let same = old.get(&new.spi).is_some_and(|there| there.settings.is_same(&new));
            let key = match same.then(|| old.remove(&new.spi)).flatten() {
                Some(there) => Key { settings: new, ..there },
                None => {
                    self.made += 1;
                    let id = KeyId { spi: new.spi, made: self.made };
                    Key { id, hash: Hash::new(new.algorithm, &new.secret), settings: new }
                }
            };
            self.order.push(key.id);
            self.all.insert(key.id.spi, key);
        }
        self.retired = old.into_iter().map(|(_, key)| key).collect();
        before != self.order
    }

    /// Whether all is open to everybody.
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    pub fn len(&self) -> u32 {
        u32::try_from(self.order.len()).unwrap_or(u32::MAX)
    }

    /// Whether what is not signed is dropped.
    pub fn is_required(&self) -> bool {
        !self.is_empty() && !self.is_optional
    }

    /// Which key a packet is signed by, if there are keys here; or what is wrong with it.
    pub fn open(&self, message: &Message<'_>) -> Result<Option<KeyId>, Oddity> {
        if self.is_empty() {
            return Ok(None);
        }
        let Some(signature) = message.signature() else {
            return if self.is_optional { Ok(None) } else { Err(Oddity::Unsigned) };
        };
        let spi = signature.spi;
        let key = self.all.get(&spi).ok_or(Oddity::UnknownKey(spi))?;
        if !key.hash.is(&signature.covered, signature.digest) {
            return Err(Oddity::WrongKey(spi));
        }
        Ok(Some(key.id))
    }

    /// What signs by a key; `None`: it is forgotten.
    pub fn signer(&self, by: KeyId) -> Option<Signer<'_>> {
        self.find(by).map(Signer)
    }

    /// Whether who signs by `key`, or by none, may be in.
    pub fn serves(&self, key: Option<KeyId>) -> bool {
        key.map_or(!self.is_required(), |key| self.contains(key))
    }

    /// Whether the key is in force.
    pub fn contains(&self, key: KeyId) -> bool {
        self.order.contains(&key)
    }

    /// The key of this number, if there is one: what an earlier run knew of somebody.
    pub fn numbered(&self, spi: u16) -> Option<KeyId> {
        self.all.get(&spi).map(|key| key.id)
    }

    /// The key to begin with.
    pub fn first(&self) -> Option<KeyId> {
        self.order.first().copied()
    }

    /// The one to try after `key`; `None` if there is no other.
    pub fn after(&self, key: KeyId) -> Option<KeyId> {
        let place = self.order.iter().position(|there| *there == key)?;
        let next = self.order.get(place + 1).or(self.order.first()).copied();
        next.filter(|next| *next != key)
    }

    /// The keys that who is at an address may have; all where none says.
    pub fn likely(&self, nbma: Nbma) -> impl Iterator<Item = KeyId> {
        let any = self.all.values().any(|key| key.may_be_at(nbma));
        self.all.values().filter(move |key| !any || key.may_be_at(nbma)).map(|key| key.id)
    }

    /// Whether who has this key may be at an address.
    pub fn allows(&self, key: Option<KeyId>, nbma: Nbma) -> bool {
        key.and_then(|key| self.find(key)).is_none_or(|key| key.may_be_at(nbma))
    }

    /// Whether who signs with `key` may speak for a site that signed with `other` before: it is as good at least, and of
    /// the same spoke.
    pub fn speaks_for(&self, key: Option<KeyId>, other: Option<KeyId>) -> bool {
        match (key, other) {
            (_, None) => true,
            (None, Some(_)) => false,
            (key, other) => self.spoke(other).is_none_or(|spoke| self.spoke(key) == Some(spoke)),
        }
    }

    /// Whether both are keys of one spoke, which has a section of its own.
    pub fn is_one_spoke(&self, key: Option<KeyId>, other: Option<KeyId>) -> bool {
        self.spoke(key).is_some_and(|spoke| self.spoke(other) == Some(spoke))
    }

    /// The spoke whose key it is, if only one has it.
    pub fn spoke(&self, key: Option<KeyId>) -> Option<&str> {
        Some(self.find(key?)?.settings.spoke.as_ref()?.name.as_str())
    }

    /// What a key is called.
    pub fn name(&self, key: Option<KeyId>) -> Option<Label> {
        Some(Label::new(&self.find(key?)?.settings.name))
    }

    /// What they are, but for who signs by them.
    pub fn report(&self) -> KeysReport {
        let own = self.all.values().filter(|key| key.settings.spoke.is_some()).count();
        let own = u32::try_from(own).unwrap_or(u32::MAX);
        let is_optional = !self.is_empty() && self.is_optional;
        KeysReport { shared: self.len() - own, own, is_optional, ..KeysReport::default() }
    }

    fn find(&self, id: KeyId) -> Option<&Key> {
        let retired = || self.retired.iter().find(|key| key.id == id);
        self.all.get(&id.spi).filter(|key| key.id == id).or_else(retired)
    }
}

impl Key {
    /// Whether who has it may be at an address: anywhere, unless it says where.
    fn may_be_at(&self, nbma: Nbma) -> bool {
        let spoke = self.settings.spoke.as_ref();
        spoke.is_none_or(|spoke| spoke.allow.is_empty() || spoke.allow.iter().any(|p| p.contains(nbma)))
    }
}

/// A key that signs.
#[derive(Clone, Copy)]
pub struct Signer<'a>(&'a Key);

impl Signer<'_> {
    /// Its number on the wire.
    pub fn spi(self) -> u16 {
        self.0.id.spi()
    }

    /// The digest of a packet.
    pub fn sign(self, packet: &[u8]) -> [u8; DIGEST] {
        self.0.hash.digest(packet)
    }
}

impl KeyId {
    /// Its number on the wire.
    pub fn spi(self) -> u16 {
        self.spi
    }
}

impl Hash {
    fn new(algorithm: Algorithm, secret: &KeyText) -> Hash {
        fn keyed<H: KeyInit>(secret: &KeyText) -> H {
            H::new_from_slice(secret.octets())
                .unwrap_or_else(|_| unreachable!("keys of all lengths are good"))
        }
        match algorithm {
            Algorithm::HmacSha256 => Hash::Sha256(keyed(secret)),
            Algorithm::HmacMd5 => Hash::Md5(keyed(secret)),
        }
    }

    fn digest(&self, packet: &[u8]) -> [u8; DIGEST] {
        fn first<M: Mac + Clone>(hash: &M, packet: &[u8]) -> [u8; DIGEST] {
            let octets = hash.clone().chain_update(packet).finalize().into_bytes();
            octets.first_chunk().copied().unwrap_or([0; DIGEST])
        }
        match self {
            Hash::Sha256(hash) => first(hash, packet),
            Hash::Md5(hash) => first(hash, packet),
        }
    }

    /// Whether it is the digest of these; how long that takes tells nothing.
    fn is(&self, covered: &[&[u8]], digest: &[u8; DIGEST]) -> bool {
        fn verify<M: Mac + Clone>(hash: &M, covered: &[&[u8]], digest: &[u8; DIGEST]) -> bool {
            let mut hash = hash.clone();
            covered.iter().for_each(|part| hash.update(part));
            hash.verify_truncated_left(digest).is_ok()
        }
        match self {
            Hash::Sha256(hash) => verify(hash, covered, digest),
            Hash::Md5(hash) => verify(hash, covered, digest),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::contract::settings::OwnerSettings;
    use super::*;
    use crate::types::Prefix;

    fn digest(algorithm: Algorithm, secret: &[u8], packet: &[u8]) -> String {
        let hash = Hash::new(algorithm, &KeyText::new(secret.to_vec()));
        let digest = hash.digest(packet);
        assert!(hash.is(&[packet], &digest) && !hash.is(&[packet, b"x"], &digest));
        digest.iter().map(|octet| format!("{octet:02x}")).collect()
    }

    /// RFC 2202 section 2 and RFC 4231 section 4.6, test cases 2 and 5.
    #[test]
    fn the_digests_are_hmac_md5_and_hmac_sha_256_cut_to_128_bits() {
        let what = b"what do ya want for nothing?";
        assert_eq!(digest(Algorithm::HmacMd5, b"Jefe", what), "750c783e6ab0b503eaa86e310a5db738");
        let truncated = digest(Algorithm::HmacSha256, &[0x0c; 20], b"Test With Truncation");
        assert_eq!(truncated, "a3b6167473100ee06e0c796c2955552b");
    }

    #[test]
    fn a_key_that_stays_is_the_same_and_one_that_goes_signs_no_more_than_farewells() {
        let key = |spi, secret: &[u8]| KeySettings {
            name: format!("k{spi}"),
            spi,
            algorithm: Algorithm::HmacSha256,
            secret: KeyText::new(secret.to_vec()),
            spoke: None,
        };
        let settings = |keys: &[KeySettings]| KeysSettings { keys: keys.to_vec(), is_optional: false };
        let mut keys = Keys::new(settings(&[key(300, b"a"), key(256, b"b")]));
        let (first, second) = (keys.first().unwrap(), keys.after(keys.first().unwrap()).unwrap());
        assert_eq!((first.spi(), second.spi(), keys.after(second)), (300, 256, Some(first)));
        assert!(!keys.replace(settings(&[key(300, b"a"), key(256, b"b")])));
        assert!(keys.replace(settings(&[key(256, b"b"), key(300, b"other")])));
        assert!(keys.contains(second) && !keys.contains(first));
        assert_eq!(
            keys.signer(first).unwrap().sign(b""),
            Hash::new(Algorithm::HmacSha256, &KeyText::new(b"a".to_vec())).digest(b"")
        );
        assert!(keys.replace(settings(&[])) && keys.is_empty() && !keys.is_required());
        assert!(keys.signer(first).is_none(), "forgotten");
        assert!(!format!("{keys:?}").contains("98"));
    }

    /// Who has a key that says from where it comes may be there alone; all others anywhere.
    #[test]
    fn a_key_that_says_nothing_of_addresses_is_likely_at_each() {
        let nbma = |text: &str| text.parse().unwrap();
        let key = |spi, allow: &[&str]| KeySettings {
            name: format!("k{spi}"),
            spi,
            algorithm: Algorithm::HmacSha256,
            secret: KeyText::new(vec![1; 16]),
            spoke: Some(OwnerSettings {
                name: format!("s{spi}"),
                allow: allow.iter().map(|ip| Prefix::new(ip.parse().unwrap(), 32).unwrap()).collect(),
            }),
        };
        let all = [key(300, &["10.0.0.2"]), key(301, &["10.0.0.3"]), key(302, &[])];
        let keys = Keys::new(KeysSettings { keys: all.to_vec(), is_optional: false });
        let likely = |at| keys.likely(nbma(at)).map(KeyId::spi).collect::<Vec<_>>();
        assert_eq!((likely("10.0.0.2"), likely("10.0.0.9")), (vec![300, 302], vec![302]));
        for key in keys.order.iter().copied() {
            assert_eq!(keys.allows(Some(key), nbma("10.0.0.3")), likely("10.0.0.3").contains(&key.spi));
        }
    }
}
