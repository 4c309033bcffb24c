//! Who may serve, and why nobody may, found by asking each endpoint.

use std::collections::HashMap;

use trilane::route::{
    BreakerState, Endpoint, EndpointId, Filter, Health, SelectError, Tag, Tags, Tier, Zone,
};

/// What a class asks for.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    /// All of these tags.
    pub tags: Vec<u8>,
    /// This tier.
    pub tier: Option<u8>,
    /// Rather these zones.
    pub zones: Vec<u8>,
    /// Nobody else.
    pub confined: bool,
}

/// The tags with these numbers.
pub fn tags(numbers: &[u8]) -> Tags {
    numbers.iter().fold(Tags::NONE, |tags, &number| tags.with(Tag::new(number).unwrap()))
}

impl Asked {
    /// The same as a filter.
    pub fn filter(&self) -> Filter {
        let mut filter = Filter::ANY.tags(tags(&self.tags));
        for &zone in &self.zones {
            filter = filter.prefer(Zone::new(zone).unwrap()).unwrap();
        }
        filter = self.tier.map_or(filter, |tier| filter.tier(Tier::new(tier).unwrap()));
        if self.confined { filter.confined() } else { filter }
    }
}

/// A member as it was said to be, and what became of its leases.
#[derive(Clone, Debug, Default)]
pub struct NaiveMember {
    /// The caller's number.
    pub number: u64,
    /// 0 drains.
    pub weight: u16,
    /// Its tier.
    pub tier: u8,
    /// Its zone.
    pub zone: u8,
    /// Its tags.
    pub tags: Vec<u8>,
    /// The most leases that count.
    pub cap: Option<u32>,
    /// Not switched off.
    pub enabled: bool,
    /// As it was set last.
    pub health: Health,
    /// Leases taken, succeeded, failed and released.
    pub counts: [usize; 4],
    /// Leases out that were taken while there was a cap.
    pub capped: u32,
}

impl NaiveMember {
    /// The same as the balancer is told.
    pub fn endpoint(&self) -> Endpoint {
        let endpoint = Endpoint::new(self.number)
            .weight(self.weight)
            .tier(Tier::new(self.tier).unwrap())
            .zone(Zone::new(self.zone).unwrap())
            .tags(tags(&self.tags))
            .enabled(self.enabled)
            .health(self.health);
        self.cap.map_or(endpoint, |cap| endpoint.cap(cap))
    }

    /// How many of its leases are out.
    pub fn in_flight(&self) -> usize {
        self.counts[0] - self.counts[1] - self.counts[2] - self.counts[3]
    }

    fn has_room(&self) -> bool {
        self.cap.is_none_or(|cap| self.capped < cap)
    }

    /// Whether such a request may go to it, its breaker and its cap apart.
    pub fn is_open_to(&self, asked: &Asked) -> bool {
        let healthy = matches!(self.health, Health::Healthy | Health::Degraded);
        self.enabled && self.weight > 0 && healthy && self.matches_tags(asked) && self.matches_zone(asked)
    }

    fn matches_tags(&self, asked: &Asked) -> bool {
        asked.tags.iter().all(|tag| self.tags.contains(tag))
            && asked.tier.is_none_or(|tier| tier == self.tier)
    }

    fn matches_zone(&self, asked: &Asked) -> bool {
        !asked.confined || asked.zones.is_empty() || asked.zones.contains(&self.zone)
    }
}

/// The members of a balancer.
#[derive(Debug, Default)]
pub struct NaiveRouter {
    /// By handle.
    pub members: HashMap<EndpointId, NaiveMember>,
}

impl NaiveRouter {
    /// Whether `id` may be given to such a request, its breaker being in this state before.
    pub fn may_serve(
        &self,
        id: EndpointId,
        asked: &Asked,
        tried: &[EndpointId],
        breaker: BreakerState,
        probe: bool,
    ) -> bool {
        let wanted = if probe { BreakerState::HalfOpen } else { BreakerState::Closed };
        self.members.get(&id).is_some_and(|member| {
            member.is_open_to(asked) && member.has_room() && !tried.contains(&id) && breaker == wanted
        })
    }

    /// The kind of error that such a request must get; `None` if somebody can serve.
    pub fn error(
        &self,
        asked: &Asked,
        tried: &[EndpointId],
        breaker: impl Fn(EndpointId) -> BreakerState,
    ) -> Option<usize> {
        if self.members.is_empty() {
            return Some(SelectError::Empty.kind());
        }
        if !self.members.values().any(|member| member.matches_tags(asked)) {
            return Some(SelectError::NoTagMatch.kind());
        }
        if !self.members.values().any(|member| member.matches_tags(asked) && member.matches_zone(asked)) {
            return Some(SelectError::NoZoneMatch.kind());
        }
        let open: Vec<_> = self.members.iter().filter(|(_, member)| member.is_open_to(asked)).collect();
        // No retry is a probe.
        let admitting = |id| match breaker(id) {
            BreakerState::Closed => true,
            BreakerState::HalfOpen => tried.is_empty(),
            _ => false,
        };
        let could: Vec<_> = open.iter().filter(|&&(&id, _)| admitting(id)).collect();
        if could.iter().any(|&&(id, member)| !tried.contains(id) && member.has_room()) {
            return None;
        }
        Some(if could.iter().any(|(id, _)| !tried.contains(id)) {
            SelectError::AllAtCapacity.kind()
        } else if !could.is_empty() {
            SelectError::AllTried.kind()
        } else if !open.is_empty() {
            4
        } else {
            SelectError::AllUnhealthy.kind()
        })
    }
}
