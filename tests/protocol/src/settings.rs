//! The settings that are searched: small ones in the gate, large ones by hand.

use crate::setting::Setting;

const ONE: Setting = Setting::PLAIN;
const TWO_HOLD: Setting = Setting { acks: 2, ..ONE };
const TWO_EVENTS: Setting = Setting { events: 2, outputs: 1, ..ONE };

/// Those of the gate. Each is searched to its end.
pub const SMALL: &[Setting] = &[
    Setting { name: "plain", ..ONE },
    Setting { name: "raise", raises: 1, ..ONE },
    Setting { name: "raise-without-output", raises: 1, outputs: 0, ..ONE },
    Setting { name: "raises", raises: 2, ..ONE },
    Setting { name: "arbiter", raises: 1, arbiter_restarts: 1, ..ONE },
    Setting { name: "outlet", raises: 1, outlet_restarts: 1, ..ONE },
    Setting { name: "two-events", raises: 1, ..TWO_EVENTS },
    Setting { name: "two-producers", raises: 1, producers: 2, ..TWO_EVENTS },
    Setting { name: "ring", ring: 1, leaves: 1, ..TWO_EVENTS },
    Setting { name: "member", member_crashes: 1, abandons: 1, ..ONE },
    Setting { name: "warm", member_crashes: 1, warm: 2, outputs: 1, ..ONE },
    Setting { name: "two-hold", raises: 1, ..TWO_HOLD },
    Setting { name: "two-hold-ingress", ingress_crashes: 1, ..TWO_HOLD },
    Setting { name: "two-hold-member", member_crashes: 1, ..TWO_HOLD },
    Setting { name: "two-hold-suspicion", raises: 1, suspicion: true, outputs: 1, ..TWO_HOLD },
];

/// Those that take minutes and gigabytes.
pub const LARGE: &[Setting] = &[
    Setting { name: "ring-raise", ring: 1, leaves: 1, raises: 1, ..TWO_EVENTS },
    Setting { name: "two-hold-suspicion-2", raises: 1, suspicion: true, ..TWO_HOLD },
    Setting { name: "two-hold-ingress-raise", ingress_crashes: 1, raises: 1, ..TWO_HOLD },
    Setting { name: "two-hold-ingress-events", ingress_crashes: 1, acks: 2, ..TWO_EVENTS },
    Setting { name: "ring-member", ring: 1, leaves: 2, member_crashes: 1, ..TWO_EVENTS },
    Setting { name: "warm-raises", raises: 2, warm: 1, outputs: 1, ..ONE },
    Setting { name: "two-hold-all", member_crashes: 1, raises: 1, suspicion: true, outputs: 1, ..TWO_HOLD },
    Setting { name: "two-hold-suspicion-events", raises: 1, suspicion: true, acks: 2, ..TWO_EVENTS },
    Setting { name: "three-events", events: 3, raises: 1, ..TWO_EVENTS },
];

/// The setting of a name.
pub fn named(name: &str) -> Option<Setting> {
    SMALL.iter().chain(LARGE).find(|setting| setting.name == name).copied()
}
