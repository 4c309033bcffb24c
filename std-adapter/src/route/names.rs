//! Zones and tags by name.

use std::fmt;

use trilane::route::{TAGS, Tag, ZONES, Zone};

/// The numbers of zones and tags that have names.
///
/// Each name gets the next number when it is first met, and keeps it for good: one `Names` beside a balancer,
/// for all configurations that it is given, so that endpoints and filters of an old one still mean the same.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    zones: Vec<String>,
    tags: Vec<String>,
}

/// There are more names than numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NamesError {
    /// This zone is one too many.
    TooManyZones(String),
    /// This tag is one too many.
    TooManyTags(String),
}

impl fmt::Display for NamesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (what, name, most) = match self {
            Self::TooManyZones(name) => ("zone", name, ZONES),
            Self::TooManyTags(name) => ("tag", name, TAGS),
        };
        write!(
            f,
            "the {what} \"{name}\" is one too many: a balancer tells {most} of them apart, those of earlier \
             configurations included"
        )
    }
}

impl std::error::Error for NamesError {}

fn position(names: &[String], name: &str) -> Option<u8> {
    names.iter().position(|known| known == name).map(|at| at as u8)
}

fn intern(names: &mut Vec<String>, name: &str) -> u8 {
    position(names, name).unwrap_or_else(|| {
        names.push(name.into());
        (names.len() - 1) as u8
    })
}

impl Names {
    /// No names yet.
    pub const fn new() -> Self {
        Self { zones: Vec::new(), tags: Vec::new() }
    }

    /// The zone of this name; a new name gets the next number.
    ///
    /// # Errors
    ///
    /// [`NamesError::TooManyZones`] for the 17th.
    pub fn zone(&mut self, name: &str) -> Result<Zone, NamesError> {
        if self.zones.len() == ZONES && self.known_zone(name).is_none() {
            return Err(NamesError::TooManyZones(name.into()));
        }
        Ok(Zone::new(intern(&mut self.zones, name)).unwrap_or_default())
    }

    /// The tag of this name; a new name gets the next number.
    ///
    /// # Errors
    ///
    /// [`NamesError::TooManyTags`] for the 33rd.
    pub fn tag(&mut self, name: &str) -> Result<Tag, NamesError> {
        if self.tags.len() == TAGS && self.known_tag(name).is_none() {
            return Err(NamesError::TooManyTags(name.into()));
        }
        Ok(Tag::new(intern(&mut self.tags, name)).unwrap_or_default())
    }

    /// The zone of this name, if it has been met.
    pub fn known_zone(&self, name: &str) -> Option<Zone> {
        position(&self.zones, name).and_then(|number| Zone::new(number).ok())
    }

    /// The tag of this name, if it has been met.
    pub fn known_tag(&self, name: &str) -> Option<Tag> {
        position(&self.tags, name).and_then(|number| Tag::new(number).ok())
    }

    /// A zone's name, if it has one.
    pub fn zone_name(&self, zone: Zone) -> Option<&str> {
        self.zones.get(usize::from(zone.number())).map(String::as_str)
    }

    /// A tag's name, if it has one.
    pub fn tag_name(&self, tag: Tag) -> Option<&str> {
        self.tags.get(usize::from(tag.number())).map(String::as_str)
    }
}
