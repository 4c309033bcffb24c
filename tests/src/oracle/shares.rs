//! Which share of a class's traffic each endpoint gets, by the rules of tiers, zones, overprovisioning and
//! load: Envoy's priority levels, with permille for percent.

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
    /// Panic mode, in steps of so many at least.
    pub panic_below: u32,
    /// See there.
    pub panic_hosts: u32,
    /// From which load on a zone spills.
    pub spill_from: u32,
    /// A tier and a zone, and the load that is reported there; nothing else is.
    pub load: (u8, u8, u32),
}

/// One step: whom it holds, and the zone if it is a preferred one.
struct Step {
    slots: Vec<usize>,
    /// With its tier.
    zone: Option<(u8, u8)>,
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
            steps.push(Step { slots: within(&|at| at == zone), zone: Some((tier, zone)) });
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
    let living = |slots: &[usize]| slots.iter().filter(|&&at| all[at].healthy).count();
    let anybody_lives = steps.iter().any(|step| living(&step.slots) > 0);
    // Panic is a step's own; of dead ones only if all are.
    let panics = |slots: &[usize]| {
        let (count, living) = (slots.len() as u32, living(slots) as u32);
        count >= rules.panic_hosts.max(1)
            && living * 1_000 < rules.panic_below * count
            && (living > 0 || !anybody_lives)
    };
    let serve = |slots: &[usize]| -> Vec<usize> {
        slots.iter().copied().filter(|&at| all[at].healthy || panics(slots)).collect()
    };
    let capacity = |can: usize, of: usize| {
        if of == 0 { 0 } else { (can as u32 * rules.factor / of as u32).min(1_000) }
    };
    let mut result = vec![0.0; all.len()];
    // Those that can serve, step by step, and what each step can take.
    let able: Vec<_> = steps
        .iter()
        .map(|step| {
            let serve = serve(&step.slots);
            let can = if living(&step.slots) > 0 { living(&step.slots) } else { serve.len() };
            let capacity = capacity(can, step.slots.len());
            (serve, capacity, step.zone)
        })
        .filter(|(slots, ..)| !slots.is_empty())
        .collect();
    let Some(((primary, taken, zone), later)) = able.split_first() else { return result };
    let (tier, loaded, load) = rules.load;
    let load = if *zone == Some((tier, loaded)) { load } else { 0 };
    // The last step has nobody to spill to.
    let by_load = match load.checked_sub(rules.spill_from) {
        Some(over) if !later.is_empty() => over * 1_000 / (1_000 - rules.spill_from),
        _ => 0,
    };
    // Each step takes what it can of what is left.
    let wanted = (1_000 - taken).max(by_load);
    let mut left = wanted;
    let mut takes: Vec<f64> = Vec::new();
    for (_, capacity, _) in later {
        let can = left.min(*capacity);
        takes.push(can as f64);
        left -= can;
    }
    let more = wanted - left;
    // Who can't take all that is wanted takes in proportion to what it can, with the primary one, or of what
    // is to go because of load.
    let share =
        if left == 0 { wanted } else { by_load.max((more * 1_000).checked_div(taken + more).unwrap_or(0)) };
    if more == 0 && share > 0 {
        takes[0] = share as f64;
    } else if more > 0 {
        takes.iter_mut().for_each(|take| *take *= share as f64 / more as f64);
    }
    let mut groups: Vec<_> = later.iter().zip(takes).map(|((slots, ..), take)| (slots, take)).collect();
    groups.push((primary, (1_000 - share) as f64));
    for (slots, permille) in groups {
        for &at in slots {
            result[at] += permille / 1_000.0 / slots.len() as f64;
        }
    }
    result
}
