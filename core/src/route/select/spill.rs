//! What share of a class's traffic goes past its primary group, and how that is split among the steps after
//! it.
//!
//! The rule is that of Envoy's priority levels
//! (<https://www.envoyproxy.io/docs/envoy/latest/intro/arch_overview/upstream/load_balancing/priority>). A
//! step of whose endpoints the part *h* is routable can take min(1, 1.4 *h*) of the traffic. The primary
//! group takes what it can, the next step takes what it can of the rest, and so on, until nothing is left.
//! Where all steps together can't take everything, each gets in proportion to what it can. A primary group
//! that is a zone and reports too much load gives a share away too, if the other group has more room; the
//! greater of both shares counts.
//!
//! Mostly one step can take the rest, and is the other group. Where it takes several, the other group is each
//! of them by turns: for [`RUN`] selects that go there, then the next one's. So no class has candidates of
//! more than two groups, and no select but one of those makes them anew. Whose turn it is follows from a
//! sequence that visits all parts of the traffic evenly (Weyl's: multiples of an irrational number, here
//! nearly the golden ratio), so shares are close to the rule's after a few turns.

use crate::route::Random;
use crate::route::config::options::PERMILLE;
use crate::route::select::class::{Cached, ClassState, Traffic};
use crate::route::select::refresh::capacity;
use crate::route::state::view::View;

/// Selects in a row that go to the same one of several steps.
const RUN: u8 = 8;
/// What a turn is ahead of the one before it, in permille of the traffic; it has no divisor in common with
/// 1,000.
const AHEAD: u32 = 617;

impl ClassState {
    /// The first step that gets nothing as long as those before it can.
    pub fn first_left(&self) -> u8 {
        1 + if self.spill.ready { self.spill.last } else { self.step }
    }
}

/// What goes to the other group for the zone's load, in permille: nothing unless that group has more room.
#[inline(never)]
fn share_by_load(cached: &mut dyn Cached, view: View<'_>) -> u32 {
    let (class, mut primary, mut other) = cached.parts();
    if !class.zoned {
        return 0;
    }
    let from = view.settings.spill_from();
    let load = primary.mean_load(view).unwrap_or(0);
    if load <= from {
        return 0;
    }
    let there = if class.spill.ready { other.mean_load(view).unwrap_or(0) } else { 0 };
    load.saturating_sub(there.max(from)) * PERMILLE / (PERMILLE - from).max(1)
}

/// Whether this select goes to the other group.
#[inline(never)]
pub(in crate::route) fn draw(cached: &mut dyn Cached, view: View<'_>, random: &mut Random) -> bool {
    let mut by_load = share_by_load(cached, view);
    if by_load != 0 && !cached.class().spill.ready {
        fill_other(cached, by_load, view, random);
        by_load = share_by_load(cached, view);
    }
    let share = by_load.max(cached.class().spill.share as u32);
    let drawn = if share == 0 { PERMILLE } else { random.below(PERMILLE) };
    if drawn >= share {
        return false;
    }
    let spill = &cached.class().spill;
    if !spill.ready || share > spill.limit as u32 || spill.run == 0 {
        fill_other(cached, share, view, random);
    }
    let (class, _, other) = cached.parts();
    class.spill.run -= (class.spill.run != u8::MAX) as u8;
    // Less goes there than was thought if they can't take it, nothing if nobody is there.
    drawn < by_load.max(class.spill.share as u32) && !other.candidates.is_empty()
}

/// Fills the other group, for `share` permille of the traffic: with the step after the primary one if it can
/// take that, else with the one whose turn it is, of as many as it takes.
#[cold]
#[inline(never)]
pub(in crate::route) fn fill_other(cached: &mut dyn Cached, share: u32, view: View<'_>, random: &mut Random) {
    let listed = cached.needs().lists;
    let (class, _, mut other) = cached.parts();
    let survey = |class: &ClassState, number| class.step(view, number).map(|step| class.survey(view, step));
    // What they can take together, how many of them can, and who waits for probes.
    let (mut more, mut able, mut waiting) = (0, 0, 0);
    class.spill.last = class.step;
    while more < share
        && let Some(survey) = survey(class, class.spill.last + 1)
    {
        class.spill.last += 1;
        waiting |= survey.waiting;
        let takes = capacity(view, survey.living_or_all(), survey.matching);
        able += (takes != 0) as u32;
        more += takes;
    }
    // Whoever gets traffic gets its probes too.
    class.probes |= waiting != 0;
    if waiting != 0 {
        class.set_traffic(Traffic::Special);
    }
    class.spill.position = ((class.spill.position as u32 + AHEAD) % PERMILLE) as u16;
    class.spill.run = if able > 1 { RUN } else { u8::MAX };

    // The step in which the turn lies; where none can take anything, the first that has anybody.
    let turn = class.spill.position as u32 * more.min(share) / PERMILLE;
    let (was_ready, step_before) = (class.spill.ready, class.spill.step);
    let (mut before, mut found) = (0, None);
    for number in class.step + 1..=class.spill.last {
        let Some(survey) = survey(class, number) else { break };
        before += capacity(view, survey.living_or_all(), survey.matching);
        if survey.serving != 0 && (turn < before || more == 0) {
            found = Some(number);
            break;
        }
    }
    class.spill.step = found.unwrap_or(class.spill.last);
    let step = found.and_then(|number| class.step(view, number));
    let mut bits = |bank| match (step, view.bank(bank)) {
        (Some(step), Some(bank)) => class.serving_in(step, bank),
        _ => 0,
    };
    let changed = other.candidates.refill(&mut bits, listed);
    class.spill.ready = true;
    class.doubt(view);
    let left = class.spill.last + 1 < class.steps(view);
    class.spill.settle(more.min(PERMILLE), left);
    // Going on where the last step's turn ended, it would favour some.
    let anew = step_before != class.spill.step;
    if changed || anew || !was_ready {
        other.load.changed = u32::MAX;
        cached.renew(true, anew, random);
    }
}
