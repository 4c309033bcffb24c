//! Which share of a class's traffic each endpoint gets, by the rules of tiers, zones, overprovisioning and load.

/// An endpoint as the rules see it.
#[derive(Clone, Copy, Debug)]
pub struct Placed {
    /// Lower tiers first.
    pub tier: u8,
    /// Its zone.
    pub zone: u8,
    /// Not switched off.
    pub enabled: bool,
    /// Whether its health admits traffic.
    pub healthy: bool,
}

/// What a class asks for, and what the balancer is set to, in permille.
#[derive(Clone, Debug)]
pub struct ShareRules {
    /// One tier alone.
    pub tier: Option<u8>,
    /// The preferred zones, in order.
    pub zones: Vec<u8>,
    /// Nobody else.
    pub confined: bool,
    /// Overprovisioning.
    pub factor: u32,
    /// Panic mode.
    pub panic_below: u32,
    /// From which load on a zone spills.
    pub spill_from: u32,
    /// The load of each zone.
    pub loads: [u32; 16],
}

/// One step: whom it holds, and the zone if it is a preferred one.
struct Step {
    slots: Vec<usize>,
    zone: Option<u8>,
}

fn steps(all: &[Placed], rules: &ShareRules) -> Vec<Step> {
    let mut tiers: Vec<u8> = all.iter().map(|at| at.tier).collect();
    tiers.sort();
    tiers.dedup();
    if let Some(tier) = rules.tier {
        tiers = vec![tier];
    }
    let mut steps = Vec::new();
    for tier in tiers {
        let within = |place: &dyn Fn(u8) -> bool| {
            (0..all.len())
                .filter(|&at| all[at].enabled && all[at].tier == tier && place(all[at].zone))
                .collect::<Vec<_>>()
        };
        for &zone in &rules.zones {
            steps.push(Step { slots: within(&|at| at == zone), zone: Some(zone) });
        }
        if rules.zones.is_empty() || !rules.confined {
            steps.push(Step { slots: within(&|at| !rules.zones.contains(&at)), zone: None });
        }
    }
    steps
}

/// Each endpoint's share, in order; all 0 if nobody can serve.
pub fn shares(all: &[Placed], rules: &ShareRules) -> Vec<f64> {
    let steps = steps(all, rules);
    let matching: usize = steps.iter().map(|step| step.slots.len()).sum();
    let healthy: usize =
        steps.iter().map(|step| step.slots.iter().filter(|&&at| all[at].healthy).count()).sum();
    let panic = (healthy as u32) * 1_000 < rules.panic_below * matching as u32;
    let serve = |slots: &[usize]| -> Vec<usize> {
        slots.iter().copied().filter(|&at| all[at].healthy || panic).collect()
    };
    let capacity = |can: usize, of: usize| {
        if of == 0 { 0 } else { (can as u32 * rules.factor / of as u32).min(1_000) }
    };
    let mut result = vec![0.0; all.len()];
    let Some(first) = steps.iter().position(|step| !serve(&step.slots).is_empty()) else { return result };
    let primary = serve(&steps[first].slots);
    let (mut share, mut other) = (0, Vec::new());
    if first + 1 < steps.len() {
        let taken = capacity(primary.len(), steps[first].slots.len());
        let mut spill = 1_000 - taken;
        let load = steps[first].zone.map_or(0, |zone| rules.loads[zone as usize]);
        let by_load = if load <= rules.spill_from {
            0
        } else {
            (load - rules.spill_from) * 1_000 / (1_000 - rules.spill_from)
        };
        let wanted = spill.max(by_load);
        let mut slots = Vec::new();
        for step in &steps[first + 1..] {
            slots.extend_from_slice(&step.slots);
            if capacity(serve(&slots).len(), slots.len()) >= wanted {
                break;
            }
        }
        other = serve(&slots);
        let more = capacity(other.len(), slots.len());
        if spill != 0 && taken + more < 1_000 {
            spill = (more * 1_000).checked_div(taken + more).unwrap_or(0);
        }
        share = if other.is_empty() { 0 } else { spill.max(by_load) };
    }
    for &at in &primary {
        result[at] += (1_000 - share) as f64 / 1_000.0 / primary.len() as f64;
    }
    for &at in &other {
        result[at] += share as f64 / 1_000.0 / other.len() as f64;
    }
    result
}
