//! The machines of a group are all zeros at first, so a static of one takes no flash.

use std::sync::Mutex;

use trilane::daemon::{Daemon, Delivery, Outbox, ProcessError};
use trilane::group::{GroupId, Ingress, Member, Outlet, Standby, SubmitError, Transfer};
use trilane_tests::group::{event, read};
use trilane_tests::statics::assert_statics;
use trilane_tests::us;

/// A daemon of zeros.
struct Silent(u64);

impl Daemon for Silent {
    const MAX_OUTPUTS: usize = 1;
    const MAX_OUTPUT_BYTES: usize = 8;

    fn process(&mut self, _: &Delivery<'_>, _: &mut Outbox<'_>) -> Result<(), ProcessError> {
        self.0 += 1;
        Ok(())
    }
}

static ZEROS_INGRESS: Mutex<Ingress<3, 4096, 64, 8>> = Mutex::new(Ingress::new());
static ZEROS_MEMBER: Mutex<Member<Silent, 4096, 64, 8, 8>> = Mutex::new(Member::new(Silent(0)));
static ZEROS_OUTLET: Mutex<Outlet<3, 8, 256>> = Mutex::new(Outlet::new());
static ZEROS_TRANSFER: Mutex<Transfer<4096>> = Mutex::new(Transfer::new());

#[test]
fn ingresses_members_outlets_and_transfers_take_no_flash() {
    let bytes = event(&mut trilane::causal::Chain::new(trilane::causal::Origin::new(1)), b"a");
    let refused = ZEROS_INGRESS.lock().unwrap().submit(read(&bytes), us(0), 0);
    assert_eq!(refused, Err(SubmitError::NotConfirmed));
    ZEROS_MEMBER.lock().unwrap().start(GroupId::new(7), Standby::Hot, 1);
    assert!(ZEROS_OUTLET.lock().unwrap().marked().is_err());
    assert_eq!(ZEROS_TRANSFER.lock().unwrap().request(), None);
    assert_statics("group_no_flash", "ZEROS_", true, 4);
}
