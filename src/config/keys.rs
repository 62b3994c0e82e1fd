//! Keys, and whose they are.

use super::choice;
use super::files::Files;
use super::options::{self as o, Kind, Opt};
use super::read::{Reader, Reported, suggestion};
use super::value;
use crate::engine::settings::{Algorithm, KeyText};
use crate::types::Prefix;
use zeroize::Zeroizing;

/// A key: `config key 'NAME'`.
#[derive(Clone, Debug, PartialEq)]
pub struct Key {
    /// Its name in the file, unlike all others: 1 to 32 letters, digits and `_`.
    pub name: String,
    /// Its number on the wire, 256 to 65535, unlike that of all other keys.
    pub spi: u16,
    /// How it signs; default HMAC-SHA-256.
    pub algorithm: Algorithm,
    /// The secret, of 16 octets at least.
    pub secret: KeyText,
    /// The file that it stands in; default none: in the configuration.
    pub file: Option<String>,
}

/// A spoke with keys of its own: `config spoke 'NAME'`.
#[derive(Clone, Debug, PartialEq)]
pub struct Owner {
    /// Its name in the file, unlike all others: 1 to 32 letters, digits and `_`.
    pub name: String,
    /// The names of its [`Key`]s, one at least, which nobody else has.
    pub keys: Vec<String>,
    /// From where it may register; all when empty.
    pub allow: Vec<Prefix>,
    /// The names of the VNs that it may register in; all when empty.
    pub vns: Vec<String>,
}

/// All keys of a file, and who has them.
pub(super) struct Ring<'a> {
    names: Vec<&'a str>,
    spis: Vec<(u16, u32)>,
    /// Keys of VNs, and of spokes, with whose they are.
    of_vns: Vec<(String, String)>,
    of_spokes: Vec<(String, String)>,
}

impl<'a> Ring<'a> {
    pub fn new(names: Vec<&'a str>) -> Ring<'a> {
        Ring { names, spis: Vec::new(), of_vns: Vec::new(), of_spokes: Vec::new() }
    }

    pub fn key(&mut self, r: &mut Reader<'_>, files: &Files<'_>) -> Result<Key, Reported> {
        let name = r.name();
        let spi = r.number::<u16>(&o::SPI, None);
        if let Ok(spi) = spi {
            match self.spis.iter().find(|(taken, _)| *taken == spi) {
                Some((_, line)) => {
                    let why = format!("'{spi}' is that of the key in line {line} already");
                    let _ = r.refuse(&o::SPI, &why);
                }
                None => self.spis.push((spi, r.line(&o::SPI))),
            }
        }
        let algorithm = r.word(&o::ALGORITHM, &choice::ALGORITHMS);
        let file = r.optional(&o::SECRET_FILE, |s| value::path(&o::SECRET_FILE, s));
        let secret = secret(r, file.as_ref().ok().and_then(Option::as_deref), files);
        Ok(Key { name: name?, spi: spi?, algorithm: algorithm?, secret: secret?, file: file? })
    }

    /// The keys that an option names.
    pub fn named(&self, r: &mut Reader<'_>, option: &Opt) -> Result<Vec<String>, Reported> {
        let named = r.list(option, |s| match self.names.as_slice() {
            names if names.contains(&s) => Ok(s.to_owned()),
            [] => Err("there is no section key".to_owned()),
            names => Err(format!("no section key has this name; {}", suggestion(s, names))),
        })?;
        for (i, (key, line)) in named.iter().enumerate() {
            if named.iter().take(i).any(|(other, _)| other == key) {
                return Err(r.refuse_at(*line, option, &format!("'{key}' is given twice")));
            }
        }
        Ok(named.into_iter().map(|(key, _)| key).collect())
    }

    /// Those of a VN, which any spoke may have.
    pub fn of_several(&mut self, r: &mut Reader<'_>, option: &Opt) -> Result<Vec<String>, Reported> {
        let named = self.named(r, option)?;
        let vn = r.section().to_string();
        self.of_vns.extend(named.iter().map(|key| (key.clone(), vn.clone())));
        Ok(named)
    }

    pub fn owner(&mut self, r: &mut Reader<'_>, vns: &[&str]) -> Result<Owner, Reported> {
        let name = r.name();
        let keys = if r.is_set(&o::SPOKE_KEY) {
            self.named(r, &o::SPOKE_KEY)
        } else {
            Err(r.missing(&o::SPOKE_KEY, "its own section key"))
        };
        for key in keys.as_deref().unwrap_or_default() {
            let whose = self.of_vns.iter().chain(&self.of_spokes).find(|(taken, _)| taken == key);
            if let Some((_, whose)) = whose {
                let _ = r.refuse(&o::SPOKE_KEY, &format!("'{key}' is a key of {whose}: a spoke has its own"));
            }
        }
        let owner = r.section().to_string();
        self.of_spokes.extend(keys.iter().flatten().map(|key| (key.clone(), owner.clone())));
        let allow = r.list(&o::SPOKE_ALLOW, value::prefix);
        let vns = r.list(&o::SPOKE_VN, |s| match vns.contains(&s) {
            true => Ok(s.to_owned()),
            false => Err(format!("no section vn has this name; {}", suggestion(s, vns))),
        });
        Ok(Owner {
            name: name?,
            keys: keys?,
            allow: allow?.into_iter().map(|(prefix, _)| prefix).collect(),
            vns: vns?.into_iter().map(|(vn, _)| vn).collect(),
        })
    }
}

fn secret(r: &mut Reader<'_>, file: Option<&str>, files: &Files<'_>) -> Result<KeyText, Reported> {
    let Kind::Secret { least } = o::SECRET.kind else { return Err(Reported) };
    let (option, octets) = match (r.secret(&o::SECRET)?, file) {
        (Some(_), Some(_)) => return Err(r.refuse(&o::SECRET_FILE, "excludes 'secret': set one of both")),
        (Some(secret), None) => (&o::SECRET, secret.as_bytes().to_vec()),
        (None, Some(file)) => match (files.read)(file) {
            Ok(octets) => (&o::SECRET_FILE, octets),
            Err(why) => return Err(r.refuse(&o::SECRET_FILE, &format!("'{file}': {why}"))),
        },
        (None, None) if r.is_set(&o::SECRET_FILE) => return Err(Reported),
        (None, None) => {
            return Err(r.missing(&o::SECRET, "the text that only its owners know, or 'secret_file'"));
        }
    };
    let octets = Zeroizing::new(octets);
    let secret = octets.trim_ascii_end();
    if secret.len() < least {
        let why = format!("not a secret of {least} bytes at least ('dmevpn key new' makes one)");
        return Err(r.refuse(option, &why));
    }
    Ok(KeyText::new(secret.to_vec()))
}
